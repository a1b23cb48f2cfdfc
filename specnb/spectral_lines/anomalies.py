r"""Lines that the prior cannot explain: a matched filter on what the denoiser leaves of the observation.

With the residual :math:`r = y - \hat x`, inverse variances w and a line g as narrow as the line-spread function,

.. math:: T = \frac{\sum g\,w\,r}{\sqrt{\sum g^2 w}}

is a standard normal deviate at every pixel where there is nothing but stars and noise. That some pixel of n exceeds t
is as likely as an up-crossing of t: with the correlation ρ of neighbours, :math:`2\,\mathcal T(t, \sqrt{(1-\rho)/
(1+\rho)})` a pixel and sign, :math:`\mathcal T` Owen's function (Rice 1944 for a discrete sequence).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.denoising.denoise import named
from specnb.grid import DLOGLAM, RESOLUTION, SIGMA_PER_FWHM, WAVE
from specnb.observed import Observed

if TYPE_CHECKING:
    from astropy.table import Table

SIGMA = SIGMA_PER_FWHM / (RESOLUTION * np.log(10) * DLOGLAM)
"""Standard deviation of the line-spread function in pixels, 1.02."""

RADIUS = 4
_OFFSETS = np.arange(-RADIUS, RADIUS + 1)
LINE = np.exp(-0.5 * (_OFFSETS / SIGMA) ** 2)
"""g, of depth 1."""


def matched_filter(residual: np.ndarray, ivar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute T and depth (positive in absorption) of a line at every pixel, (n, pixels); NaN without data."""
    from scipy.ndimage import (
        correlate1d,  # here and below, because scipy's rooms take long to import
    )

    weight = correlate1d(ivar, LINE**2, mode="constant")
    signal = correlate1d(-residual * ivar, LINE, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        return signal / np.sqrt(weight), signal / weight


def false_alarm(t: np.ndarray | float, n: int) -> np.ndarray:
    """Compute the probability that noise alone exceeds \\|T\\| = t somewhere in ``n`` pixels."""
    from scipy.special import ndtr, owens_t

    rho = np.correlate(LINE, LINE, "full")[2 * RADIUS + 1] / (LINE**2).sum()
    crossings = 2 * owens_t(t, np.sqrt((1 - rho) / (1 + rho)))
    return -np.expm1(-2 * (n * crossings + ndtr(-t)))


def anomalies(
    flux: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor,
    p_value: float = 0.01,
    method: str = "bounded",
) -> Table:
    """Find windows where an observation disagrees with every spectrum that the prior can explain.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        As :func:`specnb.denoise` takes them.
    p_value : float
        Share of spectra of the prior, with the noise that ``ivar`` says, that are reported by chance.
    method : str
        The denoiser that says what the prior can explain.

    Returns
    -------
    astropy.table.Table
        One row a window: ``spectrum``, its number; ``wave``, vacuum wavelength in Å; ``depth`` in units of the
        continuum, positive in absorption; ``ew`` in Å; ``snr``, \\|T\\|; ``p_value``, corrected for all pixels.

    Raises
    ------
    ValueError
        See :func:`specnb.denoise`; and if ``p_value`` is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from specnb import WAVE, simulate
    >>> star = simulate(1, seed=1, snr=50)
    >>> line = 0.5 * np.exp(-0.5 * ((WAVE - 6000) / 2) ** 2)  # one that no star of the prior has
    >>> found = anomalies(star.observed - line, star.ivar)
    >>> found[abs(found["wave"] - 6000) < 2]["depth"].round(1).tolist()
    [0.5]
    """
    if not 0 < p_value < 1:
        raise ValueError(f"p_value is {p_value}; give a probability between 0 and 1")
    observed, _ = validate.spectra(flux, ivar)
    return find(observed, named(method, observed.device).denoise(observed), p_value)


def find(observed: Observed, denoised: torch.Tensor, p_value: float = 0.01) -> Table:
    """Find the windows of :func:`anomalies`, of n spectra that were checked and denoised (n, 3136)."""
    from astropy.table import Table
    from scipy.signal import find_peaks

    pair = observed.flux - denoised, observed.ivar
    residual, weight = (v.double().cpu().numpy() for v in pair)
    t, depth = matched_filter(residual, weight)
    rows = []
    for i, (significance, amplitude) in enumerate(
        zip(np.nan_to_num(np.abs(t)), depth, strict=True)
    ):
        n = int((weight[i] > 0).sum())
        peaks, _ = find_peaks(significance, distance=RADIUS)
        for k in peaks[false_alarm(significance[peaks], n) < p_value]:
            area = amplitude[k] * np.sqrt(2 * np.pi) * SIGMA * np.log(10) * DLOGLAM * WAVE[k]
            chance = false_alarm(significance[k], n)
            rows.append((i, WAVE[k], amplitude[k], area, significance[k], chance))
    names = ("spectrum", "wave", "depth", "ew", "snr", "p_value")
    units = (None, "AA", None, "AA", None, None)
    return Table(rows=rows or None, names=names, dtype=("i4", *["f8"] * 5), units=units)
