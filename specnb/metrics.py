r"""How far an estimate is from the truth, with intervals.

Over good pixels (ivar > 0), with :math:`\Delta = \hat x - x` and the unit-level error :math:`\sigma`:
MSE = mean Δ², wMSE = mean (Δ/σ)², wMAE = mean \|Δ/σ\| (0.798 s for the observation itself at level s), and
improvement = 1 − metric(estimate)/metric(observation). A set of spectra has RMSE = √(mean of their MSE), and
ρ = RMSE(method)/RMSE(reference) on the same observations. The structural similarity of two spectra a and b is the
mean over pixels of

.. math:: \frac{(2\bar a\bar b + C_1)(2 s_{ab} + C_2)}{(\bar a^2 + \bar b^2 + C_1)(s_a^2 + s_b^2 + C_2)}
   \qquad C_1 = 0.01^2,\; C_2 = 0.03^2

with means and covariances under a Gaussian window (Wang et al. 2004, IEEE Trans. Image Process. 13, 600). Of a number
per star: bias = median Δ, scatter = 1.4826 median \|Δ − bias\|, and coverage = the share of truths in the central
interval of their posterior draws.

Pixels of a spectrum are correlated, so intervals come from a bootstrap over spectra; a coverage of independent stars
has a binomial one.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

SNR_BINS = ((5, 8), (8, 15), (15, 30), (30, 50), (50, 100))
"""Bins of the median S/N per pixel; the upper edge belongs to the next bin, 100 to the last."""

SSIM_RADIUS, SSIM_SIGMA = 5, 1.5
"""Gaussian window of 11 pixels."""


class Interval(NamedTuple):
    """A number and its interval, of 95 % unless said otherwise; prints itself.

    ``f"{interval:.2f}"`` is ``1.05 [1.02, 1.08]``, and of a share ``f"{interval:.1%}"`` is ``99.5 [99.2, 99.7] %``.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """Multiply all three, as by 100 for a table whose head says per cent."""
        return Interval(*(factor * number for number in self))

    def __format__(self, spec: str) -> str:
        if spec.endswith("%"):
            return f"{self.scaled(100):{spec[:-1]}f} %"
        value, low, high = (format(float(number), spec) for number in self)
        return f"{value} [{low}, {high}]"


def _finite(name, value, good):
    if (bad := ~np.isfinite(value) & good).any():
        row, pixel = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} of spectrum {row} is {value[row, pixel]} at pixel {pixel}; set good to False there"
        )


