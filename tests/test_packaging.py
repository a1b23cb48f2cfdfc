"""The wheel holds what an installed package loads, and nothing that it does not."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from astropy.table import Table

import specnb
from specnb.observing import survey_files

ROOT = Path(__file__).parent.parent
BOUND = 50e6
"""Bytes of the wheel at most; weights are nearly all of it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy: setuptools leaves a folder ``build`` behind, and book pages lie there."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("specnb", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = out.iterdir()
    return path


def test_the_wheel_has_every_module_and_every_asset(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "specnb").rglob("*.py")}
    assets = {p.relative_to(ROOT).as_posix() for p in (ROOT / "specnb" / "assets").iterdir()}
    assert package | assets | {"specnb/py.typed"} == {n for n in names if n.startswith("specnb/")}
    others = names - package - assets - {"specnb/py.typed"}
    assert all(re.match(r"specnb-[0-9.]+\.dist-info/", name) for name in others), others


def test_the_wheel_is_small_and_has_no_grid(wheel):
    with zipfile.ZipFile(wheel) as file:
        assert not [n for n in file.namelist() if "lte_grid" in n and not n.endswith(".py")]
    assert wheel.stat().st_size < BOUND


def test_every_asset_is_loaded_by_something():
    """By its name in the package, in a notebook or a test, or by that of its model."""
    models = {
        "bounded",
        "correction",
        "dncnn",
        "emulator",
        "labels",
        "spread",
        "supervised",
        "wmae",
    }
    files = [*ROOT.glob("specnb/**/*.py"), *ROOT.glob("notebooks/*.ipynb")]
    text = "\n".join(path.read_text() for path in files)
    for path in (ROOT / "specnb" / "assets").iterdir():
        assert path.stem in models or path.name in text, path


def test_the_wheel_asks_for_what_pyproject_lists(wheel):
    with zipfile.ZipFile(wheel) as file:
        (name,) = (n for n in file.namelist() if n.endswith("dist-info/METADATA"))
        text = file.read(name).decode()
    extras = set(re.findall(r"^Provides-Extra: (.*)$", text, re.MULTILINE))
    assert extras == {"plot", "parquet", "train", "grid", "book", "test", "dev"}
    base = re.findall(r"^Requires-Dist: ([A-Za-z0-9-]+)[^;\n]*$", text, re.MULTILINE)
    assert sorted(base, key=str.lower) == [
        *("astropy", "numpy", "pywavelets", "safetensors", "scipy", "specutils", "torch"),
        *("tqdm", "typer", "zuko"),
    ]
    (entry,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("entry_points.txt"))
    assert "specnb = specnb.cli:app" in zipfile.ZipFile(wheel).read(entry).decode()


INSTALLED = """
import sys
missing, *commands = sys.argv[1:]
for name in missing.split():
    sys.modules[name] = None
from typer.testing import CliRunner
from specnb.cli import app
for command in commands:
    result = CliRunner().invoke(app, command.split())
    print(result.exit_code, result.stderr.strip())
"""


@pytest.mark.slow
def test_what_the_wheel_holds_is_enough_to_denoise_and_infer(wheel, tmp_path):
    """The wheel, unpacked elsewhere, on a mock survey file, with none of the extras."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    stars = specnb.simulate(1, 11, snr=30)
    survey_files.lamost(tmp_path / "star.fits", stars.observed[0], stars.ivar[0])
    missing = "matplotlib seaborn pandas sklearn papermill h5py lightning_fabric arviz_stats"
    commands = ["denoise star.fits -o out", "infer star.fits -o labels.ecsv"]
    commands += ["plot star.fits", "emulator train -o emulator"]
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, missing, *commands],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    denoise, infer, plot, train = done.stdout.splitlines()
    assert (denoise, infer) == ("0 ", "0 "), done.stderr
    assert (tmp_path / "out" / "star.denoised.fits").is_file()
    table = Table.read(tmp_path / "labels.ecsv")
    assert abs(table["teff_50"][0] - stars.labels["teff"][0]) < 300
    assert plot.startswith("1 ")
    assert plot.endswith("pip install 'specnb[plot]'")
    assert train.startswith("1 ")
    assert "give --grid FILE" in train  # and so it is the wheel that ran, not the clone
