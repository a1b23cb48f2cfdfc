"""Line errors of spectra that were changed by hand."""

import numpy as np
import pytest

from specnb import simulate
from specnb.experiments import lines
from specnb.spectral_lines.line_table import LINES


@pytest.fixture(scope="module")
def stars():
    return simulate(12, 41, snr=50)


def test_the_truth_has_no_errors(stars):
    rv = np.asarray(stars.labels["rv"], "f8")
    found = lines.errors(stars.flux, stars.flux, rv)
    assert list(found) == list(LINES)
    for line in found.values():
        assert line.typical > 0
        for name in lines.QUANTITIES:
            assert getattr(line, name).bias == (0, 0, 0)


def test_lines_that_are_weaker_everywhere_are_seen(stars):
    rv = np.asarray(stars.labels["rv"], "f8")
    found = lines.errors(
        0.9 * stars.flux + 0.1 * np.median(stars.flux, 1, keepdims=True), stars.flux, rv
    )
    for line in ("Hα", "Mg b", "Ca II 8542"):
        assert found[line].ew.bias.value == pytest.approx(-10, abs=4)
        assert found[line].depth.bias.value < 0
        assert abs(found[line].velocity.bias.value) < 3


def test_spectra_by_method(stars):
    few = simulate(2, 42, snr=50)
    found = lines.spectra(["none", "bounded"], few)
    assert np.array_equal(found["none"][few.ivar > 0], few.observed[few.ivar > 0])
    assert np.abs(found["bounded"] - few.flux).max() < 0.1
