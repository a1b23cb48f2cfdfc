r"""What a file says of its spectra: unit, medium, frame, resolving power, name.

Only what is said is returned; ``None`` means that the file is silent. Sources: FITS papers I and III (``BUNIT``,
``CUNIT``, ``CTYPE`` with ``AWAV`` for air and ``WAVE`` for vacuum, ``SPECSYS``), the ESO Science Data Products Standard
(``SPEC_RES``; ``TUCD`` ``em.wl;obs.atmos`` for air, ``em.wl`` for vacuum), the SDSS and LAMOST pipelines (``VACUUM``,
``HELIO_RV``, ``HELIO``), and ``AIRORVAC`` of the DEEP pipeline.
"""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import astropy.units as u
from astropy.io import fits

FRAMES = {
    "BARYCENT": "barycentric",
    "HELIOCEN": "heliocentric",
    "TOPOCENT": "topocentric",
    "GEOCENTR": "geocentric",
    "SOURCE": "rest",
}
"""Names of ``SPECSYS``, cut to eight letters, and what they are called here."""

OLD_NAMES = (
    (r"(?i)\b(angstroms?|ang)\b", "Angstrom"),
    (r"(?i)\bergs\b", "erg"),
    (r"(?i)\b(seconds?|secs?)\b", "s"),
    (r"(?i)\b(nanometers?|nanometres?|nms)\b", "nm"),
    (r"(?i)\b(microns?|micrometers?|micrometres?)\b", "um"),
    (r"(?i)\bcounts\b", "count"),
    (r"(?i)\bphotons\b", "photon"),
    (r"\bA(?=$|[\s)\]*^-]|\b)", "Angstrom"),
    (r"Å", "Angstrom"),
    (r"(?<=\d)E(?=[+-]?\d)", "e"),
)
"""Spellings that the standard does not know; a lone A is an ångström here, never an ampere."""


def unit(text: Any) -> u.UnitBase | None:
    """Read a unit, in old spellings, too.

    Parameters
    ----------
    text : str, astropy.units.UnitBase or None
        Of ``BUNIT``, ``TUNIT``, ``CUNIT`` or a column.

    Returns
    -------
    astropy.units.UnitBase or None
        None if there is none, or if it is no unit ("Relative Flux").

    Examples
    --------
    >>> unit("ergs s-1 cm-2 A-1")
    Unit("erg / (Angstrom s cm2)")
    >>> unit("Relative Flux") is None
    True
    """
    if isinstance(text, u.UnitBase) and not isinstance(text, u.UnrecognizedUnit):
        return text
    cleaned = "" if text is None else str(text).strip()
    for old, new in OLD_NAMES:
        cleaned = re.sub(old, new, cleaned)
    if not cleaned:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "multiple slashes", "deprecated": old, but clear
            found = u.Unit(cleaned)
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, u.UnitBase) else None


def logarithmic(text: Any) -> tuple[bool, Any]:
    """Tell whether a unit is the logarithm of another, and return the other: ``log(Angstrom)``, ``dex(nm)``."""
    found = re.fullmatch(r"(?i)\s*(?:log(?:10)?|dex)\s*\(?\s*(.*?)\s*\)?\s*", str(text or ""))
    return (True, found[1]) if found else (False, text)


def _upper(header: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in header.items()}


def medium(header: Mapping[str, Any], column: str = "") -> str | None:
    """Return "air" or "vacuum" if a header or the words at a column say it.

    Parameters
    ----------
    header : mapping
    column : str
        ``TTYPE``, ``TUCD`` and the comments of the column of wavelengths.

    Returns
    -------
    str or None
    """
    words = column.lower()
    if "obs.atmos" in words or re.search(r"(?<![a-z])air(?![a-z])", words):
        return "air"
    if re.search(r"(?<![a-z])vac(uum)?(?![a-z])", words):
        return "vacuum"
    said = _upper(header)
    if isinstance(said.get("VACUUM"), bool):
        return "vacuum" if said["VACUUM"] else "air"
    for key in ("MEDIUM", "AIRORVAC", "WAVEMED"):
        value = str(said.get(key, "")).strip().lower()
        if value[:3] in ("air", "vac"):
            return "air" if value.startswith("air") else "vacuum"
    axis = str(said.get("CTYPE1", "")).strip().upper()
    if re.fullmatch(r"AWAV(-\w+)?", axis):
        return "air"
    if re.fullmatch(r"WAVE(-\w+)?", axis):
        return "vacuum"
    if "em.wl" in words and eso(header):  # the standard has obs.atmos for air
        return "vacuum"
    return None


def eso(header: Mapping[str, Any]) -> bool:
    """Tell whether a header is of a science data product of ESO."""
    said = _upper(header)
    return str(said.get("PRODCATG", "")).strip().upper().startswith("SCIENCE.SPECTRUM")


def frame(header: Mapping[str, Any]) -> str | None:
    """Return the frame of the wavelengths: "barycentric", "heliocentric", "topocentric", "geocentric" or "rest"."""
    said = _upper(header)
    for key in ("SPECSYS", "SPECSYS1"):
        name = str(said.get(key, "")).strip().upper()[:8]
        if name in FRAMES:
            return FRAMES[name]
    if str(said.get("FRAME", "")).strip().lower() in FRAMES.values():
        return str(said["FRAME"]).strip().lower()
    if said.get("HELIO") is True or isinstance(said.get("HELIO_RV"), float):
        return "heliocentric"
    return None


def resolution(header: Mapping[str, Any]) -> float | None:
    """Return λ/FWHM if a header says it: ``SPEC_RES``, ``RESOLUTION``, ``RESOLUT``, ``RESOLVING_POWER``."""
    said = _upper(header)
    for key in ("SPEC_RES", "RESOLUTION", "RESOLUT", "RESOLVING_POWER"):
        try:
            value = float(said[key])
        except (KeyError, TypeError, ValueError):
            continue
        if 50 < value < 1e7:
            return value
    return None


def name(header: Mapping[str, Any]) -> str:
    """Return the name of the object, or an empty string; it is data, and never a path."""
    said = _upper(header)
    for key in ("OBJECT", "OBJNAME", "TARGNAME", "DESIG", "NAME"):
        value = said.get(key)
        if isinstance(value, str) and value.strip():
            return plain(value)
    return ""


def values(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what headers say as one dict, later ones first; cards that cannot be parsed are left out."""
    out: dict[str, Any] = {}
    for part in parts:
        for key in part:
            try:
                value = part[key]
            except (fits.VerifyError, ValueError):  # such as APNUM1 = '1 0 of IRAF
                continue
            out[key] = value if isinstance(value, bool | int | float | str) else str(value)
    return out


def plain(value: Any) -> str:
    """Return a name as text of one line, at most 80 characters."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(c for c in text if c.isprintable()).strip()[:80]
