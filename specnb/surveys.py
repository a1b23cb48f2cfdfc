"""Spectra of surveys from their files onto the native grid: LAMOST low resolution, both layouts.

LAMOST's pixels are native pixels (log10 λ/Å in vacuum, step 1e-4), so they are sliced and nothing is interpolated.
Releases up to DR7 keep five rows (flux, inverse variance, wavelength, AND-mask, OR-mask) in the primary HDU; later ones
one row of vectors in the table ``COADD``.
"""

import numpy as np
from astropy.io import fits

from specnb.grid import DLOGLAM, LOGLAM, N_PIXELS, WAVE

TELLURIC = [(6865, 6965), (7160, 7340), (7590, 7720), (8120, 8350)]
"""Bands of O₂ and H₂O in the Earth's atmosphere, Å in vacuum."""

BAD_BITS = 0b111111
"""Bits of LAMOST's AND-mask that spoil a pixel in every exposure: bad CCD, profile, sky or fibre, scattered light."""


def telluric():
    """True in the telluric bands, shape (3136,)."""
    return np.any([(a <= WAVE) & (b > WAVE) for a, b in TELLURIC], axis=0)


def lamost(path):
    """Read a LAMOST low-resolution spectrum.

    Parameters
    ----------
    path : path
        ``.fits`` or ``.fits.gz`` of any data release.

    Returns
    -------
    flux, ivar : numpy.ndarray
        Relative flux as in the file and its inverse variance (0 = bad pixel or not covered), shape (3136,), float32.
    header : astropy.io.fits.Header
        Of the primary HDU.

    Raises
    ------
    ValueError
        Not a LAMOST low-resolution file, or wavelengths that are not on LAMOST's lattice.
    """
    try:
        with fits.open(path) as file:
            header = file[0].header
            if file[0].data is not None and file[0].data.ndim == 2 and len(file[0].data) == 5:
                flux, ivar, wave, mask, _ = file[0].data.astype("f8")
            elif (
                len(file) > 1
                and isinstance(file[1], fits.BinTableHDU)
                and {"FLUX", "IVAR", "WAVELENGTH", "ANDMASK"} <= set(file[1].columns.names)
            ):
                row = file[1].data[0]
                flux, ivar, wave, mask = (np.asarray(row[k], "f8") for k in ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK"))
            else:
                raise ValueError(f"{str(path)!r} is in neither of LAMOST's low-resolution layouts")
    except OSError as error:
        raise ValueError(f"{str(path)!r} is not a readable FITS file: {error}") from error
    step = (np.log10(wave) - LOGLAM[0]) / DLOGLAM
    pixel = np.round(step).astype(int)
    if not np.all(np.abs(step - pixel) < 0.05) or not np.all(np.diff(pixel) == 1):
        raise ValueError(f"{str(path)!r}: wavelengths are not on LAMOST's lattice (step 1e-4 in log10 λ, vacuum)")
    inside = (pixel >= 0) & (pixel < N_PIXELS)
    good = inside & np.isfinite(flux) & (ivar > 0) & ((mask.astype(int) & BAD_BITS) == 0)
    native = np.zeros((2, N_PIXELS), dtype="f4")
    native[:, pixel[good]] = flux[good], ivar[good]
    return *native, header
