"""Quality flags: why a result may be wrong, a bit each, with its threshold and its sentence.

A flag never changes a number. It says that a spectrum is not what the models know: labels at the edge of the prior, a
poor fit, errors that had to grow, windows that nothing in the prior explains, components far from those of the stars of
training. The layout is that of DESI's redrock (``zwarning.py``): the name, the bit, one line each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag

import numpy as np


class Quality(IntFlag):
    """Bits of the column ``flags``; 0 if nothing speaks against the result."""

    EDGE = 1
    BROAD_LINES = 2
    POOR_FIT = 4
    ERRORS_GREW = 8
    UNEXPLAINED = 16
    FAR_FROM_TRAINING = 32
    LOW_RESOLUTION = 64


@dataclass(frozen=True)
class Facts:
    """What the flags of a spectrum are judged by.

    Attributes
    ----------
    edges : list of str
        Labels whose most likely value lies at the edge of the prior.
    broader : float
        By how much χ² falls if lines are broader than any rotation of the prior makes them.
    inflation, chi2 : float
        Factor of the file's errors, and χ² a pixel before it.
    unexplained : int
        Windows that the prior cannot explain.
    distance : float
        Sum of squares of the components in units of the prior's standard deviations.
    snr : float
        Median of good pixels.
    resolution : float or None
        λ/FWHM.
    """

    edges: list[str]
    broader: float
    inflation: float
    chi2: float
    unexplained: int
    distance: float
    snr: float
    resolution: float | None


@dataclass(frozen=True)
class Rule:
    """When a flag is set, and what a user is told.

    Attributes
    ----------
    flag : Quality
    sentence : callable
        Facts → what is wrong.
    applies : callable
        Facts → whether it is.
    """

    flag: Quality
    sentence: Callable[[Facts], str]
    applies: Callable[[Facts], bool]


EDGE = 0.01
"""Share of the prior at either end that counts as its edge."""

MISFIT, INFLATED, MANY = 2.0, 2.0, 20
"""χ² and factor of the errors above which a fit is poor; windows that are many (real stars of the domain have up to
19, because no model is perfect)."""

BROAD = 25.0
"""Fall of χ² at R = 1000 that says that lines are broader than rotation of 50 km/s makes them."""

DISTANCE = ((5, 10, 20, 50, 100, 200), (45, 78, 149, 298, 430, 531))
"""S/N, and the distance that one simulated star in 200 exceeds there (512 test stars each)."""

TRAINED = (1500.0, 2100.0)
"""Resolving powers near enough to what the models were trained on, 1800."""

RULES = (
    Rule(
        Quality.EDGE,
        lambda f: (
            f"{' and '.join(f.edges)} at the edge of the prior: is the star inside 4300-7000 K, ±300 km/s?"
        ),
        lambda f: bool(f.edges),
    ),
    Rule(
        Quality.BROAD_LINES,
        lambda f: (
            "lines are broader than the prior knows: faster rotation, or a lower resolution than was said"
        ),
        lambda f: f.broader > BROAD * f.inflation**2,
    ),
    Rule(
        Quality.POOR_FIT,
        lambda f: f"poor fit, χ² = {f.chi2:.1f} a pixel",
        lambda f: f.chi2 > MISFIT,
    ),
    Rule(
        Quality.ERRORS_GREW,
        lambda f: f"errors had to grow by {f.inflation:.1f}",
        lambda f: f.inflation > INFLATED,
    ),
    Rule(
        Quality.UNEXPLAINED,
        lambda f: f"{f.unexplained} windows that no star of the prior explains",
        lambda f: f.unexplained >= MANY,
    ),
    Rule(
        Quality.FAR_FROM_TRAINING,
        lambda f: f"components far from those of the stars of training ({f.distance:.0f})",
        lambda f: f.distance > float(np.interp(f.snr, *DISTANCE)),
    ),
    Rule(
        Quality.LOW_RESOLUTION,
        lambda f: f"R = {f.resolution:.0f} is lower than what the models know",
        lambda f: f.resolution is not None and f.resolution < TRAINED[0],
    ),
)


def judge(facts: Facts) -> tuple[Quality, list[str]]:
    """Set the flags of a spectrum and say why.

    Returns
    -------
    flags : Quality
    sentences : list of str
        One for each flag that is set.
    """
    applying = [rule for rule in RULES if rule.applies(facts)]
    flags = Quality(0)
    for rule in applying:
        flags |= rule.flag
    return flags, [rule.sentence(facts) for rule in applying]
