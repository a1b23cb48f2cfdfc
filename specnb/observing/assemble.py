r"""From the arrays of a file to one ``specutils.Spectrum``: order, units, and what counts as no data.

Wavelengths become Å and increase. Errors of any kind become inverse variances in the flux's unit: with
:math:`\sigma` in another unit, at every wavelength :math:`\lambda` the factor of ``astropy.units.spectral_density``
at :math:`\lambda` applies to flux and σ alike. No data (inverse variance 0, masked) is what is not finite, has no
positive error, is masked in the file, or lies in a run of exact zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import (
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)
from specutils import Spectrum

from specnb.grid import WAVE
from specnb.observing import arms, headers

ZEROS = 3
"""Exact zeros in a row that are no data."""

SHUFFLED = 0.1
"""Share of steps back beyond which rows are in no order; fewer are a fault of some wavelengths."""

POWER = {"sigma": 1, "variance": 2, "ivar": -2}
"""Kind of errors → the power of σ that is given."""

KINDS: dict[type[NDUncertainty], str] = {
    StdDevUncertainty: "sigma",
    VarianceUncertainty: "variance",
    InverseVariance: "ivar",
}
"""Class of astropy's uncertainties → kind of errors."""


@dataclass
class Errors:
    """Errors as a file gives them.

    Attributes
    ----------
    values : numpy.ndarray
        Shape (n,).
    kind : {"sigma", "variance", "ivar"}
    unit : astropy.units.UnitBase or None
        Of ``values``; None is that of the flux, to the power of the kind.
    """

    values: np.ndarray
    kind: str
    unit: u.UnitBase | None = None


def numbers(values: Any) -> np.ndarray:
    """Return an array as float64 in native byte order, NaN where it is masked."""
    if isinstance(values, u.Quantity):
        values = values.value
    mask = getattr(values, "mask", None)
    out = np.array(getattr(values, "unmasked", np.ma.getdata(values)), dtype="f8").ravel()
    if mask is not None:
        out[np.broadcast_to(np.asarray(mask, bool), np.shape(values)).ravel()] = np.nan
    return out


def in_flux_unit(errors: Errors, flux: u.UnitBase | None, wave: np.ndarray) -> np.ndarray:
    """Return inverse variances in the flux's unit.

    Parameters
    ----------
    errors : Errors
    flux : astropy.units.UnitBase or None
        Unit of the flux.
    wave : numpy.ndarray
        Å, shape (n,).

    Returns
    -------
    numpy.ndarray
        Shape (n,); 0 where there is no positive, finite error.

    Raises
    ------
    ValueError
        Units that do not convert into each other.
    """
    power = POWER[errors.kind]
    values = numbers(errors.values)
    factor: float | np.ndarray = 1.0
    if errors.unit is not None:
        sigma = errors.unit ** (1 / power)
        try:
            factor = _factor(sigma, u.one if flux is None else flux, wave)
        except u.UnitConversionError as error:
            said = "no unit" if flux is None else f"'{flux}'"
            raise ValueError(
                f"the uncertainty is in '{errors.unit}' and the flux in {said}: neither converts to the other; "
                "give both in one unit"
            ) from error
    with np.errstate(all="ignore"):
        ivar = {1: values**-2.0, 2: 1 / values, -2: values}[power] / np.square(factor)
    return np.where((values > 0) & np.isfinite(ivar), ivar, 0)


def _factor(sigma: u.UnitBase, flux: u.UnitBase, wave: np.ndarray) -> float | np.ndarray:
    try:
        return float(sigma.to(flux))
    except u.UnitConversionError:
        at = np.where(np.isfinite(wave) & (wave > 0), wave, 1.0) * u.AA
        return sigma.to(flux, np.ones(len(wave)), equivalencies=u.spectral_density(at))


def inverse_variance(spectrum: Spectrum) -> np.ndarray | None:
    """Return a spectrum's inverse variances in the flux's unit, whatever kind and unit its uncertainty has.

    Parameters
    ----------
    spectrum : specutils.Spectrum
        Of one dimension.

    Returns
    -------
    numpy.ndarray or None
        Shape (n,), 0 where there is no positive, finite error; None without an uncertainty.

    Raises
    ------
    ValueError
        An uncertainty of a kind that is not known, or in a unit that does not convert.
    """
    found = spectrum.uncertainty
    if found is None:
        return None
    kind = next((name for cls, name in KINDS.items() if isinstance(found, cls)), None)
    if kind is None:
        raise ValueError(
            f"the uncertainty is a {type(found).__name__}; give StdDevUncertainty, VarianceUncertainty or "
            "InverseVariance"
        )
    wave = spectrum.spectral_axis.to_value(u.AA, u.spectral())
    return in_flux_unit(Errors(found.array, kind, found.unit), spectrum.flux.unit, wave)


