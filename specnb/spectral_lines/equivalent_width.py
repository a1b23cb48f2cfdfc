r"""Equivalent widths: :math:`\int (1 - F/C)\,d\lambda` over a window, C the straight line through two side bands."""

import numpy as np

from specnb.grid import WAVE
from specnb.spectral_lines.line_table import LINES, Range


def _medians(values: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Take the median of each row where ``keep`` (n, k) is true, (n, 1).

    For few columns it is ten times as fast as ``nanmedian``.
    """
    ordered, count = np.sort(np.where(keep, values, np.inf), 1), keep.sum(1, keepdims=True)
    low, high = (np.take_along_axis(ordered, k, 1) for k in ((count - 1) // 2, count // 2))
    return (low + high) / 2


def equivalent_width(
    flux: np.ndarray,
    good: np.ndarray,
    window: Range,
    bands: tuple[Range, Range],
    wave: np.ndarray = WAVE,
) -> np.ndarray:
    """Measure the equivalent width of a line, positive in absorption.

    Parameters
    ----------
    flux, good : numpy.ndarray
        Shape (n, pixels). In the window, gaps are bridged linearly; bands leave them out.
    window : (low, high)
        Vacuum wavelengths in Å between which the depth is integrated; pixels at its ends count by their share.
    bands : ((low, high), (low, high))
        Blue and red side band; the continuum is the straight line through their medians.
    wave : numpy.ndarray
        Vacuum wavelengths in Å, shape (pixels,).

    Returns
    -------
    numpy.ndarray
        EW in Å, shape (n,); NaN where less than half of the window or of a band is good.
    """
    flux, good = np.asarray(flux, "f8"), np.asarray(good, dtype=bool)
    if flux.shape != good.shape or flux.ndim != 2 or flux.shape[1] != len(wave):
        raise ValueError(
            f"flux has shape {flux.shape}, good {good.shape}; give (n, {len(wave)}) for both"
        )
    if (bad := ~np.isfinite(flux) & good).any():
        row, pixel = np.argwhere(bad)[0]
        raise ValueError(
            f"flux of spectrum {row} is {flux[row, pixel]} at pixel {pixel}; set good to False there"
        )
    middle = np.sqrt(wave[1:] * wave[:-1])
    edges = np.concatenate([[wave[0] ** 2 / middle[0]], middle, [wave[-1] ** 2 / middle[-1]]])
    parts = []
    for name, (low, high) in (("window", window), ("bands[0]", bands[0]), ("bands[1]", bands[1])):
        part = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
        if not edges[0] <= low < high <= edges[-1] or np.count_nonzero(part) < 2:
            raise ValueError(
                f"{name} is ({low}, {high}); give 2 pixels or more of {edges[0]:.1f} to {edges[-1]:.1f} Å"
            )
        parts.append(part)
    if not bands[0][1] <= window[0] < window[1] <= bands[1][0]:
        raise ValueError(f"bands is {bands}; give one band on either side of the window {window}")
    usable = np.all([good[:, p > 0].mean(1) >= 0.5 for p in parts], axis=0)
    flux, inside, knots = np.where(good, flux, 1.0), parts[0] > 0, []
    for band in (p > 0 for p in parts[1:]):
        keep = good[:, band] | ~usable[:, None]  # a row that will be NaN anyway
        knots += [_medians(v, keep) for v in (wave[band], flux[:, band])]
    x0, y0, x1, y1 = knots
    depth = 1 - flux[:, inside] / (y0 + (y1 - y0) / (x1 - x0) * (wave[inside] - x0))
    for i in np.flatnonzero(usable & ~good[:, inside].all(1)):
        keep = good[i, inside]
        depth[i] = np.interp(wave[inside], wave[inside][keep], depth[i][keep])
    return np.where(usable, depth @ parts[0][inside], np.nan)


def strengths(flux: np.ndarray, good: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Measure well-known lines at any radial velocity of the prior.

    Parameters
    ----------
    flux : numpy.ndarray
        Normalised flux on the native grid, shape (n, 3136).
    good : numpy.ndarray, optional
        True in pixels to use, same shape; by default all.

    Returns
    -------
    dict
        By line, Å, positive in absorption, shape (n,).
    """
    good = np.ones(flux.shape, dtype=bool) if good is None else good
    return {
        name: equivalent_width(flux, good, line.wide.window, line.wide.bands)
        for name, line in LINES.items()
        if line.wide
    }