def _checked(
    estimate: ArrayLike, truth: ArrayLike, good: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64, float64, bool; shape (n, pixels), finite and with a good pixel in every spectrum."""
    estimate, truth, good = (
        np.asarray(estimate, "f8"),
        np.asarray(truth, "f8"),
        np.asarray(good, dtype=bool),
    )
    for name, value in (("estimate", estimate), ("good", good)):
        if value.shape != truth.shape or truth.ndim != 2:
            raise ValueError(
                f"{name} has shape {value.shape} and truth {truth.shape}; give (n, pixels) for both"
            )
    if not good.any(1).all():
        raise ValueError(
            f"good of spectrum {int(np.argmin(good.any(1)))} is False everywhere; leave it out"
        )
    _finite("estimate", estimate, good)
    _finite("truth", truth, good)
    return estimate, truth, good


def _in_errors(
    estimate: ArrayLike, truth: ArrayLike, good: ArrayLike, sigma: ArrayLike | float
) -> tuple[np.ndarray, np.ndarray]:
    """(estimate − truth)/sigma where good, 0 elsewhere; and good."""
    x, t, counts = _checked(estimate, truth, good)
    delta = np.subtract(x, t, where=counts, out=np.zeros_like(t))
    return delta / np.where(counts, sigma, 1.0), counts


def mse(estimate: ArrayLike, truth: ArrayLike, good: ArrayLike) -> np.ndarray:
    """Return the mean squared error of every spectrum.

    Parameters
    ----------
    estimate, truth : numpy.ndarray
        Flux, shape (n, pixels).
    good : numpy.ndarray
        True where the pixel counts, same shape; at least one in every spectrum.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float64.
    """
    return wmse(estimate, truth, good, 1.0)


def wmse(
    estimate: ArrayLike, truth: ArrayLike, good: ArrayLike, sigma: ArrayLike | float
) -> np.ndarray:
    """Return the mean squared error in units of ``sigma`` (n, pixels), the error at unit level; else :func:`mse`."""
    delta, counts = _in_errors(estimate, truth, good, sigma)
    return (delta**2).sum(1) / counts.sum(1)


def wmae(
    estimate: ArrayLike, truth: ArrayLike, good: ArrayLike, sigma: ArrayLike | float
) -> np.ndarray:
    """Return the mean absolute error in units of ``sigma`` (n, pixels), the error at unit level; else :func:`mse`."""
    delta, counts = _in_errors(estimate, truth, good, sigma)
    return np.abs(delta).sum(1) / counts.sum(1)


def ssim(estimate: ArrayLike, truth: ArrayLike, good: ArrayLike) -> np.ndarray:
    """Return the structural similarity of every spectrum with its truth, for a data range of 1.

    A masked pixel has no weight in the window of its neighbours (normalised convolution) and is no centre of one;
    nor are the five pixels at either end, whose window would leave the spectrum.

    Parameters
    ----------
    estimate, truth, good : numpy.ndarray
        Shape (n, pixels), 11 pixels or more.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 1 if identical.
    """
    estimate, truth, good = _checked(estimate, truth, good)
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    if not (centres := good[:, inner]).any(1).all():
        row = int(np.argmin(centres.any(1)))
        raise ValueError(
            f"good of spectrum {row} is False but for five pixels at either end; leave it out"
        )
    from scipy.ndimage import correlate1d  # here, because importing it takes a fifth of a second

    window = np.exp(-0.5 * (np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)

    def smooth(x):
        return correlate1d(x, window, axis=1, mode="constant")[:, inner]

    weight = np.where(centres, smooth(good.astype("f8")), 1.0)
    a, b = np.where(good, estimate, 0.0), np.where(good, truth, 0.0)
    mean_a, mean_b = smooth(a) / weight, smooth(b) / weight
    var_a, var_b = smooth(a * a) / weight - mean_a**2, smooth(b * b) / weight - mean_b**2
    cov = smooth(a * b) / weight - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (
        (2 * mean_a * mean_b + c1)
        * (2 * cov + c2)
        / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    )
    return (value * centres).sum(1) / centres.sum(1)


def bootstrap(
    statistic: Callable[..., Any],
    *samples: np.ndarray,
    n_resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Resample spectra for the percentile interval of a statistic.

    Parameters
    ----------
    statistic : callable
        Takes arrays of shape (n,) and returns a number.
    *samples : numpy.ndarray
        One value per spectrum, shape (n,) each; rows are kept together.

    Returns
    -------
    Interval
    """
    rng = np.random.default_rng(seed)
    n = len(samples[0])
    draws = [statistic(*(s[i] for s in samples)) for i in rng.integers(0, n, (n_resamples, n))]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(statistic(*samples)), float(low), float(high))


def improvement(after: np.ndarray, before: np.ndarray, seed: int = 0) -> Interval:
    """Return 1 − mean(after)/mean(before) of a metric of estimates and of their observations, (n,) each."""
    return bootstrap(lambda a, b: 1 - a.mean() / b.mean(), after, before, seed=seed)


def rmse(estimate: ArrayLike, truth: ArrayLike, good: ArrayLike, seed: int = 0) -> Interval:
    """Return √(mean MSE) of a set of spectra, (n, pixels) each."""
    return bootstrap(lambda a: np.sqrt(a.mean()), mse(estimate, truth, good), seed=seed)


def rho(
    estimate: ArrayLike, reference: ArrayLike, truth: ArrayLike, good: ArrayLike, seed: int = 0
) -> Interval:
    """Return ρ = RMSE(estimate)/RMSE(reference) of a set of spectra.

    ``reference`` is, as a rule, the exact posterior mean of the same observations; all have shape (n, pixels), and
    stars are resampled in pairs.
    """
    after, limit = mse(estimate, truth, good), mse(reference, truth, good)
    if not limit.all():
        raise ValueError(
            f"reference of spectrum {int(np.argmin(limit))} equals truth; give an estimate from noisy data"
        )
    return bootstrap(lambda a, b: np.sqrt(a.mean() / b.mean()), after, limit, seed=seed)


def _errors(estimate, truth):
    """estimate − truth of one number per star, (n,), float64."""
    estimate, truth = np.asarray(estimate, "f8"), np.asarray(truth, "f8")
    for name, value in (("estimate", estimate), ("truth", truth)):
        if value.ndim != 1 or value.shape != truth.shape or not value.size:
            raise ValueError(
                f"{name} has shape {value.shape} and truth {truth.shape}; give (n,), one number per star"
            )
        if not np.isfinite(value).all():
            row = int(np.argmin(np.isfinite(value)))
            raise ValueError(f"{name} of star {row} is {value[row]}; leave that star out")
    return estimate - truth


