r"""The contract of a layout of files, and what layouts share.

A layout recognises a file by its headers alone, counts its spectra, and yields them one at a time. Where LSFs are
given as a Gaussian's σ in pixels of a step in log10 λ,

.. math:: R = \frac{\lambda}{\mathrm{FWHM}} = \frac{1}{\sqrt{8 \ln 2}\,\ln 10\;\Delta\,\sigma}.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from specutils import Spectrum

from specnb.grid import DLOGLAM, SIGMA_PER_FWHM
from specnb.observing.assemble import numbers

CGS = u.Unit(1e-17 * u.erg / u.AA / u.s / u.cm**2)
"""Unit of the flux of SDSS and DESI."""

UNKNOWN = "this layout is not known: build a specutils Spectrum"
"""The end of every sentence on a healthy file that is not read."""


class Layout(ABC):
    """How spectra lie in a file.

    Attributes
    ----------
    label : str
        Name under which specutils knows it.
    priority : int
        Among the layouts that specutils knows; the highest is taken.
    """

    label: str
    priority = 30

    @abstractmethod
    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout, by its headers."""

    @abstractmethod
    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra of a file that has this layout."""

    def count(self, hdus: fits.HDUList) -> int:
        """Return how many spectra a file has."""
        return 1


def columns(hdu: Any) -> dict[str, str]:
    """Return the columns of a table, lower case → as written; empty if it is no table."""
    if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
        return {}
    return {str(name).lower(): name for name in hdu.columns.names}


def telescope(hdus: fits.HDUList) -> str:
    """Return ``TELESCOP``, upper case."""
    return str(hdus[0].header.get("TELESCOP", "")).strip().upper()


def log_linear(header: Any, n: int) -> np.ndarray | None:
    """Return wavelengths in Å of ``COEFF0`` and ``COEFF1``, if a header has them."""
    first, step = header.get("COEFF0"), header.get("COEFF1")
    if not isinstance(first, float) or not isinstance(step, float):
        return None
    return 10 ** (first + step * np.arange(n)) if 3 < first < 5 and 0 < step < 0.1 else None


def power_of(sigma_pixels: Any, step: float = DLOGLAM) -> np.ndarray:
    """Return λ/FWHM of the LSF's σ in pixels of ``step`` dex; NaN where it is not positive."""
    sigma = numbers(sigma_pixels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sigma > 0, SIGMA_PER_FWHM / (np.log(10) * step * sigma), np.nan)


def flagged(mask: Any, bits: int = -1) -> np.ndarray:
    """Mark pixels that have one of ``bits``, of a mask of integers or floats."""
    values = np.nan_to_num(numbers(mask), posinf=0, neginf=0)
    return (np.clip(values, -(2**53), 2**53).astype(np.int64) & bits) != 0
