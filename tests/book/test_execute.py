"""The runner accepts only what really ran."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from specnb import storage
from specnb.book import execute, given_data
from specnb.cli import app


def notebook(path, *sources):
    cells = [new_code_cell(s) for s in sources]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_runs_once_and_again_only_when_something_changed(tmp_path):
    source = notebook(tmp_path / "a.ipynb", "x = 1", "y = x + 1\nprint(y)")
    out = tmp_path / "out" / "a.ipynb"
    assert execute.execute(source, out, {"x": 41})
    assert "42" in out.read_text()
    assert not execute.execute(source, out, {"x": 41})
    assert execute.execute(source, out, {"x": 1})


def test_only_what_changes_numbers_runs_a_notebook_again(tmp_path, monkeypatch):
    package = tmp_path / "specnb"
    for folder in ("book", "cli", "experiments"):
        (package / folder).mkdir(parents=True)
        (package / folder / "one.py").write_text("a = 1\n")
    (package / "storage.py").write_text("")
    monkeypatch.setattr(execute.storage, "__file__", str(package / "storage.py"))
    source = notebook(tmp_path / "a.ipynb", "x = 1")
    first = execute.fingerprint(source, {})
    for folder in ("book", "cli"):
        (package / folder / "one.py").write_text("a = 1  # a comment\n")
        assert execute.fingerprint(source, {}) == first
    (package / "experiments" / "one.py").write_text("a = 2\n")
    changed = execute.fingerprint(source, {})
    assert changed != first
    (package / "experiments" / "one.py").rename(package / "one.py")
    assert execute.fingerprint(source, {}) != changed
    real = {p.parts[-2] for p in execute.sources(storage.ROOT / "specnb")}
    assert {"experiments", "world", "assets"} <= real
    assert not real & {"book", "cli"}


def test_a_notebook_runs_again_when_its_data_changed_or_when_it_is_told_to(tmp_path):
    """Data are the files of a folder that a parameter names, beside the notebook or given."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    source = notebook(tmp_path / "a.ipynb", 'real = "./data"\noutput = "."')
    first = execute.fingerprint(source, {})
    (tmp_path / "new.json").write_text("what a notebook writes is no input")
    assert execute.fingerprint(source, {}) == first
    (folder / "b.txt").write_text("b")
    assert execute.fingerprint(source, {}) != first
    out = tmp_path / "out.ipynb"
    assert execute.execute(source, out, {"real": str(folder)})
    assert not execute.execute(source, out, {"real": str(folder)})
    (folder / "a.txt").write_text("longer")
    assert execute.execute(source, out, {"real": str(folder)})
    assert execute.execute(source, out, {"real": str(folder)}, force=True)


def test_a_folder_that_is_not_there_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = notebook(tmp_path / "a.ipynb", 'profile = "smoke"\nreal = "../nowhere/own"')
    assert given_data.located(source, {"profile": "quick"}) == {"profile": "quick"}
    (tmp_path / "here").mkdir()
    assert given_data.located(source, {"real": "here"}) == {"real": str(tmp_path / "here")}
    result = CliRunner().invoke(app, ["run", str(source), "-p", "real=her", "--stage", "stage"])
    assert result.exit_code == 1
    assert f"-p real=her: '{tmp_path / 'her'}' is not there" in result.output
    assert not (tmp_path / "stage").exists()


def test_what_a_folder_lacks_is_said_before_anything_runs(tmp_path):
    source = storage.ROOT / "notebooks" / "10_your_spectra.ipynb"

    def said(labels):
        (tmp_path / "labels.csv").write_text(labels)
        with pytest.raises(ValueError, match=r"lacks|no rows|no table") as error:
            execute.run([source], tmp_path / "stage", {"real": str(tmp_path)})
        assert not (tmp_path / "stage").exists()
        return str(error.value)

    assert "lacks desig; it has file, teff" in said("file,teff,logg,feh\na.fits,1,2,3\n")
    assert "lacks 1 files of labels.csv: a.fits" in said(
        "file,desig,teff,logg,feh\na.fits,s,1,2,3\n"
    )
    assert "has no rows" in said("file,desig,teff,logg,feh\n")
    (tmp_path / "labels.csv").unlink()
    with pytest.raises(ValueError, match=r"lacks labels\.csv with columns file, desig"):
        execute.run([source], tmp_path / "stage", {"real": str(tmp_path)})


