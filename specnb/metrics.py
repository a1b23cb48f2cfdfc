r"""How far an estimate is from the truth, with intervals.

Over good pixels (ivar > 0), with :math:`\Delta = \hat x - x` and the unit-level error :math:`\sigma`:
MSE = mean Δ², wMSE = mean (Δ/σ)², wMAE = mean \|Δ/σ\| (0.798 s for the observation itself at level s), and
improvement = 1 − metric(estimate)/metric(observation). Pixels of a spectrum are correlated, so intervals come from a
bootstrap over spectra.
"""

import numpy as np


def per_spectrum(kind, estimate, truth, good, sigma=None):
    """One metric per spectrum.

    Parameters
    ----------
    kind : {"mse", "wmse", "wmae"}
    estimate, truth : numpy.ndarray
        Flux, shape (n, 3136).
    good : numpy.ndarray
        True where the pixel counts, same shape; at least one in every spectrum.
    sigma : numpy.ndarray
        Error at unit level, same shape; needed by ``wmse`` and ``wmae``.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float64.
    """
    if kind not in ("mse", "wmse", "wmae"):
        raise ValueError(f"kind is {kind!r}; choose mse, wmse or wmae")
    if kind != "mse" and sigma is None:
        raise ValueError(f"sigma is None; {kind} needs the error at unit level")
    good = np.asarray(good, dtype=bool)
    if not good.any(1).all():
        raise ValueError(f"good of spectrum {int(np.argmin(good.any(1)))} is False everywhere; leave it out")
    delta = np.where(good, np.asarray(estimate, "f8") - np.asarray(truth, "f8"), 0.0)
    if kind != "mse":
        delta = delta / np.where(good, sigma, 1.0)
    return (np.abs(delta) if kind == "wmae" else delta**2).sum(1) / good.sum(1)


def bootstrap(statistic, *samples, n_resamples=1000, seed=0, confidence=0.95):
    """A statistic and its percentile interval, by resampling spectra.

    Parameters
    ----------
    statistic : callable
        Takes arrays of shape (n,) and returns a number.
    *samples : numpy.ndarray
        One value per spectrum, shape (n,) each; rows are kept together.

    Returns
    -------
    value, low, high : float
    """
    rng = np.random.default_rng(seed)
    n = len(samples[0])
    draws = [statistic(*(s[i] for s in samples)) for i in rng.integers(0, n, (n_resamples, n))]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(statistic(*samples)), float(low), float(high)


def improvement(kind, estimate, observed, truth, good, sigma=None, seed=0):
    """1 − metric(estimate)/metric(observed) over a set of spectra; (value, low, high) with a 95 % interval."""
    after = per_spectrum(kind, estimate, truth, good, sigma)
    before = per_spectrum(kind, observed, truth, good, sigma)
    return bootstrap(lambda a, b: 1 - a.mean() / b.mean(), after, before, seed=seed)
