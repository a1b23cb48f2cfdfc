r"""Are lines erased or invented? Features that the prior does not hold, put into spectra before the noise.

The same noise is added with and without the feature, so that the difference of the two estimates is what the denoiser
made of it. Of the feature's equivalent width there survives

.. math:: \frac{\int \big(\hat x(y') - \hat x(y)\big)\,d\lambda}{\int (x' - x)\,d\lambda} ,

1 if it is kept and 0 if it is erased. A line that was invented is a place where the estimate differs from the truth by
more than 5σ of the observation, seen through a filter as wide as a line (:mod:`specnb.spectral_lines.anomalies`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from specnb.experiments.results import Record
from specnb.grid import SPEED_OF_LIGHT, WAVE
from specnb.spectral_lines.anomalies import RADIUS, SIGMA, anomalies, matched_filter
from specnb.spectral_lines.line_table import LINES
from specnb.world.simulate import Stars, simulate

Estimator: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(flux, ivar) → clean flux, (n, 3136) each."""

HALF_WIDTH = 4
"""Pixels on either side of an injected line over which its equivalent width is taken."""

_WIDTH = np.gradient(WAVE)


@dataclass(frozen=True)
class Feature(Record):
    """A feature in the observations of many stars, those left out in which its strength is below 1.

    Attributes
    ----------
    strength : list of float
        S/N of the best weighted sum of its pixels, of every star.
    flagged : list of bool
        Whether :func:`specnb.anomalies` reports its place.
    """

    strength: list[float]
    flagged: list[bool]


@dataclass(frozen=True)
class Erased(Record):
    """What becomes of features that the prior does not hold.

    Attributes
    ----------
    features : dict
        Feature → :class:`Feature`.
    survival : dict
        Method → feature → share of its equivalent width that survives, of every star of :class:`Feature`.
    invented : dict
        Method → number of false lines in the estimate of every star as it is.
    """

    features: dict[str, Feature]
    survival: dict[str, dict[str, list[float]]]
    invented: dict[str, list[int]]


