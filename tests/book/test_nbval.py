"""A notebook that is broken, or whose numbers have changed, fails; what another processor makes of them does not."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CASES = {
    "arithmetic": ("print('rho:', 1.0500)", "rho: 1.0504\n", True),
    "changed_share": ("print('share:', 0.9952)", "share: 0.9969\n", False),
    "changed_number": ("print('rho:', 1.0500)", "rho: 1.0700\n", False),
    "changed_count": ("print('stars:', 780)", "stars: 781\n", False),
    "changed_text": ("print('rho:', 1.05, 'of 1.1')", "rho: 1.05\n", False),
    "broken": ("1 / 0", "rho: 1.05\n", False),
}
"""Name of a notebook → its one cell, the output that is kept, whether it passes."""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What nbval prints of notebooks of one compared cell each, by the rules of ``make test``."""
    folder = tmp_path_factory.mktemp("nbval")
    for name, (source, kept, _) in CASES.items():
        cell = new_code_cell(source, metadata={"tags": ["nbval-check-output"]}, execution_count=1)
        cell.outputs = [new_output("stream", name="stdout", text=kept)]
        nbformat.write(
            new_notebook(cells=[cell], metadata={"kernelspec": KERNEL}), folder / f"{name}.ipynb"
        )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(ROOT),
    ]
    done = subprocess.run(
        [*command, "--nbval-lax", "--nbval-current-env", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("name", CASES)
def test_only_arithmetic_passes(said, name):
    (line,) = (
        text
        for text in said.splitlines()
        if text.startswith(("PASSED", "FAILED")) and f"{name}.ipynb" in text
    )
    assert line.startswith("PASSED" if CASES[name][2] else "FAILED")
