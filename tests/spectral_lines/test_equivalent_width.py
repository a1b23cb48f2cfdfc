"""Equivalent widths against lines of known strength."""

import numpy as np
import pytest

from specnb.grid import WAVE
from specnb.spectral_lines.equivalent_width import equivalent_width, strengths
from specnb.spectral_lines.line_table import LINES

ONE = np.ones((1, 3136))
WINDOW, BANDS = (6540.0, 6590.0), ((6500.0, 6530.0), (6600.0, 6640.0))


def gaussian_line(centre=6564.6, depth=0.5, width=3.0):
    """A line of known EW, depth · width · √(2π), on a sloped continuum; (1, 3136) and the EW."""
    continuum = 1.1 + 1e-3 * (WAVE - 6500)
    flux = continuum * (1 - depth * np.exp(-0.5 * ((WAVE - centre) / width) ** 2))
    return flux[None], depth * width * np.sqrt(2 * np.pi)


def test_equivalent_width_of_a_gaussian_line():
    flux, expected = gaussian_line()
    good = np.ones(flux.shape, dtype=bool)
    assert equivalent_width(flux, good, WINDOW, BANDS) == pytest.approx([expected], rel=1e-4)
    assert equivalent_width(1 + 0 * flux, good, WINDOW, BANDS) == pytest.approx([0], abs=1e-12)


def test_equivalent_width_of_a_part_of_a_line():
    """A box of depth 0.2 over window and beyond: EW = 0.2 × the window's width, whatever its fractions of pixels."""
    flux = np.where((WAVE > 6535) & (WAVE < 6595), 0.8, 1.0)[None]
    for low in (6540.0, 6540.3, 6540.9):
        value = equivalent_width(flux, flux > 0, (low, 6590.0), BANDS)
        assert value == pytest.approx([0.2 * (6590 - low)])


def test_equivalent_width_bridges_gaps_and_leaves_bad_pixels_out():
    flux, expected = gaussian_line(width=6.0)
    flux, good = np.repeat(flux, 3, 0), np.ones((3, 3136), dtype=bool)
    good[0, np.searchsorted(WAVE, 6561)] = (
        False  # on the flank of the line, where the profile is almost straight
    )
    good[0, np.searchsorted(WAVE, 6510)] = False  # in a band
    good[1, (WAVE > 6500) & (WAVE < 6520)] = False  # most of a band
    good[2, (WAVE > 6550) & (WAVE < 6580)] = False  # most of the window
    value = equivalent_width(np.where(good, flux, np.nan), good, WINDOW, BANDS)
    assert value[0] == pytest.approx(expected, rel=5e-3)
    assert np.isnan(value).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: equivalent_width(ONE[:, :9], ONE > 0, WINDOW, BANDS),
            r"flux has shape \(1, 9\)",
        ),
        (
            lambda: equivalent_width(ONE, ONE > 0, (9000, 9010), BANDS),
            r"window is \(9000, 9010\)",
        ),
        (
            lambda: equivalent_width(ONE, ONE > 0, (6510, 6590), BANDS),
            "one band on either side of the window",
        ),
        (
            lambda: equivalent_width(ONE * np.nan, ONE > 0, WINDOW, BANDS),
            "flux of spectrum 0 is nan at pixel 0",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_table_is_that_of_the_literature():
    """Vacuum minus air at these wavelengths is n - 1 = 2.76e-4 to 2.80e-4 (Morton 2000)."""
    air = {"Hβ": 4861.33, "Hα": 6562.80, "Ca II 8542": 8542.09}
    for name, wave in air.items():
        assert 2.74e-4 < LINES[name].wave / wave - 1 < 2.81e-4


def test_windows_lie_between_their_bands():
    for line in LINES.values():
        for ranges in (line.rest, line.wide):
            if ranges:
                (_, blue), (red, _) = ranges.bands
                low, high = ranges.window
                assert low < line.wave < high
                assert blue < line.wave < red


def test_well_known_lines_are_measured_by_name():
    found = strengths(1 - 0.3 * np.exp(-0.5 * ((WAVE - LINES["Hα"].wave) / 3) ** 2)[None])
    assert list(found) == [name for name, line in LINES.items() if line.wide]
    assert found["Hα"][0] == pytest.approx(0.3 * 3 * np.sqrt(2 * np.pi), rel=0.01)
    assert abs(found["Mg b"][0]) < 1e-9
