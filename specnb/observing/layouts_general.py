r"""Layouts that are no survey's: tables, rows of vectors, images with a wavelength axis.

==================  ====================================================================================================
table               a pixel a row, in columns such as wave or loglam, flux, and err, ivar or variance
rows of vectors     a spectrum a row: ESO's science data products (one row), MaStar (thousands)
image               flux along an axis that FITS paper III or IRAF describes; errors in another image, if there are any
==================  ====================================================================================================

The axis of an image is :math:`x_i = x_0 + (i - p)\,\Delta`, and the wavelength :math:`x_i`, :math:`10^{x_i}`
(``DC-FLAG`` = 1, a unit or a type that says log) or, for ``WAVE-LOG``, :math:`x_0 \exp((i - p)\,\Delta / x_0)`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from specutils import Spectrum

from specnb.observing import headers
from specnb.observing.assemble import Errors, angstroms, build, numbers
from specnb.observing.layouts import CGS, UNKNOWN, Layout, columns, flagged, log_linear, power_of

MASTAR_RESOLUTION = 1800.0
"""λ/FWHM that MaStar states; used where a table has no column DISP."""

WAVES = "wave wavelength wavelengths lambda lam wl λ spectral_axis wave_vac wave_air wavelength_vac wavelength_air"
LOGS = "loglam log_lam loglambda log_lambda log10lam log10_lambda logwave log_wave log_wavelength"
FLUXES = "flux fluxes flux_density flam f_lambda flux_reduced spec spectrum intensity"
SIGMAS = (
    "err error errs errors sigma uncertainty unc std stddev e_flux eflux err_flux error_flux flux_err flux_error "
    "fluxerr flux_sigma sigma_flux flux_unc flux_uncertainty flux_std dflux noise err_reduced properr σ"
)
IVARS = "ivar inverse_variance invvar inv_var flux_ivar ivar_flux"
VARIANCES = "var variance flux_var flux_variance"
MASKS = "mask and_mask andmask bad badpix dq qual quality"
OBJECTS = "mangaid desiname targetid sdss_id catalogid source_id obsid object objname obj_name name star id"
"""Names of columns, lower case, in the order in which they are looked for."""

STATED = {"spectralaxis.value": "wave", "fluxaxis.value": "flux", "staterror": "sigma"}
"""Ends of ``TUTYP`` in the standard of the Virtual Observatory, and what such a column holds."""


@dataclass
class Column:
    """A column of wavelengths, flux, errors or a mask.

    Attributes
    ----------
    name : str
        As the file has it.
    unit : str or astropy.units.UnitBase or None
    words : str
        What else the file says at it.
    """

    name: str
    unit: Any = None
    words: str = ""


def _plain(name: str) -> str:
    """Return a column's name without a unit behind it, lower case: ``Wave [nm]`` → ``wave``."""
    bare = re.sub(r"[\[(].*?[\])]", "", name.strip().lower())
    return re.sub(r"[^a-z0-9λσ]+", "_", bare).strip("_")


def unit_behind(name: str) -> str | None:
    """Return a unit in brackets at the end of a column's name, if there is one."""
    found = re.search(r"[\[(](.+?)[\])]\s*$", name)
    return found[1] if found else None


def roles(found: list[Column]) -> dict[str, Column]:
    """Return what each column is: "wave", "loglam", "flux", "sigma", "ivar", "variance", "mask", "object".

    The first name of a list that is there wins.
    """
    plain = {}
    for column in reversed(found):
        plain[_plain(column.name)] = column
    out: dict[str, Column] = {}
    for role, names in (
        ("wave", WAVES),
        ("loglam", LOGS),
        ("flux", FLUXES),
        ("sigma", SIGMAS),
        ("ivar", IVARS),
        ("variance", VARIANCES),
        ("mask", MASKS),
        ("object", OBJECTS),
    ):
        first = next((name for name in names.split() if name in plain), None)
        if first is not None:
            out[role] = plain[first]
    for column in found:  # a standard's own words, where a name says nothing
        for end, role in STATED.items():
            said = column.words.lower()
            if f"{end} " in f"{said} " and "eso:" not in said and role not in out:
                out[role] = column
    return out


def is_spectrum(found: Mapping[str, Column]) -> bool:
    """Tell whether columns hold a spectrum."""
    return "flux" in found and ("wave" in found or "loglam" in found)


