"""The commands on files, as processes of their own: what they are given, write, say, and survive."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from specnb.cli import app, inputs, pool, tables, work
from specnb.cli.journal import Journal
from specnb.cli.options import UsageError
from specnb.grid import N_PIXELS, WAVE
from specnb.observing import readers, survey_files

sys.path.append(str(Path(__file__).parent))
import fast as stand_ins

FAST = Path(__file__).parent / "fast.py"


def write(path, level=1000.0, **header):
    """A mock file of a flat spectrum."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flux = np.full(N_PIXELS, level) * (1 + 0.01 * np.sin(np.arange(N_PIXELS)))
    survey_files.lamost(str(path), flux, np.full(N_PIXELS, (50 / level) ** 2))
    for name, value in header.items():
        fits.setval(str(path), name, value=value)
    return path


def start(folder, *words, **options):
    environment = os.environ | {"FAST_FOLDER": str(folder), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, str(FAST), *map(str, words)]
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Stand-ins for the networks in this process."""
    stand_ins.install(monkeypatch.setattr)


def call(folder, *words, stdin=b""):
    """Run a command here: exit status, stdout, stderr."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Forty stars; a module's tests only add to it in folders of their own."""
    folder = tmp_path_factory.mktemp("survey")
    for i in range(40):
        write(folder / "in" / f"s{i:02d}.fits", 1000 + i)
    return folder


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_gives_the_same_table(survey):
    """Kill -9 after the first batch: no process stays, what is finished stays, the table is that of a whole run."""
    words = ("--workers", 2, "--progress")
    (survey / "slow").touch()
    process = start(survey, "infer", "in", "-o", "part.ecsv", *words, start_new_session=True)
    partial = survey / "part.ecsv.partial"
    wait_for(lambda: len(list(partial.glob("*.json"))) > 0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not alive(process.pid), 20)
    assert not (survey / "part.ecsv").exists()
    (survey / "slow").unlink()
    done = len(list(partial.glob("*.json")))
    assert done < 3, "the run was over before it was killed"
    status, _, said = call(survey, "infer", "in", "-o", "part.ecsv")
    assert status == 0, said
    assert re.search(r"(16|32|24|8) of 40 files are finished already", said)
    assert call(survey, "infer", "in", "-o", "whole.ecsv")[0] == 0
    assert (survey / "part.ecsv").read_bytes() == (survey / "whole.ecsv").read_bytes()
    assert not partial.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_no_process(survey, number, status):
    output = survey / f"stopped{status}.ecsv"
    (survey / "slow").touch()
    process = start(survey, "infer", "in", "-o", output, "--workers", 2, start_new_session=True)
    partial = output.with_name(output.name + ".partial")
    wait_for(lambda: len(list(partial.glob("*.json"))) > 0)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    (survey / "slow").unlink()
    assert process.returncode == status
    assert "the same command goes on" in said.decode()
    assert "Traceback" not in said.decode()
    wait_for(lambda: not alive(process.pid), 20)


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_runs_into_one_table_do_not_mix(survey):
    journal = Journal(survey / "locked.ecsv")
    journal.open(work.Settings())
    status, _, said = call(survey, "infer", "in", "-o", "locked.ecsv")
    journal.close(keep=False)
    assert status == 2
    assert "another run writes" in said


@pytest.mark.slow  # a minute on two busy cores
def test_a_process_that_dies_costs_its_file_only(tmp_path):
    for i in range(5):
        write(tmp_path / "in" / f"s{i}.fits", 1000 + i, DESIG="KILL" if i == 3 else "star")
    process = start(tmp_path, "infer", "in", "--workers", 2)
    said = process.communicate(timeout=600)[1].decode()
    assert process.returncode == 1
    assert "s3.fits': its process ended" in said
    assert len(Table.read(tmp_path / "labels.ecsv")) == 4


