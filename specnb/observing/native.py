"""From a spectrum as it is to flux and ivar on the native grid, normalised.

Cosmic rays and gaps are found in the pixels of the file (:mod:`specnb.observing.cosmic_rays`,
:mod:`specnb.observing.resample`) and masked; the flux stays as it was. Pixels on the lattice of LAMOST and SDSS are
sliced, or shifted by a fraction of a pixel. Others are resampled, conserving flux; the errors of neighbouring pixels
are then correlated, which a diagonal ``ivar`` cannot say: posteriors come out a little too narrow. Spectra of higher
resolving power are smoothed to that of the models first, with the same consequence. What was done is in the notes.
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from specutils import Spectrum

from specnb.grid import PIXEL_VELOCITY, RESOLUTION, SIGMA_PER_FWHM, WAVE
from specnb.observing import resample
from specnb.observing.arrays import arrays, of_pixels, resolving_power
from specnb.observing.cosmic_rays import cosmic_rays
from specnb.observing.flags import TRAINED
from specnb.observing.normalise import Normalised, level, normalise

__all__ = [
    "Observation", "Prepared", "cosmic_rays", "normalised", "observe", "onto_grid", "prepare", "telluric", "to_native",
]  # fmt: skip

TELLURIC = [(6865, 6965), (7160, 7340), (7590, 7720), (8120, 8350)]
"""Bands of O₂ and H₂O in the Earth's atmosphere, Å in vacuum."""

LEAST = 400
"""Good native pixels without which nothing is said."""

MARGIN = 0.02
"""Beyond the native grid, relative to its ends, pixels are of no use."""

SHARPEST = 1e8
"""Largest inverse variance of a spectrum of unit size; errors below 1e-4 are not believed."""


@dataclass
class Observation:
    """A spectrum on the native grid.

    Attributes
    ----------
    flux, ivar, continuum : numpy.ndarray
        Normalised flux, inverse variance (0 = bad or not covered), and the continuum in the file's units, (3136,). The
        flux of masked pixels is the file's; where there is none, 1.
    fit : specnb.observing.normalise.Normalised
        What the normalisation found.
    meta : dict
        Of the spectrum.
    notes : list of str
        What was done that a user should know: resampled, smoothed, resolution off, gaps, cosmic rays.
    cosmic_rays : int
        Pixels of the file that were masked as such.
    resampled : bool
        Whether pixels are not those of the file: shifted, resampled or smoothed.
    key : int
        Of the pixels: what draws are seeded by, so that a spectrum's do not depend on its place in a list.
    """

    flux: np.ndarray
    ivar: np.ndarray
    continuum: np.ndarray
    fit: Normalised
    meta: dict
    notes: list[str] = field(default_factory=list)
    cosmic_rays: int = 0
    resampled: bool = False
    key: int = 0

    @property
    def snr(self) -> float:
        """Median S/N of good pixels."""
        good = self.ivar > 0
        return float(np.median(self.flux[good] * np.sqrt(self.ivar[good])))


def telluric() -> np.ndarray:
    """Mark the telluric bands: True in them, shape (3136,)."""
    return np.any([(a <= WAVE) & (b > WAVE) for a, b in TELLURIC], axis=0)


def _said(spectrum: Spectrum, name: str, value: Any, example: str) -> Any:
    """Return what the caller says, or else the spectrum's meta; neither is guessed."""
    value = spectrum.meta.get(name) if value is None else value
    if value is None:
        raise ValueError(f"{name} of the spectrum is not known; say {name}={example}")
    return value


@dataclass
class _Gridded:
    """A spectrum on the native grid, in the file's units, and what was done with it."""

    flux: np.ndarray
    ivar: np.ndarray
    notes: list[str]
    cosmic_rays: int = 0
    resampled: bool = False


