"""False alarms come as often as stated, and what is injected is found where it is and as deep as it is."""

import numpy as np
import pytest
from scipy.stats import binomtest

import specnb
from specnb.grid import WAVE
from specnb.spectral_lines.anomalies import SIGMA, false_alarm, matched_filter


def inject(flux, pixel, depth):
    """``flux`` with a line as narrow as the line-spread function."""
    return flux - depth * np.exp(-0.5 * ((np.arange(len(WAVE)) - pixel) / SIGMA) ** 2)


def test_width_of_the_line_is_that_of_the_line_spread_function():
    fwhm = SIGMA * np.sqrt(8 * np.log(2)) * (WAVE[1] / WAVE[0] - 1)
    assert fwhm == pytest.approx(1 / 1800, rel=1e-3)


@pytest.mark.parametrize("gaps", [False, True])
def test_white_noise_exceeds_as_often_as_stated(gaps):
    rng = np.random.default_rng(0)
    n, pixels = 4000, 3136
    ivar = rng.uniform(50, 200, (n, pixels)) * (rng.random((n, pixels)) > (0.05 if gaps else 0))
    noise = rng.standard_normal((n, pixels)) / np.sqrt(np.where(ivar > 0, ivar, 1))
    t, _ = matched_filter(noise, ivar)
    assert np.nanstd(t) == pytest.approx(1, abs=0.01)
    largest = np.nanmax(np.abs(t), 1)
    for p in (0.2, 0.05, 0.01):
        hits = int((false_alarm(largest, pixels) < p).sum())
        assert binomtest(hits, n, p).pvalue > 1e-3, f"{hits / n} instead of {p}"


def test_simulated_stars_alarm_as_often_as_stated():
    n, p, hits = 2000, 0.05, 0
    for part in range(4):
        s = specnb.simulate(n // 4, 700 + part)
        hits += len(set(specnb.anomalies(s.observed, s.ivar, p)["spectrum"]))
    assert binomtest(hits, n, p).pvalue > 1e-3, f"{hits / n} instead of {p}"


@pytest.mark.parametrize("depth", [0.2, -0.2])
def test_an_injected_line_is_found(depth):
    s = specnb.simulate(4, 3, snr=50)
    y = s.observed.copy()
    y[2] = inject(y[2], 1500, depth)
    table = specnb.anomalies(y, s.ivar, p_value=1e-4)
    assert list(table["spectrum"]) == [2]
    assert abs(table["wave"][0] / WAVE[1500] - 1) < 1e-4 * np.log(10) * 1.5
    assert table["depth"][0] == pytest.approx(depth, abs=0.06)
    area = depth * np.sqrt(2 * np.pi) * WAVE[1500] / 1800 / np.sqrt(8 * np.log(2))
    assert table["ew"][0] == pytest.approx(area, rel=0.3)
    assert table["ew"].unit == "AA"


def test_nothing_found_is_an_empty_table():
    s = specnb.simulate(1, 3, snr=50)
    assert len(specnb.anomalies(s.observed[0], s.ivar[0], p_value=1e-6)) == 0


@pytest.mark.parametrize("p", [0, 1, -0.5])
def test_p_value_is_a_probability(p):
    s = specnb.simulate(1, 3)
    with pytest.raises(ValueError, match=r"p_value is .*; give a probability"):
        specnb.anomalies(s.observed, s.ivar, p_value=p)
