r"""What a spectroscopist measures of a line, at rest: equivalent width, depth, velocity and local continuum.

The lines and their windows are those of :mod:`specnb.spectral_lines.line_table`.
"""

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike

from specnb import validate
from specnb.grid import SPEED_OF_LIGHT, WAVE
from specnb.spectral_lines.equivalent_width import equivalent_width
from specnb.spectral_lines.line_table import LINES


def _local(flux, good, wave, window, bands):
    """Compute depth below the local continuum, that continuum, and wavelength in the window's good pixels."""
    knots = []
    for low, high in bands:
        inside = (wave >= low) & (wave <= high) & good
        knots.append((np.median(wave[inside]), np.median(flux[inside])))
    (x0, y0), (x1, y1) = knots
    inside = (wave >= window[0]) & (wave <= window[1]) & good
    continuum = y0 + (y1 - y0) / (x1 - x0) * (wave[inside] - x0)
    return 1 - flux[inside] / continuum, continuum, wave[inside]


def _summit(values: np.ndarray) -> float:
    """Find the maximum of the Gaussian through the largest value and its neighbours; the largest without one."""
    k = int(np.clip(values.argmax(), 1, len(values) - 2))
    near = values[k - 1 : k + 2]
    if near.min() <= 0:
        return values.max()
    before, at, after = np.log(near)
    bend = before - 2 * at + after
    return np.exp(at - (before - after) ** 2 / (8 * bend)) if bend < 0 else values.max()


def lines(
    flux: ArrayLike | torch.Tensor,
    rv: ArrayLike,
    ivar: ArrayLike | torch.Tensor | None = None,
) -> Table:
    """Measure the lines of spectra whose velocity is known.

    Parameters
    ----------
    flux : array
        Normalised flux on the native grid, shape (n, 3136) or (3136,).
    rv : array or float
        Radial velocity in km/s of every star.
    ivar : array, optional
        0 marks pixels to leave out.

    Returns
    -------
    astropy.table.Table
        A row a star and line: ``spectrum``, ``line``; ``ew``, the equivalent width (Å, positive in absorption);
        ``depth`` at the deepest point, in units of the local continuum; ``velocity`` of the centroid of the depth
        beside the rest wavelength, in the star's frame (km/s); ``continuum``, the mean over the window. NaN where less
        than half of a window or of a side band is good.

    Raises
    ------
    ValueError
        If shapes do not fit or a velocity is not finite.

    Examples
    --------
    >>> from specnb import simulate
    >>> stars = simulate(2, seed=1)
    >>> table = lines(stars.flux, stars.labels["rv"])
    >>> len(table)  # seven lines of each star
    14
    >>> print(table["line"][3], table["ew"].unit)
    Hα Angstrom
    """
    flux = np.atleast_2d(validate.numbers("flux", flux).double().cpu().numpy())
    good = np.ones(flux.shape, dtype=bool)
    if ivar is not None:
        good = np.atleast_2d(validate.numbers("ivar", ivar).cpu().numpy()) > 0
    if flux.shape[1] != len(WAVE) or good.shape != flux.shape:
        raise ValueError(
            f"flux has shape {flux.shape} and ivar {good.shape}; give (n, {len(WAVE)}) for both"
        )
    rv = np.broadcast_to(np.asarray(rv, "f8"), len(flux))
    if not np.isfinite(rv).all():
        raise ValueError(f"rv is {rv[~np.isfinite(rv)][0]}; give km/s for every star")
    rows = []
    for i, (f, g, v) in enumerate(zip(flux, good, rv, strict=True)):
        rest_wave = WAVE / (1 + v / SPEED_OF_LIGHT)
        for name, line in LINES.items():
            window, bands = line.rest.window, line.rest.bands
            (ew,) = equivalent_width(f[None], g[None], window, bands, rest_wave)
            if np.isnan(ew):
                rows.append((i, name, *[np.nan] * 4))
                continue
            depth, continuum, wave = _local(f, g, rest_wave, window, bands)
            velocity = SPEED_OF_LIGHT * ((depth @ wave) / depth.sum() / line.wave - 1)
            rows.append((i, name, ew, _summit(depth), velocity, continuum.mean()))
    names = ("spectrum", "line", "ew", "depth", "velocity", "continuum")
    return Table(rows=rows, names=names, units=(None, None, "AA", None, "km/s", None))
