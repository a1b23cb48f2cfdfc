r"""Arms of a spectrograph joined to one spectrum.

Where arms share their pixels, the overlap is the mean with inverse variances,

.. math:: f = \sum_a w_a f_a / \sum_a w_a, \qquad w = \sum_a w_a,

as DESI's own ``coadd_cameras`` does. Where their pixels differ, nothing is interpolated: the arm with more weight in
the overlap keeps it. A gap between arms stays a gap: pixels without weight on a shared lattice, no pixels elsewhere.
"""

from dataclasses import dataclass

import numpy as np

SHORTEST = 50
"""Pixels of an arm; a shorter piece is a fault of the wavelengths."""

LONGEST = 2_000_000
"""Pixels of a lattice; beyond, the wavelengths are no spectrum's."""


@dataclass
class Arm:
    """A piece of a spectrum with increasing wavelengths.

    Attributes
    ----------
    wave, flux, ivar : numpy.ndarray
        Å, any unit, and its inverse variance (0 = bad), shape (n,).
    power : numpy.ndarray or None
        λ/FWHM of every pixel; NaN where it is not known.
    """

    wave: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    power: np.ndarray | None = None


def pieces(wave: np.ndarray) -> list[slice] | None:
    """Cut wavelengths where they fall back; None if that is no row of arms but disorder."""
    starts = [0, *(np.flatnonzero(np.diff(wave) <= 0) + 1), len(wave)]
    if min(np.diff(starts)) < SHORTEST:
        return None
    return [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]


def _shared(arms: list[Arm]) -> tuple[np.ndarray, list[np.ndarray]] | None:
    """Return the wavelengths of a lattice that all arms lie on, and each arm's pixels on it, if there is one."""
    for forth, back in ((np.asarray, np.asarray), (np.log10, lambda x: 10.0**x)):
        axes = [forth(arm.wave) for arm in arms]
        step = float(np.median(np.diff(axes[0])))
        first = min(axis[0] for axis in axes)
        places = [(axis - first) / step for axis in axes]
        pixels = [np.round(place).astype(int) for place in places]
        on_it = all(
            np.abs(place - pixel).max() < 0.01 and (np.diff(pixel) > 0).all()
            for place, pixel in zip(places, pixels, strict=True)
        )
        n = 1 + max(int(pixel[-1]) for pixel in pixels)
        if on_it and n <= LONGEST:
            wave = back(first + step * np.arange(n))
            for arm, pixel in zip(arms, pixels, strict=True):
                wave[pixel] = arm.wave
            return wave, pixels
    return None


def join(arms: list[Arm]) -> tuple[Arm, list[str]]:
    """Join arms to one spectrum.

    Parameters
    ----------
    arms : list of Arm
        In any order; overlaps and gaps are allowed.

    Returns
    -------
    joined : Arm
        With increasing wavelengths.
    notes : list of str
        What was done that a user should know.
    """
    arms = sorted(arms, key=lambda arm: arm.wave[0])
    if len(arms) == 1:
        return arms[0], []
    shared = _shared(arms)
    if shared is None:
        return _chosen(arms), ["arms joined; in their overlap the one with more weight was kept"]
    wave, pixels = shared
    weight, flux, plain, count = np.zeros((4, len(wave)))
    power, known = np.zeros((2, len(wave)))
    for arm, at in zip(arms, pixels, strict=True):
        good = arm.ivar > 0
        weight[at] += np.where(good, arm.ivar, 0)
        flux[at] += np.where(good, arm.ivar * np.nan_to_num(arm.flux), 0)
        plain[at] += arm.flux
        count[at] += 1
        if arm.power is not None:
            has = np.isfinite(arm.power)
            power[at] += np.where(has, arm.power, 0)
            known[at] += has
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(weight > 0, flux / weight, plain / count)
        powers = power / known if known.any() else None
    return Arm(wave, mean, weight, powers), ["arms joined; their overlap is the weighted mean"]


def _chosen(arms: list[Arm]) -> Arm:
    """Join arms whose pixels differ: each overlap is the arm's that has more weight in it."""
    kept = arms[0]
    for arm in arms[1:]:
        low, high = arm.wave[0], min(kept.wave[-1], arm.wave[-1])
        ours, theirs = kept.wave >= low, arm.wave <= high
        if not ours.any():
            parts = [kept, arm]
        elif arm.wave[-1] <= kept.wave[-1]:  # inside of what is there
            continue
        elif kept.ivar[ours].sum() >= arm.ivar[theirs].sum():
            parts = [kept, _cut(arm, ~theirs)]
        else:
            parts = [_cut(kept, ~ours), arm]
        kept = _row(parts)
    return kept


def _cut(arm: Arm, keep: np.ndarray) -> Arm:
    power = None if arm.power is None else arm.power[keep]
    return Arm(arm.wave[keep], arm.flux[keep], arm.ivar[keep], power)


def _row(parts: list[Arm]) -> Arm:
    powers = [part.power for part in parts if part.power is not None]
    return Arm(
        np.concatenate([part.wave for part in parts]),
        np.concatenate([part.flux for part in parts]),
        np.concatenate([part.ivar for part in parts]),
        np.concatenate(powers) if len(powers) == len(parts) else None,
    )
