"""Radial velocity by cross-correlation with a template (Tonry & Davis 1979, AJ 84, 1511), through ``specutils``."""

import astropy.units as u
import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.grid import PIXEL_VELOCITY, WAVE
from specnb.world.fit import default_world
from specnb.world.prior import RV_MAX

AXIS = WAVE * u.AA
"""The native grid with its unit."""

FINER = 8
"""Points of the interpolated cross-correlation to a pixel."""

TAPER = 0.05
"""Share of the spectrum that fades out at the ends."""


def template(labels: ArrayLike) -> np.ndarray:
    """Compute spectra at rest and without rotation of labels (n, 4 or more), (n, 3136)."""
    labels = torch.as_tensor(np.asarray(labels)[:, :4], dtype=torch.float32)
    return default_world().emulated(torch.cat([labels, torch.zeros(len(labels), 2)], 1)).numpy()


def correlate(
    flux: ArrayLike | torch.Tensor,
    templates: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor | None = None,
) -> np.ndarray:
    """Find radial velocities in km/s, positive away from us, at the highest peak of the cross-correlation.

    Parameters
    ----------
    flux, templates : array
        Normalised flux of observations and of templates at rest, on the native grid, (n, 3136) each.
    ivar : array, optional
        0 marks pixels to leave out.

    Returns
    -------
    numpy.ndarray
        Shape (n,); within the prior's ±300 km/s and two pixels.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    flux = validate.numbers("flux", flux).double().cpu().numpy()
    templates = validate.numbers("templates", templates).double().cpu().numpy()
    good = np.ones(flux.shape, dtype=bool)
    if ivar is not None:
        good = validate.numbers("ivar", ivar).cpu().numpy() > 0
    same = flux.shape == templates.shape == good.shape
    if not same or flux.ndim != 2 or flux.shape[1] != len(WAVE):
        raise ValueError(
            f"flux, templates and ivar have shapes {flux.shape}, {templates.shape}, {good.shape}; "
            f"give (n, {len(WAVE)}) for each"
        )
    found = []
    for f, g, at_rest in zip(flux, good, templates, strict=True):
        lines = np.where(g, np.mean(f, where=g) - f, 0)
        found.append(_peak(lines, at_rest.mean() - at_rest))
    return np.array(found)


def _peak(lines: np.ndarray, template: np.ndarray) -> float:
    """Find the velocity of the highest peak; depths below the mean flux, (3136,) each."""
    # here, because they take long to import
    from scipy.signal import resample
    from specutils import Spectrum
    from specutils.analysis import template_correlate

    pair = (Spectrum(flux=v * u.one, spectral_axis=AXIS) for v in (lines, template))
    height, lag = template_correlate(*pair, resample=False, apodization_window=TAPER, method="FFT")
    height = resample(height.value, FINER * len(height))  # band-limited: what the spectra are
    lag = np.interp(np.arange(len(height)) / FINER, np.arange(len(lag)), lag.to_value(u.km / u.s))
    inside = np.flatnonzero(np.abs(lag) < RV_MAX + 2 * PIXEL_VELOCITY)
    at = inside[height[inside].argmax()]
    before, top, after = height[at - 1 : at + 2]
    away = 0.5 * (before - after) / (before - 2 * top + after)  # of a parabola's peak, in points
    return lag[at] + away * (lag[at + 1] - lag[at])
