"""What a ``specutils.Spectrum`` holds, as plain arrays: units, masks, byte orders and directions are settled here."""

from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import InverseVariance, StdDevUncertainty
from scipy.ndimage import median_filter
from specutils import Spectrum
from specutils.utils.wcs_utils import air_to_vac

ABSURD = 1e3
"""Times the typical flux: beyond, a pixel holds no data."""


def resolving_power(value: Any) -> float:
    """Return a resolving power as a float: numbers of any kind, of numpy too, and quantities without unit."""
    try:
        number = float(u.Quantity(value).to_value(u.one))
    except (TypeError, ValueError):  # units are of the latter kind
        number = np.nan
    if isinstance(value, bool | np.bool_ | str) or not 0 < number < np.inf:
        raise ValueError(f"resolution is {value!r}; give λ/FWHM, such as 1800")
    return number


def of_pixels(spectrum: Spectrum, power: float) -> np.ndarray:
    """Return λ/FWHM of every pixel, by ascending wavelength: what meta ``resolving_power`` says, else ``power``."""
    n = spectrum.flux.shape[-1]
    said = np.asarray(spectrum.meta.get("resolving_power", power), "f8")
    if said.shape not in ((), (n,)):
        raise ValueError(
            f"meta resolving_power has shape {said.shape} and flux ({n},); give one of every pixel"
        )
    each = np.where(np.isfinite(said) & (said > 0), said, power) * np.ones(n)
    axis = spectrum.spectral_axis.to_value(u.AA, u.spectral())
    return each[::-1] if axis[0] > axis[-1] else each


def _plain(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers without units and masks, float64, and where they were masked."""
    mask = np.zeros(np.shape(values), bool) | np.asarray(getattr(values, "mask", False), bool)
    values = getattr(values, "unmasked", values)  # astropy's masked quantities
    values = getattr(values, "value", values)
    return np.asarray(np.ma.getdata(values), "f8"), mask


def _ivar(spectrum: Spectrum, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return inverse variances in units of the flux, and where they were masked."""
    if spectrum.uncertainty is None:
        raise ValueError(
            "the spectrum has no uncertainty; set spectrum.uncertainty, e.g. StdDevUncertainty"
        )
    try:
        found = spectrum.uncertainty.represent_as(StdDevUncertainty)
        sigma, mask = _plain(found.array)
        mask = mask | np.asarray(getattr(spectrum.uncertainty.array, "mask", False), bool)
        unit = found.unit or spectrum.flux.unit
        if unit != spectrum.flux.unit:
            sigma = (sigma * unit).to_value(spectrum.flux.unit, u.spectral_density(wave * u.AA))
    except (u.UnitConversionError, TypeError) as error:
        raise ValueError(
            f"uncertainty in {spectrum.uncertainty.unit} does not go with flux in {spectrum.flux.unit}; "
            "give both in the same unit"
        ) from error
    return np.where(sigma > 0, sigma, np.inf) ** -2.0, mask  # no uncertainty is no weight


def add_errors(spectrum: Spectrum, snr: float) -> None:
    """Give a spectrum errors of a constant S/N: the running median of the flux over it."""
    flux = np.nan_to_num(np.asarray(spectrum.flux.value, "f8"), posinf=0, neginf=0)
    smooth = median_filter(np.abs(flux), min(301, flux.size), mode="nearest")
    good = smooth > 0
    ivar = np.where(good, (snr / np.where(good, smooth, 1)) ** 2, 0)
    spectrum.uncertainty = InverseVariance(ivar, unit=spectrum.flux.unit**-2)


def arrays(spectrum: Spectrum, medium: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vacuum wavelengths in Å, ascending, flux and ivar; one dimension, float64."""
    if not isinstance(spectrum, Spectrum):
        raise TypeError(
            f"spectrum is a {type(spectrum).__name__}; give a specutils Spectrum (specnb.observing.readers.read)"
        )
    if spectrum.flux.ndim != 1:
        raise ValueError(f"flux has shape {spectrum.flux.shape}; give one spectrum at a time")
    if spectrum.flux.unit.is_equivalent(u.mag):
        raise ValueError(
            f"flux in {spectrum.flux.unit} is logarithmic; convert it to a linear unit"
        )
    try:
        wave = spectrum.spectral_axis.to_value(u.AA, u.spectral()).astype("f8")
    except u.UnitConversionError as error:
        raise ValueError(
            f"spectral axis in {spectrum.spectral_axis.unit} is no wavelength: {error}"
        ) from error
    flux, bad = _plain(spectrum.flux)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ivar, masked = _ivar(spectrum, wave)
    bad = bad | masked | ~np.isfinite(flux) | ~np.isfinite(ivar) | (ivar <= 0)
    if spectrum.mask is not None:
        bad |= np.asarray(spectrum.mask, dtype=bool)
    typical = np.median(np.abs(flux[~bad])) if not bad.all() else 0.0
    absurd = ~(np.abs(np.nan_to_num(flux, nan=np.inf)) <= ABSURD * typical)
    flux, ivar = np.where(absurd, 0, flux), np.where(bad | absurd, 0, ivar)
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
