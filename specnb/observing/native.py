"""From a spectrum as it is to flux and ivar on the native grid, normalised.

Pixels on the lattice of LAMOST and SDSS are sliced. Others are resampled, conserving flux (``specutils``); the errors
of neighbouring pixels are then correlated, which a diagonal ``ivar`` cannot say: posteriors come out a little too
narrow. Spectra of higher resolving power are smoothed to that of the models first, with the same consequence.
"""

from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import InverseVariance
from scipy.ndimage import gaussian_filter1d
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler
from specutils.utils.wcs_utils import air_to_vac

from specnb.grid import DLOGLAM, LOGLAM, N_PIXELS, RESOLUTION, SIGMA_PER_FWHM, WAVE
from specnb.observing.flags import TRAINED
from specnb.observing.normalise import Normalised, level, normalise

TELLURIC = [(6865, 6965), (7160, 7340), (7590, 7720), (8120, 8350)]
"""Bands of O₂ and H₂O in the Earth's atmosphere, Å in vacuum."""

LEAST = 400
"""Good native pixels without which nothing is said."""

ABSURD = 1e3
"""Times the typical flux: beyond, a pixel holds no data."""

SHARPEST = 1e8
"""Largest inverse variance of a spectrum of unit size; errors below 1e-4 are not believed."""

FINER = 5
"""Points to a native pixel where spectra are smoothed."""


@dataclass
class Observation:
    """A spectrum on the native grid.

    Attributes
    ----------
    flux, ivar, continuum : numpy.ndarray
        Normalised flux, inverse variance (0 = bad or not covered), and the continuum in the file's units, (3136,).
    fit : specnb.observing.normalise.Normalised
        What the normalisation found.
    meta : dict
        Of the spectrum.
    notes : list of str
        What was done that a user should know: resampled, smoothed, resolution off.
    """

    flux: np.ndarray
    ivar: np.ndarray
    continuum: np.ndarray
    fit: Normalised
    meta: dict
    notes: list[str] = field(default_factory=list)

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


