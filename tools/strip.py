"""Strip notebooks for git: no outputs, counts or run metadata, except the outputs that nbval compares.

nbstripout would also clear the execution count of the cells it keeps, and nbval refuses outputs without one.
"""

import sys

import nbformat


def strip(notebook):
    """Strip in place; returns the notebook."""
    for cell in notebook.cells:
        for key in ("papermill", "execution", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            compared = "nbval-check-output" in cell.metadata.get("tags", []) and bool(cell.outputs)
            cell.execution_count = 1 if compared else None
            cell.outputs = cell.outputs if compared else []
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = 1
    kept = {k: v for k, v in notebook.metadata.items() if k == "specnb"}  # what it waits for
    notebook.metadata = kept | {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    }
    return notebook


if __name__ == "__main__":
    for path in sys.argv[1:]:
        nbformat.write(strip(nbformat.read(path, 4)), path)