def from_columns(
    found: Mapping[str, Column],
    values: Callable[[Column], Any],
    header: Mapping[str, Any],
    power: np.ndarray | None = None,
    **meta: Any,
) -> Spectrum:
    """Make a spectrum of columns.

    Parameters
    ----------
    found : mapping
        Role → column, as of :func:`roles`.
    values : callable
        Column → array of shape (n,).
    header : mapping
    power, **meta
        As of :func:`specnb.observing.assemble.build`.

    Returns
    -------
    specutils.Spectrum
    """
    log = "wave" not in found
    axis, flux = found["loglam" if log else "wave"], found["flux"]
    wave, notes = angstroms(values(axis), axis.unit, log)
    errors = None
    for kind in ("ivar", "sigma", "variance"):
        if kind in found:
            column = found[kind]
            errors = Errors(values(column), kind, headers.unit(column.unit))
            break
    bad = flagged(values(found["mask"])) if "mask" in found else None
    meta = {"medium": headers.medium(header, f"{axis.name} {axis.words}")} | meta
    if notes:
        meta["notes"] = notes
    return build(wave, values(flux), flux.unit, errors, bad, header, power, **meta)


def _of_table(hdu: Any) -> list[Column]:
    """Return the columns of a FITS table, with the words of UCDs, utypes and comments."""
    header, out = hdu.header, []
    for i, name in enumerate(hdu.columns.names, 1):
        words = [str(header.get(f"{key}{i}", "")) for key in ("TUCD", "TUTYP", "TCOMM")]
        words += [str(header.comments[key]) for key in (f"TTYPE{i}", f"TUCD{i}") if key in header]
        unit = header.get(f"TUNIT{i}") or unit_behind(name)
        out.append(Column(name, unit, " ".join(words)))
    return out


