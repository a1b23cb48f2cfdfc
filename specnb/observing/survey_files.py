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


def _table(values: dict[str, np.ndarray], rows: bool = False, units: dict | None = None) -> list:
    """Return columns of a FITS table: a pixel a row, or a spectrum a row; float64 stays, the rest is float32."""
    out = []
    for name, value in values.items():
        array = np.asarray(value)
        kind = {"i": "J", "f": "D" if array.dtype == np.float64 else "E"}[array.dtype.kind]
        count = str(array.shape[-1]) if rows else ""
        unit = (units or {}).get(name)
        out.append(fits.Column(name, f"{count}{kind}", unit=unit, array=array))
    return out


def lamost_pilot(path: AnyPath, flux: np.ndarray, ivar: np.ndarray) -> AnyPath:
    """Write a LAMOST file as of the pilot survey and DR1: row 3 is a normalised flux; arguments as of :func:`sdss`.

    ``flux`` and ``ivar`` have the pixels of :data:`LAMOST`.
    """
    zero = np.zeros(len(flux))
    header = fits.Header(
        {"TELESCOP": "LAMOST", "DESIG": "LAMOST J0", "VACUUM": True, "HELIO": True}
    )
    header.update({"COEFF0": float(LAMOST[0]), "COEFF1": 1e-4})
    rows = [flux, ivar, flux / np.max(flux), zero, zero]
    fits.PrimaryHDU(np.array(rows, "f4"), header).writeto(path, overwrite=True)
    return path


def spspec(path: AnyPath, flux: np.ndarray, ivar: np.ndarray, loglam: np.ndarray) -> AnyPath:
    """Write an ``spSpec`` file of SDSS-I and II; arguments as of :func:`sdss`, pixels equal steps in ``loglam``."""
    n, zero = len(flux), np.zeros(len(flux))
    header = fits.Header({"TELESCOP": "SDSS 2.5-M", "PLATEID": 266, "MJD": 51602, "FIBERID": 1})
    header.update(
        {"VACUUM": True, "HELIO_RV": -20.5, "DC-FLAG": 1, "BUNIT": "1.0E-17 erg/cm/s/Ang"}
    )
    header.update({"COEFF0": float(loglam[0]), "COEFF1": float(np.round(loglam[1] - loglam[0], 8))})
    error = np.where(ivar > 0, ivar, np.inf) ** -0.5
    image = np.array([flux, zero, error, zero, zero], "f4")
    masks = {
        "andMask": np.where(ivar > 0, 0, 1 << 24).astype("i4"),
        "orMask": np.zeros(n, "i4"),
        "dispersion": np.ones(n, "f4"),
    }
    lines = _table({"wave": np.array([6564.6], "f4"), "height": np.array([1.0], "f4")})
    parts = [fits.PrimaryHDU(image, header)]
    parts += [fits.BinTableHDU.from_columns(columns) for columns in (lines, _table(masks))]
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path


def mwm(path: AnyPath, flux: np.ndarray, ivar: np.ndarray, wave: np.ndarray) -> AnyPath:
    """Write an ``mwmStar`` file of SDSS-V.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    flux, ivar : numpy.ndarray
        A spectrum a row, (n, pixels), all from Apache Point; APOGEE's table has one infrared spectrum.
    wave : numpy.ndarray
        Å, (pixels,).

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    primary = fits.PrimaryHDU(header=fits.Header({"V_ASTRA": "0.6.0", "SDSS_ID": 42}))
    n, parts = len(flux), [primary]
    optical = {
        "wavelength": np.tile(np.asarray(wave, "f8"), (n, 1)),
        "flux": np.asarray(flux, "f4"),
        "ivar": np.asarray(ivar, "f4"),
        "pixel_flags": np.zeros(flux.shape, "i4"),
    }
    infrared = {
        "wavelength": 10 ** (4.179 + 6e-6 * np.arange(100))[None],
        "flux": np.ones((1, 100)),
    }
    infrared |= {"ivar": np.ones((1, 100)), "pixel_flags": np.zeros((1, 100), "i4")}
    empty = {key: value[:0] for key, value in optical.items()}
    for name, values in (("BOSS/APO", optical), ("BOSS/LCO", empty), ("APOGEE/APO", infrared)):
        parts.append(fits.BinTableHDU.from_columns(_table(values, rows=True), name=name))
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path


def desi(
    path: AnyPath,
    arms: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    sigma: float = 1.0,
) -> AnyPath:
    """Write a coadd of DESI.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    arms : dict of str to tuple of numpy.ndarray
        "B", "R" or "Z" → wavelengths (pixels,) in Å, flux and ivar (targets, pixels).
    sigma : float
        Of the LSF in pixels, in ``RESOLUTION``.

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    n = len(next(iter(arms.values()))[1])
    targets = fits.Column("TARGETID", "K", array=100 + np.arange(n))
    parts = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([targets], name="FIBERMAP")]
    band = np.exp(-0.5 * (np.arange(-5, 6) / sigma) ** 2)
    for arm, (wave, flux, ivar) in arms.items():
        bands = np.broadcast_to((band / band.sum())[:, None], (n, 11, len(wave)))
        images = {
            "WAVELENGTH": np.asarray(wave, "f8"),
            "FLUX": np.asarray(flux, "f4"),
            "IVAR": np.asarray(ivar, "f4"),
            "MASK": np.zeros(flux.shape, "i4"),
            "RESOLUTION": np.asarray(bands, "f4"),
        }
        parts += [fits.ImageHDU(image, name=f"{arm}_{key}") for key, image in images.items()]
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path


