"""Quality flags: a bit each, with its threshold and its sentence."""

from dataclasses import replace

import pytest

from specnb.observing import flags
from specnb.observing.flags import Quality

GOOD = flags.Facts(
    edges=[], broader=0.0, inflation=1.0, chi2=1.0, unexplained=3, distance=20.0, snr=50.0, resolution=1800.0
)  # fmt: skip
WRONG = {
    Quality.EDGE: (dict(edges=["teff", "rv"]), "teff and rv at the edge of the prior"),
    Quality.BROAD_LINES: (dict(broader=26.0), "lines are broader"),
    Quality.POOR_FIT: (dict(chi2=2.1), "poor fit, χ² = 2.1"),
    Quality.ERRORS_GREW: (dict(inflation=2.5), "errors had to grow by 2.5"),
    Quality.UNEXPLAINED: (dict(unexplained=20), "20 windows that no star"),
    Quality.FAR_FROM_TRAINING: (dict(distance=300.0), "(300)"),
    Quality.LOW_RESOLUTION: (dict(resolution=1000.0), "R = 1000 is lower"),
    Quality.TEFF_EDGE: (dict(at_edge={"teff": (0.0, 0.9)}), "Teff pile up at the upper edge"),
    Quality.LOGG_EDGE: (dict(at_edge={"logg": (0.9, 0.0)}), "log g pile up at the lower edge"),
    Quality.M_H_EDGE: (dict(at_edge={"m_h": (0.9, 0.0)}), "[M/H] pile up at the lower edge"),
    Quality.ALPHA_M_EDGE: (dict(at_edge={"alpha_m": (0.0, 0.9)}), "[α/M] pile up at the upper"),
    Quality.RV_EDGE: (dict(velocity=-402.0, faster=80.0), "near -402 km/s, beyond"),
    Quality.VSINI_EDGE: (dict(at_edge={"vsini": (0.0, 0.2)}), "v sin i piles up at 50 km/s"),
    Quality.CHI2_SMALL: (dict(chi2=0.01), "χ² = 0.010 a pixel: errors are far too large"),
    Quality.ERRORS_SHRANK: (dict(inflation=0.3), "errors had to shrink to 0.30"),
    Quality.LOW_SNR: (dict(snr=4.0), "S/N 4.0 is below 5"),
    Quality.DOUBLE_LINES: (dict(double=30.0, separation=276.0), "two sets of lines, 276 km/s"),
    Quality.GAPS: (dict(gap=80), "no data over 80 pixels"),
    Quality.COSMIC_RAYS: (dict(cosmic_rays=3), "3 pixels masked as cosmic rays"),
    Quality.EMISSION: (dict(emission=["Hα"]), "Hα in emission"),
    Quality.NOT_A_STAR: (dict(lines_left=0.9), "leaves 90% of the lines unexplained"),
    Quality.FEW_PIXELS: (dict(pixels=700), "only 700 good pixels"),
    Quality.RESAMPLED: (dict(resampled=True), "pixels are not those of the file"),
}
OLD = {"EDGE": 1, "BROAD_LINES": 2, "POOR_FIT": 4, "ERRORS_GREW": 8, "UNEXPLAINED": 16, "FAR_FROM_TRAINING": 32,
       "LOW_RESOLUTION": 64}  # fmt: skip


def test_a_good_spectrum_has_none():
    assert flags.judge(GOOD) == (Quality(0), [])
    assert flags.judge(replace(GOOD, resolution=None)) == (Quality(0), [])


@pytest.mark.parametrize("flag", Quality)
def test_each_flag_is_set_by_its_own_fault(flag):
    fault, sentence = WRONG[flag]
    found, said = flags.judge(replace(GOOD, **fault))
    assert found == flag
    assert len(said) == 1
    assert sentence in said[0]


def test_flags_add_up_and_each_bit_has_one_rule():
    """All but those that exclude each other: χ² and errors are not too large and too small at once."""
    apart = {Quality.CHI2_SMALL, Quality.ERRORS_SHRANK}
    faults = [fault for flag, (fault, _) in WRONG.items() if flag not in apart]
    every = {k: v for fault in faults for k, v in fault.items()}
    every["at_edge"] = {k: v for fault in faults for k, v in fault.get("at_edge", {}).items()}
    every["broader"] = every["faster"] = 1e3  # the thresholds grow with the errors
    found, said = flags.judge(replace(GOOD, **every))
    assert found == Quality(2 ** len(Quality) - 1) & ~sum(apart)
    assert len(said) == len(Quality) - len(apart)
    assert [rule.flag for rule in flags.RULES] == list(Quality)


def test_bits_that_were_written_keep_their_meaning():
    assert {name: int(Quality[name]) for name in OLD} == OLD


def test_good_is_what_no_flag_forbids():
    assert flags.good(Quality(0))
    for rule in flags.RULES:
        assert flags.good(rule.flag) is not rule.do_not_use
    assert not flags.good(Quality.COSMIC_RAYS | Quality.NOT_A_STAR)
    assert flags.DO_NOT_USE & (Quality.RESAMPLED | Quality.GAPS) == 0


def test_every_bit_has_one_rule_in_the_order_of_the_bits():
    assert [rule.flag for rule in flags.RULES] == list(Quality)
