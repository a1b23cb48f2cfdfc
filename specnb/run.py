"""Execute notebooks with papermill, accept only what really ran, and build the book from it.

papermill rewrites its output in place after every cell and Jupyter Book builds failed notebooks without a word, so a
notebook is run into a temporary file, examined, and only then moved to its place. A notebook whose source, package and
parameters are unchanged is not run again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import torch

from specnb import verdict

PROSE = ("_config.yml", "_toc.yml", "book")


def fingerprint(notebook, parameters):
    """SHA-256 over the notebook, the package's files, torch's version and the parameters."""
    digest = hashlib.sha256(json.dumps([torch.__version__, parameters], sort_keys=True).encode())
    package = Path(__file__).parent
    sources = [p for p in sorted(package.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    for path in [Path(notebook), *sources]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def complaint(notebook):
    """Why an executed notebook cannot be accepted, or None.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        papermill's output.
    """
    record = notebook.metadata.get("papermill", {})
    if record.get("exception"):
        return "papermill reports an exception"
    if not record.get("end_time"):
        return "it did not run to its end"
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if any(output.output_type == "error" for output in cell.outputs):
            return f"cell {i} raised an error"
        if cell.execution_count is None:
            return f"cell {i} was not executed"
    return None


def execute(notebook, output, parameters):
    """Run one notebook.

    Parameters
    ----------
    notebook, output : path
        Source and executed copy; a copy that could not be accepted is left as ``*.failed.ipynb`` instead.
    parameters : dict
        Values for its ``parameters`` cell.

    Returns
    -------
    bool
        False if an executed copy of the same inputs was there already.

    Raises
    ------
    ValueError
        A parameter that the notebook does not have.
    RuntimeError
        The notebook failed.
    """
    notebook, output = Path(notebook), Path(output)
    known = set(papermill.inspect_notebook(str(notebook)))
    if unknown := sorted(set(parameters) - known):
        raise ValueError(f"{notebook.name} has no parameter {unknown}; it has {sorted(known)}")
    mark = fingerprint(notebook, parameters)
    if output.exists() and nbformat.read(output, 4).metadata.get("specnb", {}).get("fingerprint") == mark:
        return False
    output.parent.mkdir(parents=True, exist_ok=True)
    failed = output.with_suffix(".failed.ipynb")
    try:
        papermill.execute_notebook(
            str(notebook),
            str(failed),
            parameters,
            cwd=str(notebook.parent),
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"{notebook.name} failed in cell {error.cell_index}; see {failed}\n{error}") from error
    done = nbformat.read(failed, 4)
    if reason := complaint(done):
        raise RuntimeError(f"{notebook.name} failed: {reason}; see {failed}")
    done.metadata["specnb"] = {"fingerprint": mark}
    nbformat.write(done, failed)
    os.replace(failed, output)
    return True


def run(notebooks, stage, parameters, say=print):
    """Run notebooks one after the other into ``stage/notebooks``; paths of the executed copies."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars in a batch run would end up in the outputs
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads crawl when another process wants the cores
    if not notebooks:
        raise ValueError("no notebooks; name some, or run in the folder that holds notebooks/ (a clone)")
    outputs = []
    for notebook in map(Path, notebooks):
        output = Path(stage) / "notebooks" / notebook.name
        ran = execute(notebook, output, parameters)
        say(f"{notebook.name}: {'executed' if ran else 'up to date'} ({output})")
        outputs.append(output)
    return outputs


def build_book(root, stage):
    """HTML from executed notebooks and the prose of ``root``; warnings are errors. Returns the first page's path."""
    root, stage = Path(root), Path(stage)
    for name in PROSE:
        source, target = root / name, stage / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    verdict.write(root / "results", stage / "book" / "verdict.md")
    entry = "from jupyter_book.cli.main import main; main()"  # this interpreter's, whatever PATH says
    command = [sys.executable, "-c", entry, "build", str(stage), "-n", "-W", "--keep-going", "--quiet"]
    if subprocess.run(command).returncode:
        raise RuntimeError("Jupyter Book reported warnings or errors; they are printed above")
    return stage / "_build" / "html" / "index.html"
