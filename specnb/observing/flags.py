"""Quality flags: why a result may be wrong, a bit each, with its threshold, its cause and what to do.

A flag never changes a number. Some say *do not use*: the spectrum is not of the kind that the models know, and its
labels may be anything. Others say *take note*: of what was done, or of one label. ``good`` is true if nothing says *do
not use*. The layout is that of DESI's redrock (``zwarning.py``): the name, the bit, one rule each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from specnb.observing.facts import Facts


class Quality(IntFlag):
    """Bits of the column ``flags``; 0 if nothing is to be said."""

    EDGE = 1
    BROAD_LINES = 2
    POOR_FIT = 4
    ERRORS_GREW = 8
    UNEXPLAINED = 16
    FAR_FROM_TRAINING = 32
    LOW_RESOLUTION = 64
    TEFF_EDGE = 1 << 7
    LOGG_EDGE = 1 << 8
    M_H_EDGE = 1 << 9
    ALPHA_M_EDGE = 1 << 10
    RV_EDGE = 1 << 11
    VSINI_EDGE = 1 << 12
    CHI2_SMALL = 1 << 13
    ERRORS_SHRANK = 1 << 14
    LOW_SNR = 1 << 15
    GAPS = 1 << 16
    COSMIC_RAYS = 1 << 17
    EMISSION = 1 << 18
    NOT_A_STAR = 1 << 19
    FEW_PIXELS = 1 << 20
    RESAMPLED = 1 << 21
    DOUBLE_LINES = 1 << 22


@dataclass(frozen=True)
class Reason:
    """When a flag is set, and what a user is told.

    Attributes
    ----------
    flag : Quality
    sentence : callable
        Facts → what is wrong.
    applies : callable
        Facts → whether it is.
    cause, remedy : str
        What is usually behind it, and what to do.
    do_not_use : bool
        Whether labels may be anything; otherwise the flag says what to take note of.
    """

    flag: Quality
    sentence: Callable[[Facts], str]
    applies: Callable[[Facts], bool]
    cause: str
    remedy: str
    do_not_use: bool


EDGE = 0.01
"""Share of the prior at either end that counts as its edge."""

CROWDED = 0.5
"""Share of a label's draws at an edge from which the label is said to lie there."""

COOL = 4400.0
"""Teff in K below which most stars are cooler than 4300 K: molecules that the models lack make them look hotter."""

EMPTY = (6500.0, -2.2)
"""Teff in K and [M/H] beyond which old stars have left the main sequence, so that what is found there is hotter."""

LIMIT = 0.16
"""The same from which a limit is printed instead of an interval: one end of 68 % is the prior's own."""

MISFIT, INFLATED, MANY = 2.0, 2.0, 20
"""χ² and factor of the errors above which a fit is poor; windows that are many (real stars of the domain have up to
19, because no model is perfect)."""

BROAD = 25.0
"""Fall of χ² at R = 1000 that says that lines are broader than rotation of 50 km/s makes them."""

DISTANCE = ((5, 10, 20, 50, 100, 200), (45, 78, 149, 298, 430, 531))
"""S/N, and the distance that one simulated star in 200 exceeds there (512 test stars each)."""

TRAINED = (1500.0, 2100.0)
"""Resolving powers near enough to what the models were trained on, 1800."""

PERFECT = 50.0
"""S/N above which the models' own errors are seen, so that χ² grows with its square."""

TOO_GOOD, SHRANK = 0.1, 0.5
"""χ² and factor of the errors below which the file's errors are too large."""

LEFT = 0.85
"""Share of the lines unexplained by the best star above which a spectrum is none."""

FASTER = 25.0
"""Gain in χ² that a velocity beyond the prior must bring."""

TWO = 25.0
"""Fall of χ² that two stars must bring, compared with any single one, to be believed."""

LEAST_SNR = 5.0
"""The lowest S/N that the models know."""

WIDE, FEW = 60, 1500
"""Native pixels: a gap worth a word, and good pixels that are few."""

_NAMES = {
    "teff": "Teff", "logg": "log g", "m_h": "[M/H]", "alpha_m": "[α/M]", "rv": "radial velocity", "vsini": "v sin i",
}  # fmt: skip


def share_at_edge(facts: Facts, label: str) -> float:
    """Return the share of a label's draws in the outer 1 % of the prior, at the end that has more."""
    return max(facts.at_edge.get(label, (0.0, 0.0)))


