r"""Wavelength lattices: the native grid of the project and the finer one the emulator lives on.

Pixels are equal steps of :math:`\log_{10}\lambda` (vacuum, Å),

.. math:: \log_{10}\lambda_i = 3.6285 + 10^{-4}\,i, \qquad i = 0 \dots 3135,

which is the lattice of LAMOST and SDSS, so that their pixels are sliced and never interpolated. In
:math:`\log\lambda` a velocity is a shift and a constant resolving power is a constant width; every
operator of :mod:`specnb.world.operators` rests on that. The fine grid has five points to a native pixel.
"""

import numpy as np

SPEED_OF_LIGHT = 299_792.458
"""In km/s."""

DLOGLAM = 1e-4
"""Native pixel, dex in wavelength."""

N_PIXELS = 3136
"""Pixels of the native grid (64 x 49)."""

LOGLAM: np.ndarray = np.round(3.6285 + DLOGLAM * np.arange(N_PIXELS), 4)
"""log10 of the vacuum wavelength in Å of the native pixel centres, shape (3136,)."""

WAVE: np.ndarray = 10**LOGLAM
"""Vacuum wavelength in Å of the native pixel centres, shape (3136,)."""

PIXEL_VELOCITY = SPEED_OF_LIGHT * np.log(10) * DLOGLAM
"""Width of a native pixel, 69.03 km/s."""

OVERSAMPLING = 5
"""Fine points to a native pixel."""

N_FINE = 16151
"""Points of the fine grid."""

FINE_LOGLAM: np.ndarray = np.round(3.6250 + DLOGLAM / OVERSAMPLING * np.arange(N_FINE), 8)
"""log10 of the vacuum wavelength in Å of the fine grid, shape (16151,)."""

FIRST_PIXEL = 35
"""Native lattice steps from the start of the fine grid to native pixel 0."""

FINE_RESOLUTION = 10_000.0
"""Resolving power of the spectra on the fine grid (Gaussian, FWHM)."""

RESOLUTION = 1800.0
"""Resolving power of the native spectra, λ/FWHM: that of LAMOST's low-resolution survey."""

SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))
"""Standard deviation of a Gaussian of full width at half maximum 1."""

for _grid in (LOGLAM, WAVE, FINE_LOGLAM):
    _grid.flags.writeable = False