def _gridded(spectrum: Spectrum, medium: str | None, resolution: float | None) -> _Gridded:
    """Bring a spectrum onto the native grid: masks first, in the pixels of the file, then the pixels."""
    medium = _said(spectrum, "medium", medium, "'vacuum' or 'air'")
    power = resolving_power(_said(spectrum, "resolution", resolution, "1800, λ/FWHM"))
    wave, flux, ivar = arrays(spectrum, medium)
    each = of_pixels(spectrum, power) if resolution is None else np.full(len(wave), power)
    near = (wave > WAVE[0] * (1 - MARGIN)) & (wave < WAVE[-1] * (1 + MARGIN))
    wave, flux, ivar, each = wave[near], flux[near], ivar[near], each[near]
    if len(wave) < LEAST // 10:
        _refuse_short(int((ivar > 0).sum()))
    found = resample.pixels(wave, flux, ivar)
    sigma = SIGMA_PER_FWHM / each / (found.width / wave)
    hit = cosmic_rays(flux, ivar, sigma=sigma)
    found.ivar = np.where(hit, 0, ivar)
    out = _on_pixels(found, power, each)
    out.cosmic_rays = int(hit.sum())
    if power < TRAINED[0]:
        out.notes.insert(0, f"resolution {power:.0f} is below what the models know")
    out.notes += resample.gaps_said(found)
    if out.cosmic_rays:
        out.notes.append(f"{out.cosmic_rays} pixels masked as cosmic rays")
    out.ivar[telluric()] = 0
    if (good := int((out.ivar > 0).sum())) < LEAST:
        _refuse_short(good)
    return out


def _on_pixels(found: resample.Pixels, power: float, each: np.ndarray) -> _Gridded:
    """Slice, shift, resample or smooth, as pixels and resolving power, typical and of each, need it."""
    if power > TRAINED[1]:
        note = f"smoothed from R = {power:.0f} to {RESOLUTION:.0f}: errors of neighbours are correlated"
        return _Gridded(*resample.smoothed(found, each), [note], resampled=True)
    on_it = resample.lattice(found.wave)
    if on_it is None:
        note = "resampled: errors of neighbours are correlated"
        return _Gridded(*resample.resampled(found), [note], resampled=True)
    _, offset = on_it
    y, w = resample.sliced(found, *on_it)
    if abs(offset) <= resample.AT_REST:
        return _Gridded(y, w, [])
    note = (
        f"resampled by {offset:+.3f} pixels ({offset * PIXEL_VELOCITY:+.1f} km/s) onto the lattice: "
        "errors of neighbours are correlated by a few per cent"
    )
    return _Gridded(y, w, [note], resampled=True)


def _refuse_short(good: int) -> None:
    raise ValueError(
        f"only {good} good pixels between {WAVE[0]:.0f} and {WAVE[-1]:.0f} Å, {LEAST} are the least; "
        "check masks, ivar and the unit of the wavelengths"
    )


