"""SDSS: the layouts of its optical spectra.

===============  =======================================================================================================
I, II            ``spSpec``: primary image of five rows: flux, continuum-subtracted, σ, mask, sky; ``COEFF0`` and
                 ``COEFF1`` say log10 of the wavelength; a table has andMask and dispersion (σ of the LSF in pixels)
III, IV, V       ``spec``: table with flux, loglam, ivar, and_mask and wdisp (σ of the LSF in pixels)
V                ``mwmStar``, ``mwmVisit``: tables BOSS/APO, BOSS/LCO, APOGEE/…: rows of vectors, at the star's rest
===============  =======================================================================================================

Wavelengths are in vacuum, Å and heliocentric; the flux is in 1e-17 erg/s/cm²/Å, whatever ``BUNIT`` spells.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits
from specutils import Spectrum

from specnb.observing import headers
from specnb.observing.assemble import Errors, angstroms, build, numbers
from specnb.observing.layouts import (
    CGS,
    UNKNOWN,
    Layout,
    columns,
    flagged,
    log_linear,
    power_of,
    telescope,
)

SDSS_RESOLUTION = 2000.0
"""λ/FWHM that the survey states for the middle of its range; used where a file does not say it."""

INFRARED = 12_000
"""Å; APOGEE's spectra begin beyond it."""


def _sdss_name(header: dict) -> str | None:
    numbers = [header.get(key) for key in ("PLATEID", "MJD", "FIBERID")]
    if all(isinstance(number, int) for number in numbers):
        return "SDSS " + "-".join(str(number) for number in numbers)
    return None


class SdssImage(Layout):
    """Read ``spSpec-*.fit`` of SDSS-I and II."""

    label = "specnb SDSS spSpec"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        header = hdus[0].header
        rows = header.get("NAXIS"), header.get("NAXIS2")
        return telescope(hdus).startswith("SDSS") and rows == (2, 5) and "COEFF0" in header

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        header, rows = headers.values(hdus[0].header), hdus[0].data
        wave = log_linear(header, rows.shape[1])
        if wave is None:
            raise ValueError(f"COEFF0 and COEFF1 say no wavelengths; {UNKNOWN}")
        bad, power = flagged(rows[3]), None
        for hdu in hdus[1:]:  # exact integers, and σ of the LSF
            names = columns(hdu)
            if {"andmask", "dispersion"} <= set(names) and len(hdu.data) == len(wave):
                bad = flagged(hdu.data[names["andmask"]])
                power = power_of(hdu.data[names["dispersion"]], header["COEFF1"])
        yield _sdss(wave, rows[0], Errors(rows[2], "sigma"), bad, power, header)


def _sdss(
    wave: Any, flux: Any, errors: Errors, bad: Any, power: Any, header: Any, **meta: Any
) -> Spectrum:
    """Make a spectrum of SDSS; wavelengths are in vacuum and heliocentric in all of its releases."""
    known = power is not None and (np.isfinite(power) & (power > 500) & (power < 10_000)).any()
    return build(
        wave,
        flux,
        CGS,
        errors,
        bad,
        header,
        power if known else None,
        **(
            {
                "survey": "SDSS",
                "medium": headers.medium(header) or "vacuum",
                "frame": headers.frame(header) or "heliocentric",
                "resolution": None if known else SDSS_RESOLUTION,
                "object": _sdss_name(header),
            }
            | meta
        ),
    )


class SdssTable(Layout):
    """Read ``spec-*.fits`` of SDSS-III, BOSS and SDSS-V: the coadded spectrum."""

    label = "specnb SDSS spec"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        names = set(columns(hdus[1])) if len(hdus) > 1 else set()
        theirs = telescope(hdus).startswith("SDSS") or {"and_mask", "wdisp"} & names
        return bool(theirs) and {"flux", "loglam", "ivar"} <= names

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        data, names = hdus[1].data, columns(hdus[1])
        wave, _ = angstroms(data[names["loglam"]], None, log=True)
        mask = names.get("and_mask", names.get("mask"))
        bad = None if mask is None else flagged(data[mask])
        power = power_of(data[names["wdisp"]]) if "wdisp" in names else None
        header, meta = headers.values(hdus[0].header), {}
        summary = columns(hdus[2]) if len(hdus) > 2 else {}
        if _sdss_name(header) is None and "catalogid" in summary and len(hdus[2].data):
            meta["object"] = f"SDSS {hdus[2].data[summary['catalogid']][0]}"
        errors = Errors(data[names["ivar"]], "ivar")
        yield _sdss(wave, data[names["flux"]], errors, bad, power, header, **meta)


class Mwm(Layout):
    """Read ``mwmStar`` and ``mwmVisit`` of SDSS-V: the optical spectra, which are at the star's rest."""

    label = "specnb SDSS-V mwm"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        header = hdus[0].header
        return "V_ASTRA" in header and any(
            {"flux", "ivar"} <= set(names) and "model_flux" not in names
            for names in map(columns, hdus)
        )

    def _tables(self, hdus: fits.HDUList) -> list[tuple[Any, np.ndarray | None]]:
        """Return tables of optical spectra, each with the wavelengths that all of its rows have, or None."""
        found: list[tuple[Any, np.ndarray | None]] = []
        for hdu in hdus:
            names, header = columns(hdu), hdu.header
            if not {"flux", "ivar"} <= set(names) or not header.get("NAXIS2"):
                continue
            wave = None
            if "wavelength" in names:
                first = numbers(hdu.data[names["wavelength"]][0])
            else:
                wave = 10 ** (header["CRVAL"] + header["CDELT"] * np.arange(header["NPIXELS"]))
                first = wave
            if np.nanmin(first) < INFRARED:
                found.append((hdu, wave))
        if not found:
            raise ValueError("this SDSS-V file holds no optical spectrum; there is nothing to read")
        return found

    def count(self, hdus: fits.HDUList) -> int:
        """Return how many spectra there are."""
        return sum(len(hdu.data) for hdu, _ in self._tables(hdus))

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        header = headers.values(hdus[0].header)
        star = header.get("SDSS_ID")
        for hdu, wave in self._tables(hdus):
            names = columns(hdu)
            for row in hdu.data:
                at = numbers(row[names["wavelength"]]) if wave is None else wave
                # pixel_flags repeat what ivar = 0 says, with warnings that spoil nothing
                yield _sdss(
                    at,
                    row[names["flux"]],
                    Errors(row[names["ivar"]], "ivar"),
                    None,
                    None,
                    header,
                    object=None if star is None else f"SDSS {star}",
                    frame="rest",
                )
