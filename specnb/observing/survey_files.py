"""Files in the layouts of surveys, written from arrays: for tests, and where no real spectra are at hand."""

from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.io import fits

from specnb.grid import N_PIXELS

AnyPath = TypeVar("AnyPath", Path, str)

LAMOST = np.round(3.5682 + 1e-4 * np.arange(3909), 4)
"""log10 of the vacuum wavelength in Å of LAMOST's pixels, shape (3909,)."""

FIRST = 603
"""Native pixel 0 in a LAMOST spectrum."""


def lamost(
    path: AnyPath,
    flux: np.ndarray,
    ivar: np.ndarray,
    mask: np.ndarray | None = None,
    rows: bool = False,
    loglam: np.ndarray = LAMOST,
) -> AnyPath:
    """Write a LAMOST low-resolution file.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    flux, ivar : numpy.ndarray
        On the native grid, shape (3136,); 1 beyond it.
    mask : numpy.ndarray, optional
        AND-mask of all pixels, the shape of ``loglam``.
    rows : bool
        Write the layout of DR7 and before.
    loglam : numpy.ndarray
        log10 of the wavelengths in Å.

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    n = len(loglam)
    whole: np.ndarray = np.ones((2, n), "f4")
    whole[:, FIRST : FIRST + N_PIXELS] = flux, ivar
    wave, mask = 10**loglam, np.zeros(n) if mask is None else mask
    header = fits.Header(
        {"TELESCOP": "LAMOST", "DESIG": "LAMOST J0", "VACUUM": True, "HELIO": True}
    )
    if rows:
        data = np.array([*whole, wave, mask, mask], "f4")
        fits.PrimaryHDU(data, header).writeto(path, overwrite=True)
        return path
    names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")
    row = (*whole, wave, mask, mask, whole[0])
    columns = [
        fits.Column(k, f"{n}E", array=np.array([v], "f4")) for k, v in zip(names, row, strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path, overwrite=True)
    return path


def sdss(path: AnyPath, flux: np.ndarray, ivar: np.ndarray, loglam: np.ndarray) -> AnyPath:
    """Write an SDSS ``spec-`` file, as far as spectra go.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    flux, ivar, loglam : numpy.ndarray
        Flux, inverse variance and log10 of the wavelength in Å, one shape.

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    n = len(loglam)
    formats = {
        "flux": flux,
        "loglam": loglam,
        "ivar": ivar,
        "wdisp": np.ones(n),
        "sky": np.zeros(n),
        "model": flux,
    }
    columns = [fits.Column(k, "E", array=np.asarray(v, "f4")) for k, v in formats.items()]
    columns += [fits.Column(k, "J", array=np.zeros(n, "i4")) for k in ("and_mask", "or_mask")]
    header = {"TELESCOP": "SDSS 2.5-M", "FIBERID": 1, "PLATEID": 266, "MJD": 51602}
    parts = [
        fits.PrimaryHDU(header=fits.Header(header)),
        fits.BinTableHDU.from_columns(columns, name="COADD"),
    ]
    for name in ("SPECOBJ", "SPZLINE"):
        redshift = fits.Column("Z", "E", array=[0.0])
        parts.append(fits.BinTableHDU.from_columns([redshift], name=name))
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path
