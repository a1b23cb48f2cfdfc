"""LAMOST: the layouts of its low-resolution spectra.

===============  =======================================================================================================
DR2 to DR7       primary image of five rows: flux, inverse variance, wavelength, AND-mask, OR-mask
pilot, DR1       the same with a normalised flux in row 3; ``COEFF0`` and ``COEFF1`` say log10 of the wavelength
since DR8        table ``COADD``: one row of vectors FLUX, IVAR, WAVELENGTH, ANDMASK, …
===============  =======================================================================================================

Wavelengths are in vacuum and Å. Medium-resolution files have a table ``COADD_B`` and are refused.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits
from specutils import Spectrum

from specnb.observing import headers
from specnb.observing.assemble import Errors, build, numbers
from specnb.observing.layouts import UNKNOWN, Layout, columns, flagged, log_linear, telescope

BAD_BITS = 0b111111
"""Bits of LAMOST's AND-mask that spoil a pixel in every exposure: bad CCD, profile, sky or fibre, scattered light."""

LAMOST_RESOLUTION = 1800.0
"""λ/FWHM that the survey states for the middle of its range; its files do not say it."""


class LamostImage(Layout):
    """Read LAMOST DR7 and before."""

    label = "LAMOST LRS five rows"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        header = hdus[0].header
        shape = header.get("NAXIS2"), header.get("NAXIS")
        return telescope(hdus) == "LAMOST" and shape == (5, 2)

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        rows, header = hdus[0].data, headers.values(hdus[0].header)
        wave = numbers(rows[2])
        computed = log_linear(header, len(wave))
        if computed is not None:
            with np.errstate(invalid="ignore"):
                away = np.abs(wave / computed - 1)
            if not np.nanmedian(np.where(np.isfinite(away), away, np.inf)) < 1e-2:
                wave = computed  # pilot survey and DR1: row 3 is a normalised flux
        yield _lamost(wave, rows[0], rows[1], rows[3], header)


def _lamost(wave: Any, flux: Any, ivar: Any, mask: Any, header: dict) -> Spectrum:
    return build(
        numbers(wave),
        flux,
        None,
        Errors(ivar, "ivar"),
        flagged(mask, BAD_BITS),
        header,
        survey="LAMOST",
        object=headers.plain(header.get("DESIG", "")),
        medium=headers.medium(header) or "vacuum",
        resolution=LAMOST_RESOLUTION,
    )


class LamostTable(Layout):
    """Read LAMOST DR8 and after."""

    label = "LAMOST LRS"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        return (
            len(hdus) > 1
            and telescope(hdus) == "LAMOST"
            and hdus[1].header.get("EXTNAME") == "COADD"
        )

    def count(self, hdus: fits.HDUList) -> int:
        """Return how many spectra there are."""
        return len(hdus[1].data)

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        names = ("WAVELENGTH", "FLUX", "IVAR", "ANDMASK")
        if missing := [name for name in names if name.lower() not in columns(hdus[1])]:
            raise ValueError(f"table COADD lacks {missing}; {UNKNOWN}")
        header = headers.values(hdus[0].header)
        for row in hdus[1].data:
            wave, flux, ivar, mask = (row[name] for name in names)
            yield _lamost(wave, flux, ivar, mask, header)


class LamostMedium(Layout):
    """Refuse LAMOST's medium-resolution files."""

    label = "LAMOST MRS"

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        return any(hdu.name in ("COADD_B", "COADD_R") for hdu in hdus)

    def count(self, hdus: fits.HDUList) -> int:
        """Refuse."""
        raise ValueError(
            "this is a LAMOST medium-resolution file; only low resolution (R = 1800) is read"
        )

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Refuse."""
        yield from [None] * self.count(hdus)