def _arrays(spectrum: Spectrum, medium: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vacuum wavelengths in Å, ascending, flux and ivar; one dimension, float64."""
    if not isinstance(spectrum, Spectrum):
        raise TypeError(
            f"spectrum is a {type(spectrum).__name__}; give a specutils Spectrum (specnb.observing.readers.read)"
        )
    if spectrum.flux.ndim != 1:
        raise ValueError(f"flux has shape {spectrum.flux.shape}; give one spectrum at a time")
    try:
        wave = spectrum.spectral_axis.to_value(u.AA, u.spectral()).astype("f8")
    except u.UnitConversionError as error:
        raise ValueError(
            f"spectral axis in {spectrum.spectral_axis.unit} is no wavelength: {error}"
        ) from error
    flux = spectrum.flux.value.astype("f8")
    if spectrum.uncertainty is None:
        raise ValueError(
            "the spectrum has no uncertainty; set spectrum.uncertainty, e.g. StdDevUncertainty"
        )
    with np.errstate(divide="ignore", invalid="ignore"):  # no uncertainty is no weight
        ivar = np.asarray(spectrum.uncertainty.represent_as(InverseVariance).array, "f8")
    bad = ~np.isfinite(flux) | ~np.isfinite(ivar) | (ivar <= 0)
    if spectrum.mask is not None:
        bad |= np.asarray(spectrum.mask, dtype=bool)
    if not bad.all():
        bad |= np.abs(flux) > ABSURD * np.median(np.abs(flux[~bad]))
    flux, ivar = np.where(bad, 0, flux), np.where(bad, 0, ivar)
    if medium not in ("air", "vacuum"):
        raise ValueError(
            f"medium is {medium!r}; say 'air' or 'vacuum' (confusing them costs 83 km/s)"
        )
    if not np.isfinite(wave).all() or (wave <= 0).any():
        raise ValueError("wavelengths hold values that are not positive; check the spectral axis")
    if len(wave) > 1 and wave[0] > wave[-1]:
        wave, flux, ivar = wave[::-1], flux[::-1], ivar[::-1]
    if not (np.diff(wave) > 0).all():
        at = int(np.argmin(np.diff(wave) > 0))
        raise ValueError(
            f"wavelengths do not increase at pixel {at} ({wave[at]:.2f} Å twice?); sort them, drop repeats"
        )
    if medium == "air":
        wave = air_to_vac(wave * u.AA, scheme="iteration").to_value(u.AA)
    return wave, flux, ivar


def _lattice(wave: np.ndarray) -> np.ndarray | None:
    """Return the native pixel of every pixel if all lie on the lattice, else None."""
    step = (np.log10(wave) - LOGLAM[0]) / DLOGLAM
    pixel = np.round(step).astype(int)
    lies_on_it = np.all(np.abs(step - pixel) < 0.05) and np.all(np.diff(pixel) >= 1)
    return pixel if lies_on_it else None


def _smoothed(
    wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray, resolution: float
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth a spectrum to the models' resolution, on the native grid; bad pixels spoil their surroundings."""
    good = ivar > 0
    inside = (wave[0] <= WAVE) & (wave[-1] >= WAVE)
    if good.sum() < 2 or not inside.any():
        return np.zeros(N_PIXELS), np.zeros(N_PIXELS)
    step, margin = DLOGLAM / FINER, 10 * FINER
    finer = 10 ** (LOGLAM[0] + step * (np.arange(-margin, FINER * N_PIXELS + margin) - FINER // 2))
    values = np.interp(finer, wave[good], flux[good])
    # of the spectrum's pixels, in fine points
    width = np.interp(finer, wave, np.gradient(np.log10(wave))) / step
    variance = np.interp(finer, wave[good], 1 / ivar[good]) * width
    sigma = SIGMA_PER_FWHM * np.sqrt(1 / RESOLUTION**2 - 1 / resolution**2) / (np.log(10) * step)
    spoilt = gaussian_filter1d(np.interp(finer, wave, (~good).astype(float)), sigma) > 0.05
    # fine points that a smoothed one averages
    independent = np.maximum(2 * np.sqrt(np.pi) * sigma, width)
    weight = np.where(spoilt, 0, independent / gaussian_filter1d(variance, sigma))
    smooth = gaussian_filter1d(values, sigma)
    of_pixels = N_PIXELS, FINER  # the fine points of each native pixel
    smooth = smooth[margin:-margin].reshape(of_pixels).mean(1)
    weight = weight[margin:-margin].reshape(of_pixels).min(1)
    return smooth, np.where(inside, weight, 0)


def _resampled(
    wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Resample onto the native grid, conserving flux; pixels that a bad one touches are bad."""
    out, weight, good = np.zeros(N_PIXELS), np.zeros(N_PIXELS), ivar > 0
    inside = (wave[0] <= WAVE) & (wave[-1] >= WAVE)
    if good.sum() < 2 or not inside.any():
        return out, weight
    scale = np.median(np.abs(flux[good])) or 1.0
    spectrum = Spectrum(
        flux=np.interp(wave, wave[good], flux[good]) / scale * u.one,
        spectral_axis=wave * u.AA,
        uncertainty=InverseVariance(np.where(good, ivar, np.median(ivar[good])) * scale**2),
    )
    new = FluxConservingResampler()(spectrum, WAVE[inside] * u.AA)
    spoilt = np.interp(WAVE[inside], wave, (~good).astype(float)) > 0.01
    out[inside] = np.nan_to_num(new.flux.value) * scale
    found = np.nan_to_num(np.asarray(new.uncertainty.array)) / scale**2
    weight[inside] = np.where(spoilt | ~np.isfinite(new.flux.value), 0, found)
    return out, weight


def cosmic_rays(flux: np.ndarray, ivar: np.ndarray, height: float = 8.0) -> np.ndarray:
    """Mark spikes that are narrower than any line.

    Parameters
    ----------
    flux, ivar : numpy.ndarray
        In any unit; ``ivar`` 0 = bad pixel; shape (3136,).
    height : float
        Least height above the neighbours, σ.

    Returns
    -------
    numpy.ndarray
        True at spikes and next to them, shape (3136,).
    """
    sigma = np.where(ivar > 0, ivar, 1) ** -0.5
    padded = np.pad(flux, 2, mode="edge")
    base = np.median(np.stack([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]]), axis=0)
    excess = flux - base
    before, after = padded[1:-3], padded[3:-1]
    peak = (flux >= before) & (flux >= after) & (excess > height * sigma)
    spike = peak & (np.minimum(before, after) - base < 0.3 * excess)
    return (ivar > 0) & np.convolve(spike, np.ones(3), "same").astype(bool)


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
    medium = _said(spectrum, "medium", medium, "'vacuum' or 'air'")
    resolution = _said(spectrum, "resolution", resolution, "1800, λ/FWHM")
    if not isinstance(resolution, (int, float)) or not 0 < resolution < np.inf:
        raise ValueError(f"resolution is {resolution!r}; give λ/FWHM, such as 1800")
    wave, flux, ivar = _arrays(spectrum, medium)
    notes = []
    if resolution < TRAINED[0]:
        notes.append(f"resolution {resolution:.0f} is below what the models know")
    pixel = _lattice(wave)
    if resolution > TRAINED[1]:
        y, w = _smoothed(wave, flux, ivar, resolution)
        notes.append(
            f"smoothed from R = {resolution:.0f} to {RESOLUTION:.0f}: errors of neighbours are correlated"
        )
    elif pixel is None:
        y, w = _resampled(wave, flux, ivar)
        notes.append("resampled: errors of neighbours are correlated")
    else:
        inside = (pixel >= 0) & (pixel < N_PIXELS)
        y, w = np.zeros(N_PIXELS), np.zeros(N_PIXELS)
        y[pixel[inside]], w[pixel[inside]] = flux[inside], ivar[inside]
    w[telluric()] = 0
    if (good := int((w > 0).sum())) < LEAST:
        raise ValueError(
            f"only {good} good pixels between {WAVE[0]:.0f} and {WAVE[-1]:.0f} Å, {LEAST} are the least; "
            "check masks, ivar and the unit of the wavelengths"
        )
    return y, w, notes


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
    """

    flux: np.ndarray
    ivar: np.ndarray
    scale: float
    meta: dict
    notes: list[str]


def prepare(
    spectrum: Spectrum, medium: str | None = None, resolution: float | None = None
) -> Prepared:
    """Bring a spectrum onto the native grid; arguments and errors as of :func:`observe`."""
    y, w, notes = onto_grid(spectrum, medium, resolution)
    scale = np.median(np.abs(y[w > 0]))
    if not 1e-35 < scale < 1e35:
        raise ValueError(f"flux has a typical size of {scale:.3g}; check its unit")
    y, w = y / scale, np.minimum(w * scale**2, SHARPEST)
    w[cosmic_rays(y, w)] = 0
    level(y, w)  # a spectrum without a continuum is refused here, where its file is known
    said = spectrum.meta.get("resolution") if resolution is None else resolution
    return Prepared(y, w, scale, dict(spectrum.meta) | {"resolution": said}, notes)


def normalised(prepared: list[Prepared], inflate: bool = True) -> list[Observation]:
    """Divide spectra by their continua, all of them together.

    Parameters
    ----------
    prepared : list of Prepared
    inflate : bool
        As of :func:`observe`.

    Returns
    -------
    list of Observation
    """
    if not prepared:
        return []
    flux = np.stack([p.flux for p in prepared])
    ivar = np.stack([p.ivar for p in prepared])
    found = normalise(flux, ivar, inflate)
    observations = []
    for i, p in enumerate(prepared):
        one = found[i]
        continuum = one.continuum * p.scale
        observations.append(Observation(one.flux, one.ivar, continuum, one, p.meta, p.notes))
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