def add_lines(
    flux: np.ndarray, depth: float | np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Put an absorption line of a depth at a random place of each spectrum, as narrow as the line-spread function.

    Parameters
    ----------
    flux : numpy.ndarray
        Clean spectra, (n, 3136).
    depth : float or numpy.ndarray
        In units of the local flux; one for all or (n, 1).
    rng : numpy.random.Generator

    Returns
    -------
    changed, window : numpy.ndarray
        Spectra, and where the line is, (n, 3136) each.
    """
    centre = rng.integers(5 * HALF_WIDTH, len(WAVE) - 5 * HALF_WIDTH, (len(flux), 1))
    away = np.arange(len(WAVE)) - centre
    return flux * (1 - depth * np.exp(-0.5 * (away / SIGMA) ** 2)), np.abs(away) <= HALF_WIDTH


def line_at(flux: np.ndarray, wave: float, depth: float) -> np.ndarray:
    """Put the same line at a wavelength (Å) into every spectrum, (n, 3136)."""
    away = np.arange(len(WAVE)) - np.abs(WAVE - wave).argmin()
    return flux * (1 - depth * np.exp(-0.5 * (away / SIGMA) ** 2))


def fill_line(
    flux: np.ndarray, rv: ArrayLike, name: str = "Hα", share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Fill a line of every spectrum up to its local continuum, as emission would; arguments and result as above.

    ``rv`` (n,) in km/s; the continuum is the straight line between the ends of the window of
    :mod:`specnb.spectral_lines.line_table`.
    """
    ranges = LINES[name].wide
    if ranges is None:
        raise ValueError(f"name is {name!r}, a line without a wide window")
    low, high = ranges.window
    velocity = np.asarray(rv)[:, None] / SPEED_OF_LIGHT
    rest = WAVE / (1 + velocity)
    middle, half = 0.5 * (low + high), 0.25 * (high - low)
    window = np.abs(rest - middle) < half
    out = flux.copy()
    for row, inside in zip(out, window, strict=True):
        (k,) = np.nonzero(inside)
        ends = [k[0], k[-1]]
        row[k] += share * np.clip(np.interp(k, ends, row[ends]) - row[k], 0, None)
    return out, window


def observe(stars: Stars, changed: np.ndarray) -> np.ndarray:
    """Observe changed clean spectra with the same noise and bad pixels; flux (n, 3136)."""
    return (stars.observed + np.where(stars.ivar > 0, changed - stars.flux, 0)).astype("f4")


def survival(
    before: np.ndarray, after: np.ndarray, flux: np.ndarray, changed: np.ndarray, window: np.ndarray
) -> np.ndarray:
    """Return the share of the feature's equivalent width that survives, of each spectrum, (n,).

    Parameters
    ----------
    before, after : numpy.ndarray
        Estimates from the observations without and with the feature, (n, 3136).
    flux, changed, window : numpy.ndarray
        Clean spectra without and with it, and where it is.
    """
    kept, put = (((b - a) * window * _WIDTH).sum(1) for a, b in ((before, after), (flux, changed)))
    return kept / put


def strength(flux: np.ndarray, changed: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Return the S/N of the feature in the observation: of the best weighted sum of its pixels, (n,)."""
    return np.sqrt(((changed - flux) ** 2 * ivar).sum(1))


def invented(
    estimate: ArrayLike, flux: np.ndarray, ivar: np.ndarray, threshold: float = 5.0
) -> np.ndarray:
    """Count lines in each estimate that are not in the truth, (n,)."""
    t, _ = matched_filter((np.asarray(estimate, "f8") - flux), ivar.astype("f8"))
    peaks = [
        find_peaks(row, height=threshold, distance=RADIUS)[0] for row in np.nan_to_num(np.abs(t))
    ]
    return np.array([len(at) for at in peaks])


def measure(estimators: dict[str, Estimator], snr: float, n: int, seed: int = 1) -> Erased:
    """Measure what becomes of features that the prior does not hold, on ``n`` test stars of one S/N.

    Parameters
    ----------
    estimators : dict
        Name → function (flux, ivar) → clean flux, (n, 3136) arrays.

    Returns
    -------
    Erased
        Of "added line" (of a random depth from 3 to 30 %), "Hα filled" and "Ca II 8542 filled".
    """
    stars, rng = simulate(n, seed, snr=snr), np.random.default_rng([seed, int(snr)])
    depth = 0.03 * 10 ** rng.random((n, 1))
    rv = np.asarray(stars.labels["rv"])
    put = {"added line": add_lines(stars.flux, depth, rng)}
    put |= {f"{name} filled": fill_line(stars.flux, rv, name) for name in ("Hα", "Ca II 8542")}
    before = {name: estimate(stars.observed, stars.ivar) for name, estimate in estimators.items()}
    survived: dict[str, dict[str, list[float]]] = {name: {} for name in estimators}
    features = {}
    for feature, (changed, window) in put.items():
        y = observe(stars, changed)
        found = anomalies(y, stars.ivar)
        hit = np.zeros(n, dtype=bool)
        for row in found:
            at = np.abs(WAVE - row["wave"]).argmin()
            hit[row["spectrum"]] |= window[
                row["spectrum"], max(at - RADIUS, 0) : at + RADIUS + 1
            ].any()
        strengths = strength(stars.flux, changed, stars.ivar)
        some = strengths >= 1
        features[feature] = Feature(strengths[some].tolist(), hit[some].tolist())
        for name, estimate in estimators.items():
            after = estimate(y, stars.ivar)
            share = survival(
                before[name][some], after[some], stars.flux[some], changed[some], window[some]
            )
            survived[name][feature] = share.tolist()
    lines = {name: invented(x, stars.flux, stars.ivar).tolist() for name, x in before.items()}
    return Erased(features, survived, lines)