def onto_grid(
    spectrum: Spectrum, medium: str | None = None, resolution: float | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Bring a spectrum onto the native grid, in the file's units; arguments and errors as of :func:`observe`.

    Returns
    -------
    flux, ivar : numpy.ndarray
        Shape (3136,), float64; ``ivar`` is 0 where there is nothing, in bad pixels and in telluric bands.
    notes : list of str
        What was done that a user should know.
    """
    found = _gridded(spectrum, medium, resolution)
    return found.flux, found.ivar, found.notes


@dataclass
class Prepared:
    """A spectrum on the native grid that is not divided by its continuum yet.

    Attributes
    ----------
    flux, ivar : numpy.ndarray
        In units of ``scale``, (3136,); cosmic rays and bad pixels have ``ivar`` 0.
    scale : float
        Typical flux, in the file's units.
    meta : dict
        Of the spectrum.
    notes : list of str
        What was done that a user should know.
    cosmic_rays : int
        Pixels of the file that were masked as such.
    resampled : bool
        Whether pixels are not those of the file.
    """

    flux: np.ndarray
    ivar: np.ndarray
    scale: float
    meta: dict
    notes: list[str]
    cosmic_rays: int = 0
    resampled: bool = False


def prepare(
    spectrum: Spectrum, medium: str | None = None, resolution: float | None = None
) -> Prepared:
    """Bring a spectrum onto the native grid; arguments and errors as of :func:`observe`."""
    found = _gridded(spectrum, medium, resolution)
    y, w = found.flux, found.ivar
    scale = float(np.median(np.abs(y[w > 0])))
    if not 1e-35 < scale < 1e35:
        raise ValueError(f"flux has a typical size of {scale:.3g}; check its unit")
    y, w = y / scale, np.minimum(w * scale**2, SHARPEST)
    level(y, w)  # a spectrum without a continuum is refused here, where its file is known
    said = spectrum.meta.get("resolution") if resolution is None else resolution
    meta = dict(spectrum.meta) | {"resolution": resolving_power(said)}
    return Prepared(y, w, scale, meta, found.notes, found.cosmic_rays, found.resampled)


def normalised(
    prepared: list[Prepared], inflate: bool = True, device: str = "cpu"
) -> list[Observation]:
    """Divide spectra by their continua, all of them together.

    Parameters
    ----------
    prepared : list of Prepared
    inflate : bool
        As of :func:`observe`.
    device : str
        Where the fits are made, as torch names it.

    Returns
    -------
    list of Observation
    """
    if not prepared:
        return []
    flux = np.stack([p.flux for p in prepared])
    ivar = np.stack([p.ivar for p in prepared])
    found = normalise(flux, ivar, inflate, device)
    observations = []
    for i, p in enumerate(prepared):
        one = found[i]
        observations.append(
            Observation(
                one.flux,
                one.ivar,
                one.continuum * p.scale,
                one,
                p.meta,
                p.notes,
                p.cosmic_rays,
                p.resampled,
                zlib.crc32(p.flux.astype("f4").tobytes()),
            )
        )
    return observations


def observe(
    spectrum: Spectrum,
    medium: str | None = None,
    resolution: float | None = None,
    inflate: bool = True,
) -> Observation:
    """Bring a spectrum onto the native grid and divide it by its continuum.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        One spectrum with an uncertainty of any kind. ``meta`` may hold ``medium`` and ``resolution``.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths; needed if ``meta`` does not say it.
    resolution : float, optional
        λ/FWHM; needed if ``meta`` does not say it. Higher ones are smoothed to 1800.
    inflate : bool
        Give ``ivar`` the errors that the residuals of a fit show; right for real spectra, whose files are off by
        ±40 %.

    Returns
    -------
    Observation

    Raises
    ------
    ValueError
        What is wrong with the spectrum, and what to do.
    """
    (found,) = normalised([prepare(spectrum, medium, resolution)], inflate)
    return found


def to_native(
    spectrum: Spectrum,
    medium: str | None = None,
    resolution: float | None = None,
    inflate: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a spectrum onto the native grid, normalised, as :mod:`specnb`'s functions take it.

    Parameters
    ----------
    spectrum, medium, resolution, inflate
        As of :func:`observe`.

    Returns
    -------
    flux, ivar : numpy.ndarray
        Normalised flux and its inverse variance (0 = bad or not covered), shape (3136,).

    Raises
    ------
    ValueError
        What is wrong with the spectrum, and what to do.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.nddata import StdDevUncertainty
    >>> from specnb import WAVE, simulate
    >>> star = simulate(1, seed=1, snr=50)
    >>> electrons, error = 1e3 * star.flux[0], 1e3 * star.level * star.sigma[0]
    >>> spectrum = Spectrum(
    ...     flux=electrons * u.electron, spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(error)
    ... )
    >>> flux, ivar = to_native(spectrum, medium="vacuum", resolution=1800)
    >>> flux.shape, bool(0.9 < np.median(flux) < 1.1)
    ((3136,), True)
    """
    found = observe(spectrum, medium, resolution, inflate)
    return found.flux, found.ivar