def bias(estimate: ArrayLike, truth: ArrayLike, seed: int = 0) -> Interval:
    """Return the median of estimate − truth, (n,) each."""
    return bootstrap(np.median, _errors(estimate, truth), seed=seed)


def scatter(estimate: ArrayLike, truth: ArrayLike, seed: int = 0) -> Interval:
    """Return 1.4826 MAD of estimate − truth, (n,) each: σ of a normal."""
    return bootstrap(
        lambda d: 1.4826 * np.median(np.abs(d - np.median(d))), _errors(estimate, truth), seed=seed
    )


def covered(draws: ArrayLike, truth: ArrayLike, nominal: float = 0.68) -> np.ndarray:
    """Tell whether the central interval of the draws holds the truth: draws (…, n_samples), truth (…) → bool (…).

    Quantile p of S draws is draw number p (S + 1): S draws and a truth from one distribution then give the nominal
    coverage, exactly where that number is whole (199 draws, 68 and 95 %); other definitions miss it by about 1/S.
    """
    draws, truth = np.asarray(draws, "f8"), np.asarray(truth, "f8")
    if not 0 < nominal < 1:
        raise ValueError(f"nominal is {nominal!r}; give a coverage between 0 and 1, as 0.68")
    if draws.shape[:-1] != truth.shape or draws.ndim < 1:
        raise ValueError(
            f"draws has shape {draws.shape} and truth {truth.shape}; give (…, n_samples) and (…)"
        )
    if (least := int(np.ceil(2 / (1 - nominal) - 1e-6)) - 1) > draws.shape[-1]:
        raise ValueError(
            f"draws has {draws.shape[-1]} samples a star; a {nominal:.0%} interval needs {least} or more"
        )
    for name, value in (("draws", draws), ("truth", truth)):
        if not np.isfinite(value).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            raise ValueError(f"{name} is {value[where]} at {where}; leave that star or pixel out")
    low, high = np.quantile(
        draws, [(1 - nominal) / 2, (1 + nominal) / 2], axis=-1, method="weibull"
    )
    return (low <= truth) & (truth <= high)


def share(hits: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return the share of independent hits, (n,) bool, with Wilson's binomial interval."""
    from scipy.stats import binomtest  # here, because importing it takes a third of a second

    hits = np.asarray(hits, bool)
    interval = binomtest(int(hits.sum()), hits.size).proportion_ci(confidence, method="wilson")
    return Interval(float(hits.mean()), float(interval.low), float(interval.high))


def coverage(
    draws: ArrayLike, truth: ArrayLike, nominal: float = 0.68, confidence: float = 0.95
) -> Interval:
    """Return the coverage of one number over independent stars, with Wilson's binomial interval.

    Parameters
    ----------
    draws, truth : numpy.ndarray
        Posterior draws, shape (n, n_samples), and truths, (n,).
    nominal : float
        Probability of the central interval.
    """
    hit = covered(draws, truth, nominal)
    if hit.ndim != 1 or not hit.size:
        raise ValueError(f"truth has shape {hit.shape}; give (n,), one number per star")
    return share(hit, confidence)


def pixel_coverage(
    draws: Iterable[ArrayLike],
    truth: ArrayLike,
    good: ArrayLike,
    nominal: float = 0.68,
    seed: int = 0,
) -> Interval:
    """Return the coverage of good pixels, a mean over spectra, with a bootstrap over spectra.

    Parameters
    ----------
    draws : array or iterable
        n spectra of (n_samples, pixels); taken one at a time, so a generator or a file on disk keeps memory small.
    truth, good : numpy.ndarray
        Shape (n, pixels).
    """
    _, truth, good = _checked(truth, truth, good)
    draws, rows = iter(draws), zip(truth, good, strict=True)
    shares = [
        covered(np.asarray(d).T[g], x[g], nominal).mean()
        for (x, g), d in zip(rows, draws, strict=False)
    ]
    if len(shares) < len(truth) or next(draws, None) is not None:
        raise ValueError(
            f"draws has not as many spectra as truth, which has {len(truth)}; give draws for each"
        )
    return bootstrap(np.mean, np.array(shares), seed=seed)
