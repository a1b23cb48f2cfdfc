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
}


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
    every = {k: v for fault, _ in WRONG.values() for k, v in fault.items()}
    every["broader"] = 1e3  # the threshold grows with the errors
    found, said = flags.judge(replace(GOOD, **every))
    assert found == Quality(2 ** len(Quality) - 1)
    assert len(said) == len(Quality)
    assert [rule.flag for rule in flags.RULES] == list(Quality)
