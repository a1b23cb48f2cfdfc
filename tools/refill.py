"""Run notebooks as they are and keep, of their outputs, what nbval compares; then strip them.

python tools/refill.py notebooks/02_bounded.ipynb …
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from strip import strip

for path in map(Path, sys.argv[1:]):
    notebook = nbformat.read(path, 4)
    NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    nbformat.write(strip(notebook), path)
    print(path)
