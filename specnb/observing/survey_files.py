"""Files in the layouts of surveys, written from arrays: for tests, and where no real spectra are at hand."""

import numpy as np
from astropy.io import fits

from specnb.grid import N_PIXELS

LAMOST = np.round(3.5682 + 1e-4 * np.arange(3909), 4)
FIRST = 603
"""Native pixel 0 in a LAMOST spectrum."""


def lamost(path, flux, ivar, mask=None, rows=False, loglam=LAMOST):
    """A LAMOST low-resolution file, of DR7 and before if ``rows``."""
    n = len(loglam)
    whole = np.ones((2, n), "f4")
    whole[:, FIRST : FIRST + N_PIXELS] = flux, ivar
    wave, mask = 10**loglam, np.zeros(n) if mask is None else mask
    header = fits.Header(
        {"TELESCOP": "LAMOST", "DESIG": "LAMOST J0", "VACUUM": True, "HELIO": True}
    )
    if rows:
        fits.PrimaryHDU(np.array([*whole, wave, mask, mask], "f4"), header).writeto(
            path, overwrite=True
        )
        return path
    names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")
    row = (*whole, wave, mask, mask, whole[0])
    columns = [
        fits.Column(k, f"{n}E", array=np.array([v], "f4")) for k, v in zip(names, row, strict=True)
    ]
    table = fits.BinTableHDU.from_columns(columns, name="COADD")
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path, overwrite=True)
    return path


def sdss(path, flux, ivar, loglam):
    """An SDSS ``spec-`` file, as far as spectra go."""
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
    first = fits.PrimaryHDU(
        header=fits.Header({"TELESCOP": "SDSS 2.5-M", "FIBERID": 1, "PLATEID": 266, "MJD": 51602})
    )
    parts = [first, fits.BinTableHDU.from_columns(columns, name="COADD")]
    parts += [
        fits.BinTableHDU.from_columns([fits.Column("Z", "E", array=[0.0])], name=k)
        for k in ("SPECOBJ", "SPZLINE")
    ]
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path
