r"""Lines that the prior cannot explain: a matched filter on what the denoiser leaves of the observation.

With the residual :math:`r = y - \hat x`, inverse variances w and a line g as narrow as the line-spread function,

.. math:: T = \frac{\sum g\,w\,r}{\sqrt{\sum g^2 w}}

is a standard normal deviate at every pixel where there is nothing but stars and noise. That some pixel of n exceeds t
is as likely as an up-crossing of t: with the correlation ρ of neighbours, :math:`2\,\mathcal T(t, \sqrt{(1-\rho)/
(1+\rho)})` a pixel and sign, :math:`\mathcal T` Owen's function (Rice 1944 for a discrete sequence).
"""

import numpy as np
from astropy.table import Table
from scipy.ndimage import correlate1d
from scipy.signal import find_peaks
from scipy.special import owens_t
from scipy.stats import norm

from specnb import validate
from specnb.denoising.denoise import denoise
from specnb.grid import DLOGLAM, WAVE
from specnb.world.stars import RESOLUTION

SIGMA = 1 / (RESOLUTION * np.sqrt(8 * np.log(2)) * np.log(10) * DLOGLAM)
"""Standard deviation of the line-spread function in pixels, 1.02."""

RADIUS = 4
_OFFSETS = np.arange(-RADIUS, RADIUS + 1)
LINE = np.exp(-0.5 * (_OFFSETS / SIGMA) ** 2)
"""g, of depth 1."""


def matched_filter(residual, ivar):
    """T and depth (positive in absorption) of a line at every pixel, (n, pixels) each; NaN where there are no data."""
    weight = correlate1d(ivar, LINE**2, mode="constant")
    signal = correlate1d(-residual * ivar, LINE, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        return signal / np.sqrt(weight), signal / weight


def false_alarm(t, n):
    """Probability that noise alone exceeds \\|T\\| = t somewhere in ``n`` pixels."""
    rho = np.correlate(LINE, LINE, "full")[2 * RADIUS + 1] / (LINE**2).sum()
    crossings = 2 * owens_t(t, np.sqrt((1 - rho) / (1 + rho)))
    return -np.expm1(-2 * (n * crossings + norm.sf(t)))


def anomalies(flux, ivar, p_value=0.01, method="bounded"):
    """Windows where an observation disagrees with every spectrum that the prior can explain.

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
    """
    if not 0 < p_value < 1:
        raise ValueError(f"p_value is {p_value}; give a probability between 0 and 1")
    flux, ivar, _ = validate.spectra(flux, ivar)
    residual, ivar = (v.double().cpu().numpy() for v in (flux - denoise(flux, ivar, method), ivar))
    t, depth = matched_filter(residual, ivar)
    rows = []
    for i, (significance, amplitude) in enumerate(
        zip(np.nan_to_num(np.abs(t)), depth, strict=True)
    ):
        n = int((ivar[i] > 0).sum())
        peaks, _ = find_peaks(significance, distance=RADIUS)
        for k in peaks[false_alarm(significance[peaks], n) < p_value]:
            area = amplitude[k] * np.sqrt(2 * np.pi) * SIGMA * np.log(10) * DLOGLAM * WAVE[k]
            rows.append(
                (i, WAVE[k], amplitude[k], area, significance[k], false_alarm(significance[k], n))
            )
    names, units = (
        ("spectrum", "wave", "depth", "ew", "snr", "p_value"),
        (None, "AA", None, "AA", None, None),
    )
    return Table(rows=rows or None, names=names, dtype=("i4", *["f8"] * 5), units=units)
