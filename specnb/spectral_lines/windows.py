"""Equivalent widths of well-known lines, in windows that hold them at any radial velocity of the prior."""

import numpy as np

from specnb.metrics import equivalent_width

WINDOWS = {
    "Hβ": ((4850.7, 4874.7), ((4815.0, 4845.0), (4880.0, 4910.0))),
    "Mg b": ((5162.0, 5194.0), ((5130.0, 5155.0), (5200.0, 5220.0))),
    "Na D": ((5880.0, 5907.0), ((5845.0, 5872.0), (5915.0, 5945.0))),
    "Hα": ((6548.0, 6581.0), ((6510.0, 6540.0), (6590.0, 6620.0))),
    "Ca II 8544": ((8527.0, 8562.0), ((8470.0, 8488.0), (8580.0, 8620.0))),
}
"""Window and side bands, vacuum wavelengths in Å."""


def strengths(flux: np.ndarray, good: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Measure equivalent widths.

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
        name: equivalent_width(flux, good, window, bands)
        for name, (window, bands) in WINDOWS.items()
    }
