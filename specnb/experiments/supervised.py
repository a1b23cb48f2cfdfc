"""The supervised diffusion p(x | y) (MVP-1.0): error, similarity, spread of its draws, and biases of labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from specnb import metrics
from specnb.denoising import networks
from specnb.denoising.base import StarDenoiser
from specnb.denoising.denoise import denoise
from specnb.experiments.parameters import fitted
from specnb.experiments.results import Error, Inside, Record
from specnb.metrics import Interval
from specnb.sampling.posterior import sample_posterior
from specnb.world.simulate import Stars, simulate

COMPARED = ("none", "pca", "dncnn", "bounded")
"""Methods for comparison."""

ONE_PASS = "supervised, one pass"
FITTED = (*COMPARED, ONE_PASS)
"""Whose spectra labels are fitted to."""

UNITS = {"teff": "K", "logg": "dex", "m_h": "dex", "alpha_m": "dex", "rv": "km/s"}


@dataclass(frozen=True)
class Score(Record):
    """Of one method on ``stars`` stars.

    Attributes
    ----------
    improvement : Interval
        In MSE over the observation.
    rmse_over_bounded : Interval
        RMSE over that of ``bounded``.
    ssim : Interval
        Structural similarity with the truth, mean over stars.
    """

    stars: int
    improvement: Interval
    rmse_over_bounded: Interval
    ssim: Interval


@dataclass(frozen=True)
class Spread(Inside):
    """Whether draws are a posterior: coverage of pixels, and their scatter over the error of their mean."""

    scatter_over_error: Interval


@dataclass(frozen=True)
class Supervised(Record):
    """What supervised.json holds.

    Attributes
    ----------
    steps, training_s : int, float
        Of the training.
    n_samples, sampler_steps : int
        Draws of a star, and steps of each.
    scores : dict
        S/N → method → :class:`Score`.
    draws : dict
        S/N → :class:`Spread`.
    parameters : dict
        S/N → method → label → error of a fit to the denoised spectrum.
    """

    trained_here: bool
    steps: int
    training_s: float
    n_samples: int
    sampler_steps: int
    scores: dict[int, dict[str, Score]]
    draws: dict[int, Spread]
    parameters: dict[int, dict[str, dict[str, Error]]]


@dataclass
class Level:
    """One S/N: test stars, draws of the first of them (k, n_samples, 3136), and estimates by method."""

    stars: Stars
    draws: np.ndarray
    estimates: dict[str, np.ndarray]


def denoised(
    model: StarDenoiser, snr: int, n: int, n_drawn: int, n_samples: int, steps: int, seed: int
) -> Level:
    """Denoise ``n`` test stars of one S/N by every method, and draw spectra of the first ``n_drawn``."""
    stars, few = simulate(n, seed + snr, snr=snr), slice(0, n_drawn)
    settings: dict[str, Any] = {"steps": steps, "model": model}
    seen = stars.observed[few], stars.ivar[few]
    draws = np.asarray(sample_posterior(*seen, n_samples, seed, "supervised", **settings))
    estimates = {
        name: np.asarray(denoise(stars.observed, stars.ivar, method=name)) for name in COMPARED
    }
    estimates[ONE_PASS] = np.asarray(networks.apply(model, stars.observed, stars.ivar))
    estimates["supervised, mean of draws"] = draws.mean(1)
    estimates["supervised, a draw"] = draws[:, 0]
    return Level(stars, draws, estimates)


def scores(level: Level) -> dict[str, Score]:
    """Score every method."""
    out = {}
    for name, x in level.estimates.items():
        k = len(x)
        truth, good = level.stars.flux[:k], level.stars.ivar[:k] > 0
        before = metrics.mse(level.stars.observed[:k], truth, good)
        beside = level.estimates["bounded"][:k]
        out[name] = Score(
            k,
            metrics.improvement(metrics.mse(x, truth, good), before),
            metrics.rho(x, beside, truth, good),
            metrics.bootstrap(np.mean, metrics.ssim(x, truth, good)),
        )
    return out


def spread(level: Level) -> Spread:
    """Judge the draws."""
    n, n_samples, _ = level.draws.shape
    truth, good = level.stars.flux[:n], level.stars.ivar[:n] > 0
    error = np.sqrt(metrics.mse(level.draws.mean(1), truth, good))
    variance = (level.draws.var(1, ddof=1) * good).sum(1) / good.sum(1)
    width = np.sqrt(variance * (1 + 1 / n_samples))
    return Spread(
        coverage_68=metrics.pixel_coverage(level.draws, truth, good, 0.68),
        coverage_95=metrics.pixel_coverage(level.draws, truth, good, 0.95),
        scatter_over_error=metrics.bootstrap(
            lambda a, b: np.sqrt((a**2).mean() / (b**2).mean()), width, error
        ),
    )


def parameters(level: Level) -> dict[str, dict[str, Error]]:
    """Fit labels to the spectra of every method, with the observation's errors; method → label → error."""
    out = {}
    for name in FITTED:
        found = fitted(level.estimates[name], level.stars.ivar)
        truth = [np.asarray(level.stars.labels[label]) for label in UNITS]
        out[name] = {
            label: Error(metrics.bias(found[:, i], true), metrics.scatter(found[:, i], true))
            for i, (label, true) in enumerate(zip(UNITS, truth, strict=True))
        }
    return out