def zeros(flux: np.ndarray) -> np.ndarray:
    """Mark runs of exact zeros: three and more, and those at the ends; shape (n,) bool."""
    is_zero = flux == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_zero, [False]])))
    out = np.zeros(len(flux), bool)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        out[start:stop] = stop - start >= ZEROS or start == 0 or stop == len(flux)
    return out


def angstroms(values: Any, unit: Any, log: bool = False) -> tuple[np.ndarray, list[str]]:
    """Return wavelengths in Å, and what was taken for granted.

    Parameters
    ----------
    values : array
        Wavelengths, or their log10.
    unit : str, astropy.units.UnitBase or None
        As the file says it.
    log : bool
        Whether they are log10; a unit such as ``log(Angstrom)`` says so, too.

    Returns
    -------
    wave : numpy.ndarray
        Å, float64; NaN where there is none.
    notes : list of str

    Raises
    ------
    ValueError
        No unit, and numbers that are not Å; or a unit that is none of wavelength.
    """
    said, inner = headers.logarithmic(unit)
    log |= said
    wave, notes = numbers(values), []
    if log:
        wave = _lattice(wave, np.asarray(values).dtype)
        finite = wave[np.isfinite(wave)]
        if finite.size and finite.max() > 30:
            raise ValueError(f"log10 of the wavelength reaches {finite.max():.4g}; is it in Å?")
        wave = 10**wave
    known = headers.unit(inner)
    if known is None or known == u.one:
        finite = wave[np.isfinite(wave) & (wave > 0)]
        if not finite.size:
            raise ValueError("no wavelength is positive; check the column of wavelengths")
        if not 1000 < np.median(finite) < 30_000:
            raise ValueError(
                f"wavelengths from {finite.min():.4g} to {finite.max():.4g} have no unit that is known "
                f"({str(unit or 'none')!r}); say it in the file, such as Angstrom or nm"
            )
        if not log:
            notes.append("wavelengths have no unit: taken for Å")
        return wave, notes
    try:
        return known.to(u.AA, wave, equivalencies=u.spectral()), notes
    except u.UnitConversionError as error:
        raise ValueError(f"wavelengths are in '{known}', which is no wavelength") from error


