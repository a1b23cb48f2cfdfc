r"""The lines that everyone knows, in one table: for indices, summaries, figures and injected features.

Windows and side bands are those of the literature, given in air: Hβ, Mg b and Na D of the Lick system (Worthey et al.
1994, ApJS 94, 687; Trager et al. 1998, ApJS 116, 1), Hα of Nelan et al. 2005 (ApJ 632, 137; their :math:`H\alpha_A`),
and the calcium triplet of Cenarro et al. 2001 (MNRAS 326, 959) with the side bands of La Barbera et al. 2013 (MNRAS
433, 3017). The red side band of Mg b begins where its window ends. They hold a line at rest. *Wide* ones, ours, hold it
at any radial velocity of the prior.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from specutils.utils.wcs_utils import air_to_vac

Range = tuple[float, float]
"""Wavelengths in Å, low and high."""


@dataclass(frozen=True)
class Ranges:
    """Where a line is measured: its window, and the blue and the red side band of its continuum; vacuum, Å."""

    window: Range
    bands: tuple[Range, Range]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes
    ----------
    wave : float
        Rest wavelength in vacuum, Å; of Mg b and Na D that of the blend.
    rest : Ranges
        In the star's frame.
    wide : Ranges or None
        At any radial velocity of the prior; five lines have them.
    """

    wave: float
    rest: Ranges
    wide: Ranges | None = None


def _vacuum(*wavelengths: float) -> tuple[float, ...]:
    """Convert wavelengths in air to vacuum, Å."""
    in_vacuum = air_to_vac(np.array(wavelengths) * u.AA, scheme="iteration")
    return tuple(in_vacuum.to_value(u.AA))


def _line(wave: float, window: Range, blue: Range, red: Range, wide: Ranges | None = None) -> Line:
    """Make a line from its numbers in air."""
    low, high = _vacuum(*window)
    (blue_low, blue_high), (red_low, red_high) = _vacuum(*blue), _vacuum(*red)
    rest = Ranges((low, high), ((blue_low, blue_high), (red_low, red_high)))
    return Line(float(_vacuum(wave)[0]), rest, wide)


LINES = {
    "Hβ": _line(
        4861.33, (4847.875, 4876.625), (4827.875, 4847.875), (4876.625, 4891.625),
        Ranges((4850.7, 4874.7), ((4815.0, 4845.0), (4880.0, 4910.0))),
    ),
    "Mg b": _line(
        5176.4, (5160.125, 5192.625), (5142.625, 5160.125), (5192.625, 5206.375),
        Ranges((5162.0, 5194.0), ((5130.0, 5155.0), (5200.0, 5220.0))),
    ),
    "Na D": _line(
        5892.94, (5876.875, 5909.375), (5860.625, 5875.625), (5922.125, 5948.125),
        Ranges((5880.0, 5907.0), ((5845.0, 5872.0), (5915.0, 5945.0))),
    ),
    "Hα": _line(
        6562.80, (6554.0, 6575.0), (6515.0, 6540.0), (6575.0, 6585.0),
        Ranges((6548.0, 6581.0), ((6510.0, 6540.0), (6590.0, 6620.0))),
    ),
    "Ca II 8498": _line(8498.02, (8484.0, 8513.0), (8474.0, 8484.0), (8563.0, 8577.0)),
    "Ca II 8542": _line(
        8542.09, (8522.0, 8562.0), (8474.0, 8484.0), (8563.0, 8577.0),
        Ranges((8527.0, 8562.0), ((8470.0, 8488.0), (8580.0, 8620.0))),
    ),
    "Ca II 8662": _line(8662.14, (8642.0, 8682.0), (8619.0, 8642.0), (8700.0, 8725.0)),
}  # fmt: skip
"""Name (wavelengths in it are those in air, as astronomers say them) → line."""