def test_what_a_command_can_be_given(tmp_path):
    """Folders, unexpanded patterns, lists in a file and on stdin: the same files, each once."""
    names = ["in/a.fits", "in/deep/b.fits", "in/Ωμέγα.fits", "in/звезда ярче.fits"]
    for i, name in enumerate(names):
        write(tmp_path / name, 1000 + i)
    (tmp_path / "in" / "notes.txt").write_text("no spectrum")
    (tmp_path / "in" / "old.denoised.fits").write_text("ours")
    listed = "# a comment\n\n" + "\n".join(names[:2]) + "\nin/*.fits\r\n"
    (tmp_path / "list.txt").write_text(listed)
    given = [("in",), ("in", "in/a.fits", "./in"), ("@list.txt",), ("-",), ("in/**/*[!d].fits",)]
    for i, words in enumerate(given):
        status, _, said = call(tmp_path, "infer", *words, "-o", f"{i}.ecsv", stdin=listed.encode())
        failed = 1 if words[0] in ("@list.txt", "-") else 0  # the pattern has the bad one
        assert status == failed, (words, said)
        found = {str(name) for name in Table.read(tmp_path / f"{i}.ecsv")["file"]}
        assert found == set(names), words
    assert "passed by in folders: 1 .txt\n" in call(tmp_path, "infer", "in")[2]


def test_exit_status_and_the_list_of_what_failed(tmp_path):
    write(tmp_path / "a.fits")
    (tmp_path / "no.fits").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    assert call(tmp_path, "infer", "a.fits", "-o", "a.ecsv")[0] == 0
    assert not (tmp_path / "a.failed.ecsv").exists()
    status, out, _ = call(
        tmp_path, "infer", "a.fits", "no.fits", "notes.txt", "gone.fits", "-o", "b.ecsv", "--json"
    )
    assert status == 1
    assert set(json.loads(out)["failed"]) == {"no.fits", "notes.txt", "gone.fits"}
    failed = Table.read(tmp_path / "b.failed.ecsv")
    assert set(failed["file"]) == {"no.fits", "notes.txt", "gone.fits"}
    assert all(len(reason) > 20 for reason in failed["reason"])
    usage = {
        ("gone.fits",): "no input found: 'gone.fits' does not exist",
        ("x*.fits",): "no file matches",
        ("@gone.txt",): "list 'gone.txt'",
        ("a.fits", "-o", "x.txt"): "has no known ending; give one of .ecsv",
        ("a.fits", "-o", "."): "is a folder",
        ("a.fits", "-o", "no.fits/x.csv"): "cannot be written",
        ("a.fits", "--medium", "wet"): "--medium is 'wet'",
        ("a.fits", "--snr", "-1"): "--snr is -1",
        ("a.fits", "--device", "tpu"): "--device is 'tpu'; say cpu or cuda",
    }
    for words, sentence in usage.items():
        status, _, said = call(tmp_path, "infer", *words)
        assert (status, sentence in said) == (2, True), (words, said)
    assert call(tmp_path, "denoise", "a.fits", "-o", "no.fits")[0] == 2


def test_the_same_command_again_computes_nothing(tmp_path):
    write(tmp_path / "a.fits")
    assert call(tmp_path, "infer", "a.fits")[0] == 0
    before = (tmp_path / "labels.ecsv").stat().st_mtime_ns
    status, out, _ = call(tmp_path, "infer", "a.fits")
    assert status == 0
    assert "is there already" in out
    assert (tmp_path / "labels.ecsv").stat().st_mtime_ns == before
    status, _, said = call(tmp_path, "infer", "a.fits", "--seed", "1")
    assert status == 1
    assert "is there already; give --overwrite" in said
    status, _, said = call(tmp_path, "infer", "a.fits", "--overwrite")
    assert status == 0
    assert "replaces 'labels.ecsv': 1 rows, of 20" in said


