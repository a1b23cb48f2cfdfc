"""Line measurements of Gaussian lines, whose width, depth and velocity are known."""

import numpy as np
import pytest

from specnb.grid import SPEED_OF_LIGHT, WAVE
from specnb.spectral_lines import indices
from specnb.spectral_lines.line_table import LINES

SD = 1.8


def gaussian(depth, rv, shift=0.0, slope=0.0):
    """Every line a Gaussian in the star's frame, displaced by ``shift`` km/s, on a sloped continuum."""
    rest = WAVE / (1 + rv / SPEED_OF_LIGHT)
    flux = np.ones_like(WAVE)
    for line in LINES.values():
        at = line.wave * (1 + shift / SPEED_OF_LIGHT)
        flux = flux * (1 - depth * np.exp(-0.5 * ((rest - at) / SD) ** 2))
    return flux * (1 + slope * (WAVE - 6500) / 1000)


@pytest.mark.parametrize(("rv", "slope"), [(0.0, 0.0), (180.0, 0.03), (-250.0, -0.02)])
def test_a_gaussian_line_has_its_own_numbers(rv, slope):
    found = indices.lines(gaussian(0.4, rv, slope=slope), rv)
    assert len(found) == 7
    middle = found[
        [name != "Mg b" for name in found["line"]]
    ]  # Mg b's window is not about its rest wavelength
    assert np.allclose(middle["ew"], 0.4 * SD * np.sqrt(2 * np.pi), rtol=0.03)
    assert np.allclose(found["depth"], 0.4, atol=0.015)
    assert np.abs(middle["velocity"]).max() < 6
    at = np.array([LINES[name].wave for name in found["line"]]) * (1 + rv / SPEED_OF_LIGHT)
    expected = 1 + slope * (at - 6500) / 1000
    assert np.allclose(found["continuum"], expected, atol=0.005)


def test_a_shifted_line_is_seen_by_its_velocity():
    still, moved = (indices.lines(gaussian(0.4, 50.0, shift), 50.0) for shift in (0.0, 12.0))
    assert np.allclose(moved["velocity"] - still["velocity"], 12, atol=2)


def test_bad_pixels_are_left_out():
    flux, ivar = gaussian(0.4, 0.0), np.ones_like(WAVE)
    flux[np.abs(WAVE - 6564.6) < 1] = 40
    ivar[np.abs(WAVE - 6564.6) < 1] = 0
    ivar[(WAVE > 5870) & (WAVE < 5920)] = 0
    found = indices.lines(flux, 0.0, ivar)
    h_alpha = found[found["line"] == "Hα"]
    assert h_alpha["ew"][0] == pytest.approx(0.4 * SD * np.sqrt(2 * np.pi), rel=0.1)
    assert np.isnan(found[found["line"] == "Na D"]["ew"]).all()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="rv is nan; give km/s"):
        indices.lines(np.ones(3136), np.nan)
    with pytest.raises(ValueError, match="flux has shape"):
        indices.lines(np.ones(100), 0.0)
