"""Mutated files: a clean error or a valid result, and nothing else."""

import sys
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from specutils import Spectrum

from specnb.grid import N_PIXELS, WAVE
from specnb.observing import native, readers

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import fuzz

FREE = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
}  # no shrinking: minutes
VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-40, 3.4e38)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return [*fuzz.layouts(tmp_path_factory.mktemp("originals")).values()]


def check(path):
    """A file gives a clean error or a valid result."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y, w, _ = native.onto_grid(readers.read(path))
    except ValueError:
        return  # clean: it says what is wrong
    assert y.shape == w.shape == (N_PIXELS,)
    assert np.isfinite(y).all()
    assert np.isfinite(w).all()
    assert (w >= 0).all()
    assert (w > 0).sum() >= native.LEAST


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # files that specutils leaves open
@settings(max_examples=600, **FREE)
@given(data=st.data())
def test_bytes_that_are_wrong(originals, tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(originals)))
    n = len(content)
    for _ in range(data.draw(st.integers(1, 12))):
        where = data.draw(
            st.one_of(st.integers(0, min(11520, n - 1)), st.integers(0, n - 1))
        )  # half of them in headers
        content[where] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(n), st.integers(0, n)))
    path = tmp_path_factory.mktemp("mutated") / "a.fits"
    path.write_bytes(bytes(content[:end]))
    check(path)


@pytest.mark.slow
@settings(max_examples=40, **FREE)
@given(data=st.data())
def test_numbers_that_are_wrong(data):
    """Any of the arrays of a spectrum with absurd values in it: all the way to the normalised spectrum."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    flux, ivar, wave = (
        np.ones(N_PIXELS) + 0.02 * rng.standard_normal(N_PIXELS),
        np.full(N_PIXELS, 2500.0),
        WAVE.copy(),
    )
    for _ in range(data.draw(st.integers(1, 3))):
        array = data.draw(st.sampled_from([flux, ivar, wave]))
        start, length = (
            data.draw(st.integers(0, N_PIXELS - 1)),
            data.draw(st.sampled_from([1, 3, 100, N_PIXELS])),
        )
        array[start : start + length] = data.draw(st.sampled_from(VALUES))
    meta = {
        "medium": data.draw(st.sampled_from(["air", "vacuum"])),
        "resolution": data.draw(st.sampled_from([1800, 5000])),
    }
    try:
        spectrum = Spectrum(
            flux=flux * u.one, spectral_axis=wave * u.AA, uncertainty=InverseVariance(ivar), meta=meta
        )  # fmt: skip
    except ValueError:
        return  # specutils itself refuses
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y, w = native.to_native(spectrum)
    except ValueError:
        return
    assert np.isfinite(y).all()
    assert np.isfinite(w).all()
    assert (w >= 0).all()