@pytest.mark.parametrize("ending", [*tables.FORMATS])
def test_every_format_opens_again(tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    for i, name in enumerate(("a", "Ωμέγα")):
        write(tmp_path / f"{name}.fits", 1000 + i)
    assert call(tmp_path, "infer", "a.fits", "Ωμέγα.fits", "-o", f"labels{ending}")[0] == 0
    table = Table.read(tmp_path / f"labels{ending}")
    name = "%CE%A9%CE%BC%CE%AD%CE%B3%CE%B1" if ending == ".fits" else "Ωμέγα"
    assert [str(n) for n in table["file"]] == ["a.fits", f"{name}.fits"]
    assert (table["teff_16"] < table["teff_50"]).all()
    assert str(table["teff_50"].unit) == ("None" if ending == ".csv" else "K")
    for column in ("teff_16", "teff_50", "teff_84", "snr"):
        assert all(len(repr(float(x))) <= 7 for x in table[column]), column
    if ending != ".csv":
        assert table.meta["SEED"] == 0
        assert (
            "is there already"
            in call(tmp_path, "infer", "a.fits", "Ωμέγα.fits", "-o", f"labels{ending}")[1]
        )


def test_parquet_without_its_library_is_a_sentence_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("specnb.extras.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'specnb\[parquet\]'"):
        tables.check(Path("labels.parquet"))


def test_denoised_files_of_one_name_stay_apart_and_folders_are_mirrored(tmp_path):
    for i, name in enumerate(("n1/a.fits", "n2/a.fits", "n1/deep/a.fits", "b.fits")):
        write(tmp_path / name, 1000 + i)
    assert call(tmp_path, "denoise", "n1", "b.fits")[0] == 0
    made = tmp_path / "denoised"
    first = {"a.denoised.fits", "deep/a.denoised.fits", "b.denoised.fits"}
    assert names(made) == first
    assert call(tmp_path, "denoise", "n2")[0] == 0  # later, and still apart
    (other,) = names(made) - first
    assert other.startswith("a-")
    assert fits.getval(made / other, "SCALE") == pytest.approx(1001, rel=1e-3)
    assert fits.getval(made / "a.denoised.fits", "SCALE") == pytest.approx(1000, rel=1e-3)
    index = Table.read(made / "index.ecsv")
    assert set(index["output"]) == names(made)
    assert call(tmp_path, "denoise", "n1/a.fits", "n2/a.fits", "-o", "both")[0] == 0
    assert len(names(tmp_path / "both")) == 2


def names(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*.denoised.fits")}


def stop():
    raise KeyboardInterrupt


def test_denoise_goes_on_where_it_was_and_says_what_it_replaces(tmp_path, monkeypatch):
    for i in range(20):
        write(tmp_path / "in" / f"s{i:02d}.fits", 1000 + i)
    made, compute = tmp_path / "denoised", work.compute
    with monkeypatch.context() as patch:
        patch.setattr(
            pool,
            "compute",
            lambda batch, *rest: compute(batch, *rest) if len(batch) == 16 else stop(),
        )
        status, _, said = call(tmp_path, "denoise", "in")
    assert status == 130
    assert "16 of 20 files are finished" in said
    old = {p: p.stat().st_mtime_ns for p in made.glob("*.denoised.fits")}
    status, _, said = call(tmp_path, "denoise", "in")
    assert status == 0
    assert "16 of 20 files are finished already" in said
    assert sum(p.stat().st_mtime_ns == t for p, t in old.items()) == 16
    assert len(Table.read(made / "index.ecsv")) == 20
    (made / "s00.denoised.fits").unlink()
    status, _, said = call(tmp_path, "denoise", "in")
    assert "19 of 20 files are finished already" in said
    assert (made / "s00.denoised.fits").exists()
    write(tmp_path / "in" / "s01.fits", 7)  # another file now
    status, _, said = call(tmp_path, "denoise", "in")
    assert status == 1
    assert "1 of the products are there already, of other files or settings" in said
    status, _, said = call(tmp_path, "denoise", "in/s01.fits", "--overwrite")
    assert status == 0
    assert "replaces 1 products" in said
    assert fits.getval(made / "s01.denoised.fits", "SCALE") == pytest.approx(7, rel=1e-2)
    assert len(Table.read(made / "index.ecsv")) == 20


@pytest.fixture
def table_of_three(tmp_path):
    """A file of three spectra, the second without a good pixel, and a file of one beside it."""
    flux = np.array([[1000.0], [2000.0], [3000.0]]) * np.ones(N_PIXELS)
    ivar = np.full_like(flux, 1e-2)
    ivar[1] = 0
    survey_files.mastar(tmp_path / "many.fits", flux, ivar, WAVE)
    write(tmp_path / "one.fits", 500)
    return tmp_path


def test_a_file_of_many_spectra_gives_a_row_each(table_of_three):
    status, _, said = call(table_of_three, "infer", "many.fits", "one.fits", "-o", "labels.ecsv")
    assert status == 1
    found = Table.read(table_of_three / "labels.ecsv")
    assert found["file"].tolist() == ["many.fits", "many.fits", "one.fits"]
    assert found["row"].tolist() == [0, 2, -1]
    assert np.diff(found["teff_50"])[0] == pytest.approx(2000 / 7, rel=0.02)
    failed = Table.read(table_of_three / "labels.failed.ecsv")
    assert len(failed) == 1
    assert "row 1" in failed["reason"][0]
    assert "good pixels" in failed["reason"][0]
    again, out, said = call(table_of_three, "infer", "many.fits", "one.fits", "-o", "labels.ecsv")
    assert (again, "is there already" in out, "row 1" in said) == (1, True, True)


def test_a_file_of_many_spectra_gives_a_product_each(table_of_three):
    for _ in range(2):  # the second time there is nothing to do
        assert call(table_of_three, "denoise", "many.fits")[0] == 1
        made = table_of_three / "denoised"
        assert names(made) == {"many.row0.denoised.fits", "many.row2.denoised.fits"}
        assert fits.getval(made / "many.row2.denoised.fits", "ROW") == 2
        index = Table.read(made / "index.ecsv")
        assert index["output"].tolist() == ["many.row0.denoised.fits", "many.row2.denoised.fits"]


def test_headers_are_data_and_not_paths(tmp_path):
    """Names in files lead nowhere, whatever they say."""
    odd = ("../../x", "/etc/x", "a\\b", "~root", "x" * 60, "$(touch gone)")
    for i, name in enumerate(odd):
        write(tmp_path / "in" / f"s{i}.fits", 1000 + i, DESIG=name, OBJECT=name, FILENAME=name)
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert call(tmp_path, "denoise", "in", "-o", "out")[0] == 0
    new = {p for p in tmp_path.rglob("*") if p.is_file()} - before
    expected = {f"out/s{i}.denoised.fits" for i in range(len(odd))} | {"out/index.ecsv"}
    assert {p.relative_to(tmp_path).as_posix() for p in new} == expected


def test_errors_are_in_the_words_of_the_shell(tmp_path):
    header = {"CTYPE1": "LINEAR", "CUNIT1": "Angstrom", "CRVAL1": 3900.0, "CDELT1": 1.0}
    header |= {"CRPIX1": 1, "BUNIT": "erg / (s cm2 Angstrom)"}
    fits.PrimaryHDU(np.ones(3909), fits.Header(header)).writeto(tmp_path / "wcs.fits")
    words = ["infer", "wcs.fits"]
    for option, value in (("--medium", "vacuum"), ("--resolution", "1800"), ("--snr", "50")):
        status, _, said = call(tmp_path, *words)
        assert status == 1
        assert f"say {option} " in said, said
        words += [option, value]
    assert call(tmp_path, *words)[0] == 0


def test_a_fault_of_ours_stops_no_other_file(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"s{i}.fits", 1000 + i) for i in range(2)]
    found = inputs.find(map(str, paths), (".fits",), tmp_path / "out.ecsv")
    read = readers.read_each

    def breaks(path):
        if path.name == "s0.fits":
            raise KeyError("DESIG")
        yield from read(path)

    monkeypatch.setattr(readers, "read_each", breaks)
    failed = {source.key: {} for source in found.sources}
    items = list(work._items(found.sources, work.Settings(), failed))
    assert [item.source.path.name for item in items] == ["s1.fits"]
    (said,) = failed[found.sources[0].key].values()
    assert "s0.fits': KeyError: 'DESIG' (a fault of specnb: please report it)" in said


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"\xff\xfe.fits")
    try:
        write(tmp_path / "in" / "a.fits").rename(tmp_path / "in" / name)
    except OSError:
        pytest.skip("the file system wants UTF-8")
    assert call(tmp_path, "infer", "in")[0] == 0
    assert list(Table.read(tmp_path / "labels.ecsv")["file"]) == ["in/\\xff\\xfe.fits"]
    assert call(tmp_path, "denoise", "in")[0] == 0


def test_folders_that_hold_themselves(tmp_path):
    write(tmp_path / "in" / "a.fits")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    found = inputs.find([str(tmp_path / "in")], (".fits",), tmp_path / "out.ecsv")
    assert len(found.sources) == 1
    with pytest.raises(UsageError, match="list"):
        inputs.find(["@nowhere"], (".fits",), tmp_path / "out.ecsv")


def test_numbers_are_rounded_to_their_error():
    table = Table({f"x_{q}": [v, np.nan] for q, v in ((16, 1.23456), (50, 1.33333), (84, 1.43456))})
    table["ra"], table["y"], table["n"] = [123.456789012, 1.0], [0.000123456789, 0.0], [7, 8]
    found = tables.rounded(table)
    assert list(found[0]) == [1.23, 1.33, 1.43, 123.456789012, 0.00012346, 7]
    assert np.isnan(found["x_50"][1])
