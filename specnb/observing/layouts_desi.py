r"""DESI: spectra and coadds, their arms joined.

Images B_WAVELENGTH, B_FLUX, B_IVAR, B_MASK, B_RESOLUTION, then those of R and Z; a row of FLUX is a target of the table
FIBERMAP. Wavelengths are in vacuum, Å and barycentric. RESOLUTION holds the diagonals :math:`R_{d j}` of the matrix
that smooths a spectrum to the instrument; the second moment of :math:`R_{\cdot j}` over :math:`d` is the LSF's
:math:`\sigma^2`.
"""

from collections.abc import Iterator

import numpy as np
from astropy.io import fits
from specutils import Spectrum

from specnb.grid import SIGMA_PER_FWHM
from specnb.observing import arms, headers
from specnb.observing.assemble import Errors, build, numbers, typical
from specnb.observing.layouts import CGS, UNKNOWN, Layout, columns, flagged


class Desi(Layout):
    """Read spectra and coadds of DESI, their arms joined."""

    label = "specnb DESI"

    def _arms(self, hdus: fits.HDUList) -> list[str]:
        names = {hdu.name for hdu in hdus}
        ends = [name.removesuffix("_WAVELENGTH") for name in names if name.endswith("_WAVELENGTH")]
        return sorted(a for a in ends if {f"{a}_FLUX", f"{a}_IVAR"} <= names)

    def recognises(self, hdus: fits.HDUList) -> bool:
        """Tell whether a file has this layout."""
        return bool(self._arms(hdus))

    def count(self, hdus: fits.HDUList) -> int:
        """Return how many spectra there are."""
        shapes = {hdus[f"{arm}_FLUX"].shape for arm in self._arms(hdus)}
        if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(f"the arms of this DESI file have shapes {sorted(shapes)}; {UNKNOWN}")
        return next(iter(shapes))[0]

    def spectra(self, hdus: fits.HDUList) -> Iterator[Spectrum]:
        """Yield the spectra."""
        present = {hdu.name for hdu in hdus}
        names = columns(hdus["FIBERMAP"]) if "FIBERMAP" in present else {}
        header = headers.values(hdus[0].header)
        for i in range(self.count(hdus)):
            joined, notes = arms.join([_desi_arm(hdus, arm, i) for arm in self._arms(hdus)])
            target = hdus["FIBERMAP"].data["TARGETID"][i] if "targetid" in names else None
            yield build(
                joined.wave,
                joined.flux,
                CGS,
                Errors(joined.ivar, "ivar"),
                None,
                header,
                joined.power,
                survey="DESI",
                medium=headers.medium(header) or "vacuum",
                frame=headers.frame(header) or "barycentric",
                object=None if target is None else f"DESI {target}",
                resolution=None if typical(joined) else headers.resolution(header),
                notes=notes or None,
            )


def _desi_arm(hdus: fits.HDUList, arm: str, i: int) -> arms.Arm:
    wave = numbers(hdus[f"{arm}_WAVELENGTH"].data)
    flux, ivar = (numbers(hdus[f"{arm}_{key}"].data[i]) for key in ("FLUX", "IVAR"))
    present = {hdu.name for hdu in hdus}
    bad = (ivar <= 0) | ~np.isfinite(ivar) | ~np.isfinite(flux)
    if f"{arm}_MASK" in present:
        bad |= flagged(hdus[f"{arm}_MASK"].data[i])
    power = None
    if f"{arm}_RESOLUTION" in present:
        power = _desi_power(wave, np.asarray(hdus[f"{arm}_RESOLUTION"].data[i], "f8"))
    return arms.Arm(wave, flux, np.where(bad, 0, ivar), power)


def _desi_power(wave: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Return λ/FWHM of the second moment of DESI's resolution matrix, of which ``bands`` are the diagonals."""
    offset = np.arange(len(bands))[:, None] - len(bands) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        total = bands.sum(0)
        mean = (offset * bands).sum(0) / total
        variance = ((offset - mean) ** 2 * bands).sum(0) / total
        fwhm = np.sqrt(variance) / SIGMA_PER_FWHM * np.gradient(wave)
        return np.where((total > 0) & (variance > 0), wave / fwhm, np.nan)