def _teff_edge(facts: Facts) -> str:
    if share_at_edge(facts, "teff") > CROWDED:
        return _at_end("teff")(facts)
    if facts.empty > CROWDED:
        return (
            "draws lie where no star is: a hot star has as few lines as a warm, very metal-poor one"
        )
    return f"draws of Teff lie below {COOL:.0f} K, where most stars are cooler than the models know"


def _at_end(label: str) -> Callable[[Facts], str]:
    def sentence(facts: Facts) -> str:
        low, high = facts.at_edge.get(label, (0.0, 0.0))
        end = "upper" if high > low else "lower"
        return f"draws of {_NAMES[label]} pile up at the {end} edge of the prior"

    return sentence


def _rv_edge(facts: Facts) -> str:
    if facts.faster > FASTER * facts.inflation**2:
        return f"radial velocity is near {facts.velocity:+.0f} km/s, beyond ±300 km/s of the prior"
    return _at_end("rv")(facts)


def _vsini_edge(facts: Facts) -> str:
    return "v sin i piles up at 50 km/s, the edge of the prior: a lower limit is given"


RULES = (
    Reason(
        Quality.EDGE,
        lambda f: (
            f"{' and '.join(f.edges)} at the edge of the prior: is the star inside 4300-7000 K, ±300 km/s?"
        ),
        lambda f: bool(f.edges),
        "The best fit lies at the edge of the prior; the flags of single labels say whether the draws do, too",
        "Take the labels that are named as limits",
        False,
    ),
    Reason(
        Quality.BROAD_LINES,
        lambda f: (
            "lines are broader than the prior knows: faster rotation, or a lower resolution than was said"
        ),
        lambda f: f.broader > BROAD * f.inflation**2,
        "Rotation above 50 km/s, a hot star, or a resolving power below what was said",
        "Check the resolving power; labels other than Teff suffer first",
        True,
    ),
    Reason(
        Quality.POOR_FIT,
        lambda f: f"poor fit, χ² = {f.chi2:.1f} a pixel",
        lambda f: f.chi2 > misfit(f.snr),
        "No star of the models is like it, or errors are too small",
        "Look at the residuals and at the windows in the table of anomalies; errors of labels are grown",
        False,
    ),
    Reason(
        Quality.ERRORS_GREW,
        lambda f: f"errors had to grow by {f.inflation:.1f}",
        lambda f: f.inflation > INFLATED,
        "The file's errors are too small, or the model is wrong by more than it knows",
        "Labels have errors that are grown accordingly; check the unit of the errors",
        False,
    ),
    Reason(
        Quality.UNEXPLAINED,
        lambda f: f"{f.unexplained} windows that no star of the prior explains",
        lambda f: f.unexplained >= MANY,
        "Emission, bad pixels, sky residuals, a composite spectrum",
        "See the table of anomalies for the places",
        False,
    ),
    Reason(
        Quality.FAR_FROM_TRAINING,
        lambda f: f"components far from those of the stars of training ({f.distance:.0f})",
        lambda f: f.distance > float(np.interp(f.snr, *DISTANCE)),
        "The spectrum as a whole is not like one of the models'",
        "Leave it out, unless the fit is seen to be good",
        True,
    ),
    Reason(
        Quality.LOW_RESOLUTION,
        lambda f: f"R = {f.resolution:.0f} is lower than what the models know",
        lambda f: f.resolution is not None and f.resolution < TRAINED[0],
        "The instrument resolves less than 1500",
        "v sin i and [M/H] are wrong; do not use labels",
        True,
    ),
    Reason(
        Quality.TEFF_EDGE,
        _teff_edge,
        lambda f: max(share_at_edge(f, "teff"), f.cool, f.empty) > CROWDED,
        "Hotter than 7000 K (few lines: hot stars pass for metal-poor ones) or cooler than 4300 K",
        "Leave the star out",
        True,
    ),
    Reason(
        Quality.LOGG_EDGE,
        _at_end("logg"),
        lambda f: share_at_edge(f, "logg") > CROWDED,
        "A dwarf above log g 5, a giant below the domain, or no star",
        "Take log g as a limit",
        False,
    ),
    Reason(
        Quality.M_H_EDGE,
        _at_end("m_h"),
        lambda f: share_at_edge(f, "m_h") > CROWDED,
        "More metal-poor than −2.5 or richer than 0.5",
        "Leave the star out: Teff of stars below −2.5 is off by up to 600 K",
        True,
    ),
    Reason(
        Quality.ALPHA_M_EDGE,
        _at_end("alpha_m"),
        lambda f: share_at_edge(f, "alpha_m") > CROWDED,
        "[α/M] outside −0.1 … 0.5, or lines too few to tell",
        "Do not use [α/M]",
        False,
    ),
    Reason(
        Quality.RV_EDGE,
        _rv_edge,
        lambda f: f.faster > FASTER * f.inflation**2 or share_at_edge(f, "rv") > CROWDED,
        "A star faster than 300 km/s, a galaxy, or air wavelengths taken for vacuum",
        "The columns say the edge on the right side; shift the spectrum by the velocity of the sentence, and run again",
        True,
    ),
    Reason(
        Quality.VSINI_EDGE,
        _vsini_edge,
        lambda f: f.at_edge.get("vsini", (0.0, 0.0))[1] > LIMIT,
        "Rotation above 50 km/s, or lines that the instrument makes broader than it says",
        "Take v sin i as a lower limit (column vsini_limit)",
        False,
    ),
    Reason(
        Quality.CHI2_SMALL,
        lambda f: f"χ² = {f.chi2:.3f} a pixel: errors are far too large",
        lambda f: f.chi2 < TOO_GOOD,
        "Errors in another unit, or of the wrong kind (variance for standard deviation)",
        "Check the errors; labels are computed with errors that were fitted, S/N with those, too",
        True,
    ),
    Reason(
        Quality.ERRORS_SHRANK,
        lambda f: f"errors had to shrink to {f.inflation:.2f} of what the file says",
        lambda f: f.inflation < SHRANK,
        "The file's errors are too large by more than two",
        "Labels have errors that are fitted; check the unit of the errors",
        False,
    ),
    Reason(
        Quality.LOW_SNR,
        lambda f: f"S/N {f.snr:.1f} is below {LEAST_SNR:.0f}, the least that the models know",
        lambda f: f.snr < LEAST_SNR,
        "A faint star or a short exposure",
        "Add exposures; labels may come from the prior, and other flags see less",
        True,
    ),
    Reason(
        Quality.GAPS,
        lambda f: f"no data over {f.gap} pixels inside of the spectrum",
        lambda f: f.gap >= WIDE,
        "Arms that do not meet, masked bands",
        "Nothing: what is not there does not count; errors are larger for it",
        False,
    ),
    Reason(
        Quality.COSMIC_RAYS,
        lambda f: f"{f.cosmic_rays} pixels masked as cosmic rays",
        lambda f: f.cosmic_rays > 0,
        "Spikes narrower than the line-spread function",
        "Nothing: the flux is as it was, the pixels do not count; many at high S/N: check the resolving power",
        False,
    ),
    Reason(
        Quality.EMISSION,
        lambda f: f"{' and '.join(f.emission)} in emission",
        lambda f: bool(f.emission),
        "An active or young star, a nebula around it or in the sky, a galaxy",
        "Mask the lines (ivar = 0) and run again if labels matter",
        False,
    ),
    Reason(
        Quality.NOT_A_STAR,
        lambda f: (
            f"no star of the models: the best one leaves {min(f.lines_left, 9.99):.0%} of the lines unexplained"
        ),
        lambda f: f.lines_left > LEFT,
        "A galaxy, a quasar, a white dwarf, a hot star, a composite, or wrong wavelengths",
        "Do not use labels",
        True,
    ),
    Reason(
        Quality.FEW_PIXELS,
        lambda f: f"only {f.pixels} good pixels of 3136",
        lambda f: f.pixels < FEW,
        "One arm, a short spectrum, or a harsh mask",
        "Errors are larger for it; labels that need the missing lines follow the prior",
        False,
    ),
    Reason(
        Quality.RESAMPLED,
        lambda f: "pixels are not those of the file",
        lambda f: f.resampled,
        "The file has other pixels than LAMOST and SDSS, an offset from theirs, or a higher resolving power",
        "Errors of labels are a little too small",
        False,
    ),
    Reason(
        Quality.DOUBLE_LINES,
        lambda f: f"two sets of lines, {f.separation:.0f} km/s apart",
        lambda f: f.double > TWO,
        "A binary whose stars are both seen, or two stars in one fibre; found from 250 km/s on",
        "Do not use labels; velocities need two templates",
        True,
    ),
)
"""A rule each flag, in the order of the bits; the how-to's table is made of them."""

DO_NOT_USE = Quality(sum(rule.flag for rule in RULES if rule.do_not_use))
"""The flags that make a result not ``good``."""


def misfit(snr: float) -> float:
    """Compute χ² a pixel above which a fit is poor: no model is perfect, and high S/N shows it."""
    return MISFIT * max(1.0, (snr / PERFECT) ** 2)


def good(flags: Quality) -> bool:
    """Tell whether no flag says that a result is not to be used."""
    return not flags & DO_NOT_USE


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