def _lattice(loglam: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Undo the rounding of float32: 4e-7 dex are 0.3 km/s."""
    on_it = np.round(loglam, 4)
    single = dtype.kind == "f" and dtype.itemsize == 4
    return on_it if single and np.nanmax(np.abs(loglam - on_it), initial=0) < 3e-7 else loglam


def build(
    wave: np.ndarray,
    flux: Any,
    flux_unit: Any = None,
    errors: Errors | None = None,
    bad: np.ndarray | None = None,
    header: Mapping[str, Any] | None = None,
    power: np.ndarray | None = None,
    **meta: Any,
) -> Spectrum:
    """Make a spectrum of the arrays of a file.

    Parameters
    ----------
    wave : numpy.ndarray
        Å, shape (n,), in any order that arms or a spectrum have; pixels where it is not positive are left out.
    flux : array
        Shape (n,); may be masked or of any byte order.
    flux_unit : str, astropy.units.UnitBase or None
        As the file says it; what is no unit counts as none.
    errors : Errors, optional
    bad : numpy.ndarray, optional
        True where the file says that a pixel is bad.
    header : mapping, optional
        What is said there of medium, frame, resolution and name is taken where ``meta`` is silent.
    power : numpy.ndarray, optional
        λ/FWHM of every pixel; its median becomes the resolution.
    **meta
        Entries of ``meta``; None is left out.

    Returns
    -------
    specutils.Spectrum

    Raises
    ------
    ValueError
        What is wrong with the arrays.
    """
    header = {} if header is None else headers.values(header)
    values, unit = numbers(flux), headers.unit(flux_unit)
    if wave.shape != values.shape:
        raise ValueError(f"{len(wave)} wavelengths and {len(values)} fluxes; they do not fit")
    ivar = np.ones(len(wave)) if errors is None else in_flux_unit(errors, unit, wave)
    if ivar.shape != values.shape:
        raise ValueError(f"{len(values)} fluxes and {len(ivar)} errors; they do not fit")
    spoilt = ~np.isfinite(values) | zeros(values)
    if bad is not None:
        spoilt |= np.asarray(bad, bool)
    ivar = np.where(spoilt, 0, ivar)
    one, notes = _ordered(wave, values, ivar, power)
    if one.power is not None and meta.get("resolution") is None:
        meta["resolution"] = typical(one)
        meta["resolving_power"] = one.power
    said: dict[str, Any] = {
        "header": header,
        "object": headers.name(header),
        "medium": headers.medium(header),
        "frame": headers.frame(header),
        "resolution": headers.resolution(header),
    }
    said |= {key: value for key, value in meta.items() if value is not None}
    if notes:
        said["notes"] = [*said.get("notes", []), *notes]
    return Spectrum(
        flux=one.flux * (u.one if unit is None else unit),
        spectral_axis=one.wave * u.AA,
        uncertainty=None if errors is None else InverseVariance(one.ivar),
        mask=one.ivar <= 0,
        meta={key: value for key, value in said.items() if value is not None},
    )


def typical(one: arms.Arm) -> float | None:
    """Return the median λ/FWHM of good pixels in the models' range, or of all that say it."""
    if one.power is None:
        return None
    known = np.isfinite(one.power) & (one.power > 50) & (one.power < 1e6)
    used = known & (one.ivar > 0) & (one.wave > WAVE[0]) & (one.wave < WAVE[-1])
    chosen = used if used.any() else known
    return float(np.median(one.power[chosen])) if chosen.any() else None


def _ordered(
    wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray, power: np.ndarray | None
) -> tuple[arms.Arm, list[str]]:
    """Leave out pixels without a wavelength, turn what falls, join what falls back."""
    keep = np.isfinite(wave) & (wave > 0)
    if keep.sum() < 2:
        raise ValueError("fewer than two pixels have a wavelength")
    every = [np.asarray(a)[keep] for a in (wave, flux, ivar)]
    every += [] if power is None else [np.asarray(power)[keep]]
    steps = np.diff(every[0])
    if (steps < 0).sum() > (steps > 0).sum():
        every = [a[::-1] for a in every]
        steps = np.diff(every[0])
    one = arms.Arm(*every)
    if (steps > 0).all():
        return one, []
    cuts = arms.pieces(one.wave)
    if cuts is None and (steps < 0).mean() > SHUFFLED and len(np.unique(one.wave)) == len(one.wave):
        order = np.argsort(one.wave)
        return arms.Arm(*(a[order] for a in every)), ["rows sorted by wavelength"]
    if cuts is None:
        at = int(np.argmin(steps > 0))
        raise ValueError(
            f"wavelengths do not increase at pixel {at} ({one.wave[at]:.2f} Å, then {one.wave[at + 1]:.2f} Å); "
            "sort them, drop repeats"
        )
    return arms.join([arms.Arm(*(a[cut] for a in every)) for cut in cuts])


def tidy(spectrum: Spectrum, **meta: Any) -> Spectrum:
    """Bring a spectrum of another reader into this package's form; arguments and errors as of :func:`build`."""
    if spectrum.flux.ndim != 1:
        raise ValueError(f"flux has shape {spectrum.flux.shape}; give spectra of one dimension")
    axis = spectrum.spectral_axis
    wave, notes = angstroms(np.asarray(axis.value), axis.unit)
    ivar = inverse_variance(spectrum)
    kept = {key: value for key, value in dict(spectrum.meta).items() if key != "header"}
    kept |= {key: value for key, value in meta.items() if value is not None}
    if notes:
        kept["notes"] = [*kept.get("notes", []), *notes]
    return build(
        wave,
        spectrum.flux.value,
        spectrum.flux.unit,
        None if ivar is None else Errors(ivar, "ivar"),
        None if spectrum.mask is None else np.asarray(spectrum.mask, bool),
        dict(spectrum.meta.get("header", {}) or {}),
        **kept,
    )