def test_a_failing_notebook_leaves_no_output(tmp_path):
    source = notebook(tmp_path / "a.ipynb", "x = 1", "1 / 0")
    with pytest.raises(RuntimeError, match=r"a\.ipynb failed in cell"):
        execute.execute(source, tmp_path / "out.ipynb", {})
    assert not (tmp_path / "out.ipynb").exists()
    assert (tmp_path / "out.failed.ipynb").exists()


def test_unknown_parameters_are_refused(tmp_path):
    source = notebook(tmp_path / "a.ipynb", "x = 1")
    with pytest.raises(ValueError, match=r"a.ipynb has no parameter \['y'\]; it has \['x'\]"):
        execute.execute(source, tmp_path / "out.ipynb", {"y": 1})


def test_what_cannot_be_accepted():
    def executed(**papermill):
        cell = new_code_cell("1", execution_count=1)
        return new_notebook(
            cells=[cell], metadata={"papermill": {"end_time": "now", "exception": None} | papermill}
        )

    assert execute.complaint(executed()) is None
    assert "exception" in execute.complaint(executed(exception=True))
    assert "end" in execute.complaint(executed(end_time=None))
    missing = executed()
    missing.cells[0].execution_count = None
    assert "cell 0 was not executed" in execute.complaint(missing)
    error = executed()
    error.cells[0].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    assert "cell 0 raised" in execute.complaint(error)


def waiting(path, *sources, after):
    source = notebook(path, *sources)
    made = nbformat.read(source, 4)
    made.metadata["specnb"] = {"after": after}
    nbformat.write(made, source)
    return source


def test_side_by_side_in_order_past_a_failure(tmp_path, monkeypatch):
    """What waits runs after, a failure stops only what waits for it, and relative paths hold."""
    monkeypatch.chdir(tmp_path)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    said, write = [], f"with open({str(tmp_path / 'log')!r}, 'a') as f:\n    f.write('{{}}')"
    made = [
        waiting(tmp_path / "here" / "first.ipynb", "x = 1", write.format("a"), after=["second"]),
        notebook(
            tmp_path / "there" / "second.ipynb",
            "x = 1",
            "import time\ntime.sleep(1)",
            write.format("b"),
        ),
        notebook(tmp_path / "here" / "broken.ipynb", "x = 1", "1 / 0"),
        waiting(tmp_path / "here" / "waits.ipynb", "x = 1", after=["broken"]),
    ]
    with pytest.raises(RuntimeError, match=r"broken\.ipynb failed"):
        execute.run(
            [path.relative_to(tmp_path) for path in made], "stage", {}, workers=2, say=said.append
        )
    assert (tmp_path / "log").read_text() == "ba"
    found = {p.name for p in (tmp_path / "stage" / "notebooks").iterdir()}
    assert found == {"first.ipynb", "second.ipynb", "broken.failed.ipynb"}
    assert any("waits.ipynb" in line and "not run" in line for line in said)


def test_a_notebook_is_stale_when_what_it_waits_for_has_run_anew(tmp_path):
    second, first = (
        notebook(tmp_path / "b.ipynb", "x = 1"),
        waiting(tmp_path / "a.ipynb", "x = 1", after=["b"]),
    )
    said = []
    for x in (1, 1, 2):
        execute.execute(second, tmp_path / "out" / "b.ipynb", {"x": x})
        said.append(execute.execute(first, tmp_path / "out" / "a.ipynb", {}))
    assert said == [True, False, True]