def mastar(path: AnyPath, flux: np.ndarray, ivar: np.ndarray, wave: np.ndarray) -> AnyPath:
    """Write a table of MaStar: a spectrum a row; arguments as of :func:`mwm`."""
    n = len(flux)
    values: dict[str, np.ndarray] = {
        "WAVE": np.tile(np.asarray(wave, "f8"), (n, 1)),
        "FLUX": np.asarray(flux, "f4"),
        "IVAR": np.asarray(ivar, "f4"),
        "MASK": np.zeros(flux.shape, "i4"),
        "DISP": np.tile(np.asarray(wave, "f8") * np.log(10) * 1e-4, (n, 1)),
    }
    names = fits.Column("MANGAID", "12A", array=[f"3-{i}" for i in range(n)])
    columns = [names, *_table(values, rows=True)]
    table = fits.BinTableHDU.from_columns(columns, name="GOODSPEC")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def eso(
    path: AnyPath, flux: np.ndarray, error: np.ndarray, wave: np.ndarray, air: bool = True
) -> AnyPath:
    """Write a science data product of ESO: one row of vectors.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    flux, error, wave : numpy.ndarray
        Flux and σ in erg/s/cm²/Å, wavelengths in nm, one shape.
    air : bool
        Whether wavelengths are in air, which ``TUCD1`` says.

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    cgs = "erg.cm**(-2).s**(-1).angstrom**(-1)"
    values = {"WAVE": np.asarray(wave, "f8")[None], "FLUX": np.asarray(flux)[None]}
    values["ERR"] = np.asarray(error)[None]
    columns = _table(values, rows=True, units={"WAVE": "nm", "FLUX": cgs, "ERR": cgs})
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    table.header.update(
        {"TUCD1": "em.wl;obs.atmos" if air else "em.wl", "VOCLASS": "SPECTRUM V2.0"}
    )
    for i, end in enumerate(
        ("SpectralAxis.Value", "FluxAxis.Value", "FluxAxis.Accuracy.StatError")
    ):
        table.header[f"TUTYP{i + 1}"] = f"Spectrum.Data.{end}"
    header = fits.Header({"ORIGIN": "ESO", "PRODCATG": "SCIENCE.SPECTRUM", "OBJECT": "HD 1"})
    header.update({"SPEC_RES": 5000.0, "SPECSYS": "BARYCENT"})
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path, overwrite=True)
    return path


def image(
    path: AnyPath, flux: np.ndarray, header: dict, error: np.ndarray | None = None
) -> AnyPath:
    """Write an image of one dimension, with the cards that say its wavelengths.

    Parameters
    ----------
    path : pathlib.Path or str
        Overwritten if it exists.
    flux : numpy.ndarray
    header : dict
        Such as ``{"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": 4000.0, "CDELT1": 1.0}``.
    error : numpy.ndarray, optional
        σ, in an image ERR.

    Returns
    -------
    pathlib.Path or str
        ``path``.
    """
    parts = [fits.PrimaryHDU(np.asarray(flux), fits.Header(header))]
    if error is not None:
        parts.append(fits.ImageHDU(np.asarray(error), name="ERR"))
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path