class Table(Layout):
    """Read tables: a pixel a row, or a spectrum a row."""

    label = "specnb table"
    priority = 7  # above specutils' own "tabular-fits", below what knows a file better

    def _find(self, hdus: fits.HDUList) -> tuple[Any, dict[str, Column]] | None:
        for hdu in hdus:
            if columns(hdu):
                found = roles(_of_table(hdu))
                if is_spectrum(found):
                    return hdu, found
        return None

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        return self._find(hdus) is not None

    def _rows(self, hdus: fits.HDUList) -> tuple[Any, dict[str, Column], bool]:
        """Return the table, its columns, and whether a row is a spectrum."""
        found = self._find(hdus)
        if found is None:
            raise ValueError(f"there is no table with wavelengths and flux; {UNKNOWN}")
        hdu, known = found
        flux = hdu.data[known["flux"].name]
        return hdu, known, flux.ndim > 1 or flux.dtype.kind == "O"

    def count(self, hdus: fits.HDUList) -> int:
        """Return how many spectra a file has."""
        hdu, _, many = self._rows(hdus)
        return len(hdu.data) if many else 1

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        hdu, found, many = self._rows(hdus)
        header = headers.values(hdus[0].header, hdu.header)
        data = hdu.data
        for row in range(len(data)) if many else [None]:

            def values(column: Column, row: int | None = row) -> Any:
                every = data[column.name]
                return every if row is None else every[row]

            meta, power = self._known(hdu, found, values, header)
            name = found.get("object")
            if name is not None and row is not None:
                meta["object"] = headers.plain(data[name.name][row])
            yield from_columns(found, values, header, power, **meta)

    @staticmethod
    def _known(
        hdu: Any, found: dict[str, Column], values: Callable, header: Mapping[str, Any]
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return what the documentation of ESO and MaStar says of a table, and λ/FWHM of every pixel."""
        if headers.eso(header):
            return {"survey": "ESO"}, None
        names = columns(hdu)
        if "mangaid" not in names:
            return {}, None
        meta: dict[str, Any] = {"survey": "MaStar", "medium": "vacuum", "frame": "heliocentric"}
        power = None
        if "disp" in names:  # σ of the LSF in Å
            wave = numbers(values(found["wave"]))
            step = np.gradient(np.log10(wave))
            power = power_of(
                numbers(values(Column(names["disp"]))) / wave / np.log(10) / step, step
            )
        else:
            meta["resolution"] = MASTAR_RESOLUTION
        if found["flux"].unit is None:
            found["flux"] = Column(found["flux"].name, CGS)
        return meta, power


class Image(Layout):
    """Read images of one dimension with a wavelength axis."""

    label = "specnb image"
    priority = 7

    SIGMA, IVAR, VARIANCE, MASK = (
        {
            "ERR",
            "ERROR",
            "ERRORS",
            "SIGMA",
            "STD",
            "STDDEV",
            "NOISE",
            "UNCERT",
            "UNCERTAINTY",
            "ERRS",
        },
        {"IVAR", "INVVAR"},
        {"VAR", "VARIANCE"},
        {"MASK", "DQ", "QUAL", "BADPIX"},
    )
    """Names of further images."""

    def _find(self, hdus: fits.HDUList) -> tuple[Any, int] | None:
        """Return the image that has a wavelength axis, and its number of pixels."""
        for hdu in hdus:
            header = hdu.header
            shape = [int(header.get(f"NAXIS{i + 1}", 0)) for i in range(header.get("NAXIS", 0))]
            if hdu.is_image and shape and shape[0] > 1 and set(shape[1:]) <= {1}:
                step = {"CDELT1", "CD1_1", "COEFF1"} & set(header)
                if step and {"CRVAL1", "COEFF0"} & set(header):
                    return hdu, shape[0]
        return None

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        return self._find(hdus) is not None

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectrum."""
        found = self._find(hdus)
        if found is None:
            raise ValueError(f"there is no image with a wavelength axis; {UNKNOWN}")
        hdu, n = found
        header = headers.values(hdus[0].header, hdu.header)
        wave, notes = axis(hdu.header, n)
        errors, bad = None, None
        for other in hdus:
            if other is hdu or not other.is_image or other.data is None or other.data.size != n:
                continue
            unit = headers.unit(other.header.get("BUNIT"))
            for kind, names in (
                ("sigma", self.SIGMA),
                ("ivar", self.IVAR),
                ("variance", self.VARIANCE),
            ):
                if other.name in names:
                    errors = Errors(other.data, kind, unit)
            if other.name in self.MASK:
                bad = flagged(other.data)
        flux = hdu.data
        unit = hdu.header.get("BUNIT")
        yield build(wave, flux, unit, errors, bad, header, notes=notes or None)


def axis(header: fits.Header, n: int) -> tuple[np.ndarray, list[str]]:
    """Return the wavelengths of an image in Å, and what was taken for granted.

    Parameters
    ----------
    header : astropy.io.fits.Header
        With ``CRVAL1``, ``CRPIX1`` (1), ``CDELT1`` or ``CD1_1``, or with ``COEFF0`` and ``COEFF1``.
    n : int
        Pixels.

    Returns
    -------
    wave : numpy.ndarray
        Shape (n,).
    notes : list of str

    Raises
    ------
    ValueError
        An axis that is none of wavelength, or in a unit that is not known.
    """
    computed = log_linear(header, n)
    if computed is not None:
        return computed, []
    first = float(header.get("CRVAL1", header.get("COEFF0", np.nan)))
    # IRAF writes both and CD1_1 is the one it reads
    step = float(header.get("CD1_1") or header.get("CDELT1") or header.get("COEFF1") or np.nan)
    x = first + step * (np.arange(n) + 1 - float(header.get("CRPIX1", 1)))
    kind = str(header.get("CTYPE1", "")).strip().upper()
    log, unit = headers.logarithmic(header.get("CUNIT1"))
    unit = unit or _iraf_unit(header)
    if re.fullmatch(r"(WAVE|AWAV)-LOG", kind) and first > 100:
        x = first * np.exp((x - first) / first)
    elif header.get("DC-FLAG") == 1 or "LOG" in kind or log:
        log = True
    elif header.get("DC-FLAG") is None and unit is None and 3 < np.median(x) < 4.5:
        wave, _ = angstroms(x, None, log=True)
        return wave, ["wavelengths have no unit: taken for log10 of Å"]
    elif unit is None and kind in ("WAVE", "AWAV", "VELO", "FREQ"):
        unit = {"WAVE": "m", "AWAV": "m", "FREQ": "Hz", "VELO": "m/s"}[kind]  # of the standard
        if 1000 < np.median(x) < 30_000:
            unit = None
    return angstroms(x, unit, log)


def _iraf_unit(header: fits.Header) -> str | None:
    said = "".join(str(header.get(f"WAT1_00{i}", "")) for i in range(1, 4))
    found = re.search(r"units=([A-Za-z]+)", said)
    kind = str(header.get("CTYPE1", "")).strip()
    return found[1] if found else (kind if headers.unit(kind) is not None else None)
