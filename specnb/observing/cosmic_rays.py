r"""Cosmic rays: spikes that are narrower than the line-spread function, which no light that went through it can be.

Of a line of unit height whose width is σ pixels, the neighbours of the highest pixel are at least
:math:`e^{-1/2\sigma^2}` high on average, so that its curvature is at most

.. math:: C = p_0 - \tfrac12 (p_{-1} + p_{+1}) \le \kappa E, \qquad \kappa = 1 - e^{-1/2\sigma^2},

E its height above the surroundings. A pixel is a cosmic ray if it is high, and more curved than that by more than
noise. σ is 0.55 of what the resolving power says, and the pixel's own width beside it: spectrographs are sharper in
places than their mean, and real emission must survive.
"""

import numpy as np
from numpy.typing import ArrayLike

from specnb.grid import DLOGLAM, RESOLUTION, SIGMA_PER_FWHM

LSF = SIGMA_PER_FWHM / (RESOLUTION * np.log(10) * DLOGLAM)
"""Standard deviation of the line-spread function in native pixels, 1.02."""

SHARPER = 0.55
"""Share of the line-spread function's width below which nothing is believed to be light."""

CURVED = 3.0
"""Curvature beyond that of a line, in σ."""


def curvature(sigma: ArrayLike) -> np.ndarray:
    """Compute κ, the largest curvature of light over its height, for line-spread functions of σ pixels."""
    width = (SHARPER * np.asarray(sigma, "f8")) ** 2 + 1 / 12  # the pixel's own is 1/12
    return 1 - np.exp(-0.5 / width)


def cosmic_rays(
    flux: np.ndarray, ivar: np.ndarray, height: float = 8.0, sigma: ArrayLike = LSF
) -> np.ndarray:
    """Mark spikes that are narrower than any line.

    Parameters
    ----------
    flux, ivar : numpy.ndarray
        In any unit; ``ivar`` 0 = bad pixel; shape (pixels,).
    height : float
        Least height above the surroundings, σ.
    sigma : float or numpy.ndarray
        Standard deviation of the line-spread function in pixels, one for all or (pixels,).

    Returns
    -------
    numpy.ndarray
        True at spikes and next to them, shape (pixels,).
    """
    good = ivar > 0
    if good.sum() < 3:
        return np.zeros(len(flux), bool)
    at = np.arange(len(flux))
    filled = np.interp(at, at[good], flux[good])
    noise = np.where(good, ivar, np.inf) ** -0.5
    width = float(np.median(np.asarray(sigma)))
    base = _surroundings(filled, start=int(np.clip(np.ceil(2 * width), 2, 40)))
    padded = np.pad(filled, 1, mode="edge")
    before, after = padded[:-2], padded[2:]
    excess, kappa = filled - base, curvature(sigma)
    beyond = filled - 0.5 * (before + after) - kappa * excess
    # errors of the three pixels; that of the surroundings is that of a median of eight
    error = noise * np.sqrt((1 - kappa) ** 2 + 0.5 + kappa**2 / 5)
    peak = (filled >= before) & (filled >= after) & good
    spike = peak & (excess > height * noise) & (beyond > CURVED * error)
    return good & np.convolve(spike, np.ones(3), "same").astype(bool)


def _surroundings(flux: np.ndarray, start: int) -> np.ndarray:
    """Take the median of four pixels on either side, ``start`` pixels away and more."""
    reach = start + 3
    padded = np.pad(flux, reach, mode="edge")
    steps = [s * k for k in range(start, reach + 1) for s in (-1, 1)]
    return np.median([padded[reach + s : reach + s + len(flux)] for s in steps], axis=0)
