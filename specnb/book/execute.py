"""Execute notebooks with papermill, accept only what really ran, and build the book from it.

papermill rewrites its output in place after every cell and Jupyter Book builds failed notebooks without a word, so a
notebook is run into ``*.failed.ipynb``, examined, and only then moved to its place. A notebook whose source, package,
parameters and data (files in folders that parameters name) are unchanged is not run again. One that must wait for
others says so in its metadata, ``{"specnb": {"after": ["01_limit"]}}``; what is independent runs side by side. One that
reads a user's data names what looks at them before anything runs, ``{"specnb": {"check": "your_spectra"}}``: the
function ``check`` of that module of :mod:`specnb.experiments`, called with the parameters of its names.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nbformat
import papermill
import torch
from jupyter_core.utils import ensure_event_loop

from specnb import storage
from specnb.book import answer, flag_table, given_data, verdict

PROSE = ("_config.yml", "_toc.yml", "book")
NO_NUMBERS = ("book", "cli")
"""Folders of the package that no notebook imports: what they do changes no number."""

AT_ONCE = 4
"""Notebooks side by side at most: a kernel takes about 1.5 GB."""


def after(notebook: Path | str) -> list[str]:
    """Name the notebooks that one waits for."""
    return nbformat.read(notebook, 4).metadata.get("specnb", {}).get("after", [])


def mark(executed: Path) -> str | None:
    """Return the fingerprint in an executed copy; None if there is none."""
    return (
        nbformat.read(executed, 4).metadata.get("specnb", {}).get("fingerprint")
        if executed.exists()
        else None
    )


def sources(package: Path) -> list[Path]:
    """List the files of the package that a notebook's numbers may depend on."""
    return [
        path
        for path in sorted(package.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.relative_to(package).parts[0] not in NO_NUMBERS
    ]


def fingerprint(
    notebook: Path | str, parameters: dict[str, Any], before: Iterable[str | None] = ()
) -> str:
    """Hash what the numbers of a notebook depend on.

    Those are the notebook, torch's version, parameters, the data that they name, marks of what came before, and the
    package without what only shows results or passes commands on (``NO_NUMBERS``): whoever edits the book runs no
    experiment again.
    """
    digest = hashlib.sha256(
        json.dumps([torch.__version__, parameters, list(before)], sort_keys=True).encode()
    )
    if files := given_data.files(notebook, parameters):
        digest.update(json.dumps(files).encode())
    package = Path(storage.__file__).parent
    digest.update(Path(notebook).name.encode() + b"\0" + Path(notebook).read_bytes())
    for path in sources(package):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def check(notebook: Path | str, parameters: dict[str, Any]) -> None:
    """Raise ValueError if a notebook lacks one of the parameters (papermill would only warn)."""
    known = set(papermill.inspect_notebook(str(notebook)))
    if unknown := sorted(set(parameters) - known):
        raise ValueError(
            f"{Path(notebook).name} has no parameter {unknown}; it has {sorted(known)}"
        )


def complaint(notebook: nbformat.NotebookNode) -> str | None:
    """Say why an executed notebook cannot be accepted, or None.

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


def execute(
    notebook: Path | str, output: Path | str, parameters: dict[str, Any], force: bool = False
) -> bool:
    """Run one notebook.

    Parameters
    ----------
    notebook, output : path
        Source and executed copy; a copy that could not be accepted is left as ``*.failed.ipynb`` instead.
    parameters : dict
        Values for its ``parameters`` cell.
    force : bool
        Run it though nothing changed.

    Returns
    -------
    bool
        False if an executed copy of the same inputs was there already.

    Raises
    ------
    ValueError
        A parameter that the notebook does not have, a path that is not there, or data that lack something.
    RuntimeError
        The notebook failed.
    """
    notebook, output = Path(notebook).resolve(), Path(output)
    check(notebook, parameters)
    parameters = given_data.located(notebook, parameters)
    given_data.look(notebook, parameters)
    made_of = fingerprint(
        notebook, parameters, [mark(output.with_name(f"{name}.ipynb")) for name in after(notebook)]
    )
    if mark(output) == made_of and not force:
        return False
    output.parent.mkdir(parents=True, exist_ok=True)
    failed = output.with_suffix(".failed.ipynb")
    try:
        papermill.execute_notebook(
            str(notebook),
            str(failed),
            parameters,
            resources={
                "metadata": {"path": str(notebook.parent)}
            },  # cwd= would move the whole process
            kernel_name="python3",
            progress_bar=False,
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(
            f"{notebook.name} failed in cell {error.cell_index}; see {failed}\n{error}"
        ) from error
    done = nbformat.read(failed, 4)
    if reason := complaint(done):
        raise RuntimeError(f"{notebook.name} failed: {reason}; see {failed}")
    done.metadata["specnb"] = {"fingerprint": made_of}
    nbformat.write(done, failed)
    os.replace(failed, output)
    return True


def _execute(*arguments):
    """Run :func:`execute` in a thread of its own, whose event loop is closed behind it."""
    loop = ensure_event_loop()
    try:
        return execute(*arguments)
    finally:
        loop.close()


def order(notebooks: list[Path]) -> TopologicalSorter[Path]:
    """Order paths by what waits for what, a prepared ``TopologicalSorter``; ValueError if it goes in circles."""
    by_name = {path.stem: path for path in notebooks}
    graph: TopologicalSorter[Path] = TopologicalSorter()
    for path in notebooks:
        graph.add(
            path, *(by_name[name] for name in after(path) if name in by_name)
        )  # others have run already, or not
    try:
        graph.prepare()
    except CycleError as error:
        raise ValueError(
            f"notebooks wait for each other: {[p.stem for p in error.args[1]]}"
        ) from None
    return graph


def run(
    notebooks: Iterable[Path | str],
    stage: Path | str,
    parameters: dict[str, Any],
    workers: int | None = None,
    say: Callable[[str], None] = print,
    force: bool = False,
) -> list[Path]:
    """Run notebooks into ``stage/notebooks``; what is independent runs side by side.

    Parameters
    ----------
    notebooks : list of path
    stage : path
        Of one run at a time.
    parameters : dict
        For all of them.
    workers : int, optional
        How many at once; by default one for each core up to ``AT_ONCE``, and one where there is a GPU.
    say : callable
        Takes a line of progress.
    force : bool
        Run what has run with the same inputs, too.

    Returns
    -------
    list of pathlib.Path
        The executed copies.

    Raises
    ------
    ValueError
        Before anything runs: no notebooks, two of one name, a parameter that one lacks, a path that is not there, data
        that lack something, or a circle of waiting.
    RuntimeError
        Some failed; what does not wait for them was run nevertheless.
    """
    paths = [Path(notebook) for notebook in notebooks]
    if not paths:
        raise ValueError(
            "no notebooks; name some, or run in the folder that holds notebooks/ (a clone)"
        )
    outputs = {path: Path(stage) / "notebooks" / path.name for path in paths}
    if len(set(outputs.values())) < len(paths):
        raise ValueError(
            "two notebooks have the same name; run them into folders of their own (--stage)"
        )
    for path in paths:
        check(path, parameters)
    given = {path: given_data.located(path, parameters) for path in paths}
    for path in paths:
        given_data.look(path, given[path])
    cores = os.cpu_count() or 1
    workers = min(workers or (1 if torch.cuda.is_available() else min(cores, AT_ONCE)), len(paths))
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars in a batch run would end up in the outputs
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # spinning threads crawl when another process wants the cores
    os.environ.setdefault("OMP_NUM_THREADS", str(max(cores // workers, 1)))
    graph, ready = order(paths), list[Path]()
    running: dict[Future, Path] = {}
    failures: dict[Path, BaseException] = {}
    finished: set[Path] = set()
    with ThreadPoolExecutor(workers) as pool:
        while graph.is_active():
            ready += graph.get_ready()
            while (
                ready and len(running) < workers
            ):  # nothing queues in the pool: Ctrl-C could not call it back
                path = ready.pop(0)
                job = pool.submit(_execute, path, outputs[path], given[path], force)
                running[job] = path
            if not running:
                break  # the rest waits for what failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path = running.pop(future)
                if error := future.exception():
                    failures[path] = error
                    say(f"{path.name}: FAILED, {error}")
                else:
                    say(
                        f"{path.name}: {'executed' if future.result() else 'up to date'} ({outputs[path]})"
                    )
                    finished.add(path)
                    graph.done(path)
    if waiting := [path.name for path in paths if path not in finished | set(failures)]:
        say(f"not run, because what they wait for failed: {', '.join(waiting)}")
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        raise RuntimeError(
            f"failed: {', '.join(path.name for path in failures)}; what went wrong is said above"
        )
    return list(outputs.values())


def opened(notebook: Path, folder: Path) -> nbformat.NotebookNode:
    """Put what came out of an executed notebook, by the results in ``folder``, below its first cell."""
    page = nbformat.read(notebook, 4)
    if text := verdict.opening(notebook.stem, folder):
        page.cells.insert(1, nbformat.v4.new_markdown_cell(text, id="answer"))
    return page


def build_book(root: Path | str, stage: Path | str) -> Path:
    """Make HTML from the executed notebooks in ``stage`` and the prose of ``root``; warnings are errors.

    Parameters
    ----------
    root, stage : path
        The clone, and the folder that :func:`run` wrote to.

    Returns
    -------
    pathlib.Path
        The first page.

    Raises
    ------
    RuntimeError
        Jupyter Book complained.
    """
    from specnb.experiments import interactive

    root, stage = Path(root), Path(stage)
    site, found = stage / "site", root / "results"
    shutil.rmtree(site, ignore_errors=True)
    for name in PROSE:
        source, target = root / name, site / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    (site / "notebooks").mkdir()
    for notebook in sorted((stage / "notebooks").glob("*.ipynb")):
        if not notebook.stem.endswith(".failed"):
            nbformat.write(opened(notebook, found), site / "notebooks" / notebook.name)
    verdict.write(found, site / "book" / "verdict.md")
    answer.write(found, site / "book")
    storage.write_bytes(site / "book" / "flags.md", flag_table.markdown().encode())
    interactive.write_script(site / "extra")
    entry = (
        "from jupyter_book.cli.main import main; main()"  # this interpreter's, whatever PATH says
    )
    command = [sys.executable, "-c", entry, "build", str(site), "--path-output", str(stage)]
    if subprocess.run([*command, "-n", "-W", "--keep-going", "--quiet"]).returncode:
        raise RuntimeError("Jupyter Book reported warnings or errors; they are printed above")
    return stage / "_build" / "html" / "index.html"
