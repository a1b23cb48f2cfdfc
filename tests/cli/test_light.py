"""What is imported when, and what is said where an optional library is missing."""

import subprocess
import sys

import pytest

HELP = """
import sys
sys.argv = ["specnb", "--help"]
try:
    from specnb.cli import app
    app()
except SystemExit as end:
    assert not end.code
"""
HEAVY = (
    *("torch", "numpy", "astropy", "specutils", "scipy", "matplotlib", "pandas", "papermill"),
    *("sklearn", "yaml", "tqdm"),
)
OPTIONAL = (
    *("specutils", "pandas", "sklearn", "matplotlib", "seaborn", "papermill", "plotly"),
    *("lightning_fabric", "h5py", "arviz_stats", "pydantic"),
)


def python(code, *words):
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def loaded(code, names):
    """Of ``names``, the modules that a fresh interpreter has imported after ``code``."""
    done = python(f"{code}\nprint(); print(*[n for n in {names!r} if n in sys.modules])")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("code", ["import sys, specnb", "import sys, specnb.cli", HELP])
def test_help_waits_for_nothing_heavy(code):
    assert loaded(code, HEAVY) == []


def test_public_functions_wait_for_nothing_optional():
    code = "import sys\nfrom specnb import denoise, infer, sample_posterior"
    assert loaded(code, OPTIONAL) == []


WITHOUT = """
import sys
for name in sys.argv[1].split():
    sys.modules[name] = None
"""
COMMAND = (
    WITHOUT
    + """
from specnb.cli import app
sys.argv = ["specnb", *sys.argv[2:]]
app()
"""
)


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("matplotlib", "plot spectrum.fits", "plot"),
        ("seaborn", "plot spectrum.fits", "plot"),
        ("lightning_fabric", "train --name unet --profile smoke -o {folder}", "train"),
        ("h5py", "emulator train --grid {folder}/grid.h5", "train"),
        ("papermill", "run", "book"),
        ("plotly", "book", "book"),
        ("matplotlib", "answer", "book"),
        ("sklearn", "ablate", "book"),
        ("pandas", "grid sources {folder}", "grid"),
    ],
)
def test_a_missing_extra_is_a_sentence_with_the_command_that_installs_it(
    tmp_path, missing, command, extra
):
    (tmp_path / "grid.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    done = python(COMMAND, missing, *command.format(folder=tmp_path).split())
    assert done.returncode == 1
    assert f"needs {missing}, not installed here: pip install 'specnb[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


BASE = (
    WITHOUT
    + """
import numpy as np
import specnb
stars = specnb.simulate(2, 1, snr=20)
for method in ("bounded", "wavelet", "gp", "wiener", "pca", "savgol", "dncnn"):
    assert specnb.denoise(stars.observed, stars.ivar, method=method).shape == (2, 3136)
assert len(specnb.infer(stars.observed, stars.ivar, 8)) == 2
assert specnb.sample_posterior(stars.observed, stars.ivar, 2).shape[-1] == 3136
specnb.anomalies(stars.observed[0], stars.ivar[0])
specnb.lines(stars.flux, 0.0)
try:
    specnb.oracle(stars.observed, stars.ivar)
except ImportError as error:
    assert "pip install 'specnb[train]'" in str(error), error
else:
    raise AssertionError
"""
)


def test_the_base_does_without_what_is_optional():
    done = python(BASE, " ".join(name for name in OPTIONAL if name != "specutils"))
    assert done.returncode == 0, done.stderr