def test_what_cannot_run_is_refused_before_anything_runs(tmp_path):
    pair = [waiting(tmp_path / f"{a}.ipynb", "x = 1", after=[b]) for a, b in ("ab", "ba")]
    with pytest.raises(ValueError, match="wait for each other"):
        execute.run(pair, tmp_path / "stage", {})
    with pytest.raises(ValueError, match="no notebooks; name some"):
        execute.run([], tmp_path / "stage", {})
    twice = [notebook(tmp_path / "c.ipynb", "x = 1")] * 2
    with pytest.raises(ValueError, match="the same name"):
        execute.run(twice, tmp_path / "stage", {})
    with pytest.raises(ValueError, match=r"c\.ipynb has no parameter \['n'\]"):
        execute.run(twice[:1], tmp_path / "stage", {"n": 1})
    assert not (tmp_path / "stage").exists()


def test_a_page_opens_with_what_came_out(tmp_path):
    made = execute.opened(notebook(tmp_path / "01_limit.ipynb", "x = 1"), storage.ROOT / "results")
    assert made.cells[1].cell_type == "markdown"
    assert "Verdict: **" in made.cells[1].source
    assert (
        len(
            execute.opened(
                notebook(tmp_path / "other.ipynb", "x = 1"), storage.ROOT / "results"
            ).cells
        )
        == 1
    )


def test_command_line_passes_typed_parameters(tmp_path):
    source = notebook(
        tmp_path / "a.ipynb",
        "profile = 'smoke'\nflag = True\nvalues = []",
        "assert flag is False\nassert values == [1, 2]",
    )
    command = [
        "run",
        str(source),
        "--stage",
        str(tmp_path / "s"),
        "-p",
        "flag=false",
        "-p",
        "values=[1, 2]",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "s" / "notebooks" / "a.ipynb").exists()
    assert CliRunner().invoke(app, [*command, "-p", "oops"]).exit_code == 1


def test_results_are_written_whole_with_provenance(tmp_path):
    path = storage.write(
        tmp_path / "quick" / "x.json", {"a": 1.5}, storage.provenance("cpu", 3), 1.26
    )
    found = storage.read(path)
    assert found["a"] == 1.5
    made = found["provenance"]
    assert (made["seed"], made["wall_s"]) == (3, 1.3)
    assert set(made) == {"specnb", "torch", "commit", "date", "device", "seed", "wall_s"}
    with pytest.raises(ValueError, match="Out of range float"):
        storage.write(path, {"a": float("nan")}, {}, 0)
    assert storage.read(path) == found
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_commit_is_this_projects_own(tmp_path):
    """An installed copy may lie in the repository of somebody else, or in an environment inside of a clone."""

    def said(folder):
        command = [sys.executable, "-c", "from specnb import storage; print(storage.commit())"]
        place = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(command, env=place, cwd=tmp_path, capture_output=True, text=True)
        return done.stdout.strip(), done.stderr

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    strange = tmp_path / "site-packages"
    ignore = shutil.ignore_patterns("__pycache__", "*.npz", "*.safetensors")
    shutil.copytree(storage.ROOT / "specnb", strange / "specnb", ignore=ignore)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert said(strange) == ("None", "")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "specnb"\n')
    assert said(strange) == ("None", ""), "an environment inside of a clone"
    (strange / "specnb").rename(tmp_path / "specnb")
    git("add", ".")
    git("commit", "-q", "-m", "two")
    name, _ = said(tmp_path)
    assert re.fullmatch("[0-9a-f]{12}", name)


def test_a_digest_shows_what_is_asked_and_the_cost_where_it_ran(tmp_path):
    numbers = {"a": {"b": [{"rho": [1.0, 0.00047174, 2.5]}]}, "n": 7, "same": True}
    path = storage.write(
        tmp_path / "quick" / "x.json", numbers, storage.provenance("cpu", 3), 61.26
    )
    assert storage.digest(numbers, "a/b/0/rho", "n", "same").splitlines() == [
        "a/b/0/rho: 1.0 0.00047174 2.5", "n: 7", "same: True"]  # fmt: skip
    with pytest.raises(KeyError):
        storage.digest(numbers, "a/c")
    assert storage.cost(path).startswith("61 s on ")
    assert "profile quick" in storage.cost(path)
