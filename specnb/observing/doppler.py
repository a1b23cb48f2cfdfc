"""Velocities that no single star of the prior has: beyond its range, or two at once (double lines).

Templates are compared at every shift of whole pixels, their depth free, by how much they lower χ².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from specnb.grid import DLOGLAM, N_PIXELS, PIXEL_VELOCITY, SPEED_OF_LIGHT
from specnb.world import prior
from specnb.world.fit import World

FAST = 20
"""Pixels up to which velocities are tried, 1400 km/s."""

TEMPLATES = [
    [4600.0, 2.2, -0.3, 0.1, 0.0, 5.0],
    [5000.0, 2.8, -1.8, 0.3, 0.0, 5.0],
    [5700.0, 4.3, -0.2, 0.1, 0.0, 5.0],
    [6300.0, 4.0, -1.2, 0.2, 0.0, 5.0],
    [6900.0, 4.0, -0.3, 0.1, 0.0, 30.0],
]
"""Labels of the stars that fast ones are compared with."""

NARROW = 5.0
"""v sin i in km/s of the two stars that double lines are compared with."""

APART = (2, 9)
"""Pixels: double lines are as far apart as a line is wide; velocities reach 620 km/s, twice the prior's."""

ROTATING = (60.0, 80.0, 100.0, 125.0, 150.0, 180.0, 215.0, 255.0, 300.0)
"""v sin i in km/s of the single stars that double lines are compared with, beside the best one of the prior."""

SECOND = 0.2
"""Least share of the second star in the light; what is fainter may be a mismatch of lines."""

Arrays = tuple[np.ndarray, np.ndarray]


def _shifted(flux: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Move spectra less their continuum (m, 3136) by whole pixels, (len(shifts), m, 3136)."""
    most = int(np.abs(shifts).max())
    padded = np.pad(flux, ((0, 0), (most, most)))
    return np.stack([padded[:, most - s : most - s + N_PIXELS] for s in shifts])


def _velocity(shifts: np.ndarray) -> np.ndarray:
    """Convert pixels to km/s."""
    return SPEED_OF_LIGHT * (10 ** (DLOGLAM * shifts) - 1)


@lru_cache(maxsize=1)
def _moving(world: World) -> Arrays:
    """Compute templates less their continuum at every velocity of ``FAST``, (m, 3136), and the velocities, (m,)."""
    rest, shifts = world.emulated(torch.tensor(TEMPLATES)).numpy() - 1, np.arange(-FAST, FAST + 1)
    moved = _shifted(rest, shifts).reshape(-1, N_PIXELS)
    return moved.astype("f4"), np.repeat(_velocity(shifts), len(TEMPLATES))


def fastest(world: World, flux: np.ndarray, ivar: np.ndarray) -> Arrays:
    """Cross-correlate with templates of free depth: velocity (n,), and what χ² gains beyond the prior's, (n,)."""
    template, velocity = _moving(world)
    weighted = (np.where(ivar > 0, flux - 1, 0) * ivar).astype("f4") @ template.T
    power = ivar.astype("f4") @ (template**2).T
    gain = weighted.clip(0) ** 2 / power.clip(1e-6)
    inside = np.abs(velocity) <= prior.RV_MAX + 0.5 * PIXEL_VELOCITY
    best = gain.argmax(1)
    return velocity[best], gain.max(1) - gain[:, inside].max(1)


def _lines(world: World, labels: torch.Tensor, vsini: float) -> np.ndarray:
    """Compute spectra less their continuum, (n, 3136), of stars (n, 6) that rotate at another speed."""
    other = labels.clone()
    other[:, 5] = vsini
    return world.emulated(other).numpy() - 1


def _pair(a, b, c, p, q, least):
    """Compute by how much two templates lower χ², from their products with each other and with the flux.

    −inf where one of them has less than the share ``least`` of both.
    """
    determinant = (a * c - b**2).clip(1e-12)
    one, two = (c * p - b * q) / determinant, (a * q - b * p) / determinant
    alike = (np.minimum(one, two) >= least * (one + two)) & (one + two > 0)
    return np.where(alike, one * p + two * q, -np.inf)


def _alone(moved: np.ndarray, y: np.ndarray, ivar: np.ndarray) -> float:
    """Compute by how much one of the templates (shifts, m, 3136) lowers χ², at any velocity: between pixels, too."""
    weighted = moved * ivar.astype("f4")
    power = (weighted * moved).sum(-1).astype("f8")
    neighbours = (weighted[:-1] * moved[1:]).sum(-1).astype("f8")
    product = (weighted @ y.astype("f4")).astype("f8")
    whole = product.clip(0) ** 2 / power.clip(1e-6)
    between = _pair(power[:-1], neighbours, power[1:], product[:-1], product[1:], 0.0)
    return float(max(whole.max(), between.max()))


@dataclass
class Double:
    """Two stars like the best one at two velocities, of n spectra.

    Attributes
    ----------
    gain : numpy.ndarray
        By how much χ² is lower than with a single star, (n,); 0 where no two stars of like brightness are better.
    separation : numpy.ndarray
        Between the two, km/s, (n,).
    """

    gain: np.ndarray
    separation: np.ndarray


def double(
    world: World, flux: np.ndarray, ivar: np.ndarray, labels: np.ndarray, single: np.ndarray
) -> Double:
    """Compare two stars with the best single one, and with one that rotates as fast as one likes.

    Parameters
    ----------
    world : specnb.world.fit.World
    flux, ivar : numpy.ndarray
        Normalised, (n, 3136).
    labels, single : numpy.ndarray
        Of the best single star, (n, 6), and its spectrum, (n, 3136). The two have its labels, no rotation, and
        velocities of their own.
    """
    still = torch.from_numpy(labels).float()
    still[:, 4] = 0
    rest, shifts = _lines(world, still, NARROW), np.arange(-APART[1], APART[1] + 1)
    first, second = np.triu_indices(len(shifts), APART[0])
    y = np.where(ivar > 0, flux - 1, 0)
    least = (ivar * (2 * y * (single - 1) - (single - 1) ** 2)).sum(1)
    gain, separation = np.zeros(len(flux)), np.zeros(len(flux))
    for i in range(len(flux)):
        moved = _shifted(rest[i : i + 1], shifts)[:, 0]
        weighted = moved * ivar[i].astype("f4")
        power, product = (weighted @ moved.T).astype("f8"), (weighted @ y[i]).astype("f8")
        lower = _pair(power[first, first], power[first, second], power[second, second],
                      product[first], product[second], SECOND)  # fmt: skip
        best = int(lower.argmax())
        gain[i] = max(lower[best] - least[i], 0.0)
        separation[i] = _velocity(shifts[second[best]]) - _velocity(shifts[first[best]])
    for i in map(int, np.flatnonzero(gain)):  # of most stars nothing is left to be explained
        rotating = np.concatenate([_lines(world, still[i : i + 1], v) for v in ROTATING])
        alone = _alone(_shifted(rotating, shifts), y[i], ivar[i])
        gain[i] = max(gain[i] - max(alone - least[i], 0.0), 0.0)
    return Double(gain, separation)
