"""The data that a notebook is given: where they lie, what they lack, and whether they changed."""

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import nbformat
import papermill

WRITTEN = ("output",)
"""Parameters that name what a notebook writes, which is no input."""


def defaults(notebook: Path | str) -> dict[str, Any]:
    """Return the parameters of a notebook and their values, as far as those are literals."""
    found = {}
    for name, said in papermill.inspect_notebook(str(notebook)).items():
        try:
            found[name] = ast.literal_eval(said["default"])
        except (ValueError, SyntaxError):
            found[name] = None
    return found


def located(notebook: Path | str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make paths among given parameters absolute, and refuse those that are not there.

    A parameter is a path if the notebook's own value of it has a slash, as ``"../real/lamost"``. It is looked for where
    the command is given, then beside the notebook. What the notebook says itself may be missing, and what it writes.

    Raises
    ------
    ValueError
        A path that is not there.
    """
    own, out = defaults(notebook), dict(parameters)
    for name, value in parameters.items():
        is_path = isinstance(own.get(name), str) and "/" in own[name] and name not in WRITTEN
        if not is_path or value == own[name]:
            continue
        places = [Path(str(value)).expanduser(), Path(notebook).resolve().parent / str(value)]
        there = [place for place in places if str(value) and place.exists()]
        if not there:
            raise ValueError(f"-p {name}={value}: {str(places[0].absolute())!r} is not there")
        out[name] = str(there[0].resolve())
    return out


def files(notebook: Path | str, parameters: dict[str, Any]) -> list[list]:
    """List the files that a run is given: (name, path, size, time of change) of each below a path among parameters."""
    found = []
    for name, value in sorted((defaults(notebook) | dict(parameters)).items()):
        if not isinstance(value, str) or not value or name in WRITTEN:
            continue
        root = Path(notebook).resolve().parent / value
        if not root.exists():
            continue
        paths = sorted(p for p in root.rglob("*") if p.is_file()) if root.is_dir() else [root]
        for path in paths:
            state = path.stat()
            place = path.relative_to(root).as_posix()
            found.append([name, place, state.st_size, state.st_mtime_ns])
    return found


def look(notebook: Path | str, parameters: dict[str, Any]) -> None:
    """Let a notebook's own ``check`` look at the data; ValueError says what they lack."""
    module = nbformat.read(notebook, 4).metadata.get("specnb", {}).get("check")
    if module is None:
        return
    check_data = importlib.import_module(f"specnb.experiments.{module}").check
    values = defaults(notebook) | dict(parameters)
    wanted = inspect.signature(check_data).parameters
    here = Path(notebook).resolve().parent
    check_data(**{name: here / values[name] for name in wanted})
