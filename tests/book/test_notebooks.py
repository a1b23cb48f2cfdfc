"""Notebooks call the package and show: what takes more than a few lines lies in ``specnb.experiments``."""

import ast

import nbformat
import pytest

from specnb import storage

NOTEBOOKS = sorted((storage.ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES = 15
"""Of a code cell, blank ones and comments not counted."""


def code(path):
    """Sources of the code cells of a notebook."""
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_cells_are_short(path):
    for source in code(path):
        lines = [line.strip() for line in source.splitlines()]
        counted = [line for line in lines if line and not line.startswith("#")]
        assert len(counted) <= MOST_LINES, source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_import_nothing_that_their_fingerprint_leaves_out(path):
    for source in code(path):
        plain = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
        for node in ast.walk(ast.parse(plain)):
            names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
            module = getattr(node, "module", None) or ""
            for name in (module, *names, *(f"{module}.{name}" for name in names)):
                assert not name.startswith(("specnb.book", "specnb.cli")), source
