"""Every posterior sampler against the exact posterior of the same observations.

What a draw is worth is judged in numbers that an astronomer would take from it: equivalent widths, and the labels by a
linear regression that was learnt on clean spectra of the training split.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Ridge

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.denoising.subspace import LinearPosterior
from specnb.experiments.realism import two_sample
from specnb.experiments.results import Inside, Record
from specnb.labels.oracle import Posterior, oracle
from specnb.metrics import Interval
from specnb.sampling.instruments import Operator
from specnb.sampling.posterior import METHODS, dps, sample_posterior
from specnb.spectral_lines.equivalent_width import strengths
from specnb.training import yardstick
from specnb.world import streams
from specnb.world.prior import LABELS
from specnb.world.simulate import Stars, simulate
from specnb.world.stars import draw
from specnb.world.streams import generator

N_REGRESSION = 4096
N_WIDTHS = 5
"""Summaries that are equivalent widths; labels follow."""


@dataclass(frozen=True)
class Scores(Inside):
    """What draws are worth beside the exact posterior of the same stars; coverage is that of pixels.

    Attributes
    ----------
    rho : Interval
        RMSE of the mean of draws over that of the exact posterior's mean.
    widths_68 : Interval
        Share of true equivalent widths inside of 68 % intervals.
    spread : Interval
        Standard deviation of the draws over the exact one.
    two_sample : Interval
        Accuracy of a classifier between these draws and exact ones.
    bias : dict
        Label → median over stars of its regression, mean of draws less truth.
    """

    rho: Interval
    widths_68: Interval
    spread: Interval
    two_sample: Interval
    bias: dict[str, Interval]


@dataclass(frozen=True)
class Judged(Scores):
    """:class:`Scores` with what they cost: seconds a star and calls of the network."""

    seconds: float
    calls: int


@dataclass(frozen=True)
class Guided(Record):
    """DPS at one scale of its guidance: ρ of the mean of draws, and pixel-wise coverage."""

    scale: float
    rho: float
    coverage_68: Interval


@dataclass(frozen=True)
class Closed(Inside):
    """A sampler where the posterior has a closed form; coverage is that of pixels.

    Attributes
    ----------
    spread : float
        Standard deviation of draws over the true one, root mean square over pixels.
    shift : float
        Difference of the means in units of the true standard deviation, root mean square over pixels.
    """

    spread: float
    shift: float


@dataclass(frozen=True)
class Through(Inside):
    """A sampler for another instrument; coverage is that of pixels of the native spectrum.

    Attributes
    ----------
    chi2 : float
        Mean square residual of the mean of draws in units of the noise.
    seconds : float
        A star.
    rmse : Interval
        Of the mean of draws.
    """

    chi2: float
    seconds: float
    rmse: Interval


@lru_cache(maxsize=1)
def _regression():
    """Fit a ridge regression of labels on clean spectra of the training split."""
    stars = draw(N_REGRESSION, generator("train", 0, streams.REGRESSION))
    labels = stars.labels[:, : len(LABELS)].numpy()
    mean, scale = labels.mean(0), labels.std(0)
    return Ridge(alpha=1e-2).fit(stars.x.double().numpy(), (labels - mean) / scale), scale


def summaries(flux: np.ndarray) -> np.ndarray:
    """Return five equivalent widths and six labels (less their mean) by regression, (…, 3136) → (…, 11)."""
    flat = np.asarray(flux, "f4").reshape(-1, flux.shape[-1])
    regression, scale = _regression()
    values = np.column_stack([*strengths(flat).values(), regression.predict(flat) * scale])
    return values.reshape(*flux.shape[:-1], -1)


def against(draws: np.ndarray, exact: np.ndarray, seed: int) -> Interval:
    """Return the accuracy of a classifier of two sets of draws, (n, k, 11) each, in units of each star's ``exact``."""
    mean, scale = exact.mean(1, keepdims=True), exact.std(1, keepdims=True)
    a, b = (((v - mean) / scale).clip(-6, 6).reshape(-1, v.shape[-1]) for v in (draws, exact))
    return two_sample(a, b, components=a.shape[1], seed=seed)


@dataclass
class Reference:
    """Stars and what their exact posterior says of them, computed once for all samplers.

    Attributes
    ----------
    truth, good, mean, sd : numpy.ndarray
        Clean flux, good pixels, and mean and standard deviation of the exact posterior, (n, 3136).
    draws, other : numpy.ndarray
        Two sets of its draws, (n, k, 3136).
    """

    truth: np.ndarray
    good: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    draws: np.ndarray
    other: np.ndarray


def reference(stars: Stars, posterior: Posterior, k: int) -> Reference:
    """Collect the :class:`Reference` of stars and their posterior by :func:`specnb.oracle`; ``k`` draws in each set."""
    parts = []
    for i in range(len(posterior)):
        x = posterior.spectra(i)
        first, second = (np.linspace(low, len(x) - 4 + low, k).astype(int) for low in (0, 3))
        parts.append((x.mean(0, dtype="f8").astype("f4"), x.std(0, ddof=1), x[first], x[second]))
    return Reference(stars.flux, stars.ivar > 0, *map(np.stack, zip(*parts, strict=True)))


def scores(draws: np.ndarray, exact: Reference, seed: int = 0) -> Scores:
    """Judge draws (n, k, 3136) of the stars of a reference."""
    truth, good = exact.truth, exact.good
    variance = [(v * good).sum(1) / good.sum(1) for v in (draws.var(1, ddof=1), exact.sd**2)]
    found, right = summaries(draws), summaries(truth)
    widths = found[..., :N_WIDTHS].swapaxes(1, 2)
    hit = metrics.covered(widths, right[:, :N_WIDTHS], 0.68).mean(1)
    estimates = zip(LABELS, found.mean(1).T[N_WIDTHS:], right.T[N_WIDTHS:], strict=True)
    return Scores(
        coverage_68=metrics.pixel_coverage(draws, truth, good, 0.68, seed),
        coverage_95=metrics.pixel_coverage(draws, truth, good, 0.95, seed),
        rho=metrics.rho(draws.mean(1), exact.mean, truth, good, seed),
        widths_68=metrics.bootstrap(np.mean, hit, seed=seed),
        spread=metrics.bootstrap(lambda a, b: np.sqrt(a.mean() / b.mean()), *variance, seed=seed),
        two_sample=against(found, summaries(exact.draws), seed),
        bias={name: metrics.bias(estimate, true, seed) for name, estimate, true in estimates},
    )


def measure(
    snr: float, n: int, methods: dict[str, dict[str, Any]], n_samples: int = 64, seed: int = 1
) -> dict[str, Judged]:
    """Judge every method on ``n`` test stars of one S/N.

    Parameters
    ----------
    methods : dict
        Name in the table → arguments of :func:`specnb.sample_posterior`.

    Returns
    -------
    dict
        Name → :class:`Judged`; ``oracle``, other draws of the exact posterior, is judged in the same way.
    """
    stars, table = simulate(n, seed, snr=snr), {}
    start = monotonic()
    posterior = oracle(stars.observed, stars.ivar, n_samples=512, seed=seed)
    exact = reference(stars, posterior, n_samples)
    seconds = round((monotonic() - start) / n, 3)
    table["oracle"] = Judged(**vars(scores(exact.other, exact, seed)), seconds=seconds, calls=0)
    for name, settings in methods.items():
        settings = {"method": "exact"} | settings
        start = monotonic()
        draws = np.asarray(
            sample_posterior(stars.observed, stars.ivar, n_samples, seed, **settings)
        )
        seconds = round((monotonic() - start) / n, 3)
        calls = settings.get("steps") or METHODS[settings["method"]].steps
        table[name] = Judged(**vars(scores(draws, exact, seed)), seconds=seconds, calls=calls)
    return table


def sweep(
    scales: Iterable[float],
    snr: int,
    n: int = 8,
    n_samples: int = 40,
    steps: int = 100,
    seed: int = 1,
) -> list[Guided]:
    """Run DPS with guidance of several scales, on the first validation stars of :mod:`specnb.training.yardstick` of one
    S/N.

    Returns
    -------
    list of Guided
        One for every scale.
    """
    observed, x, good = yardstick.observations(snr)
    observed, x, good = observed[:n], x[:n], good[:n]
    least = np.mean(storage.read(yardstick.ASSET)["mse"][str(snr)][:n])
    model, rows = networks.load("bounded"), []
    for scale in scales:
        draws = torch.stack([
            dps(model, star, n_samples, steps, torch.Generator().manual_seed(seed), scale=scale)
            for star in observed.split(1)
        ])  # fmt: skip
        mse = metrics.mse(draws.mean(1), x, good).mean()
        inside = metrics.pixel_coverage(draws.numpy(), x.numpy(), good.numpy(), 0.68, seed)
        rows.append(Guided(scale, float(np.sqrt(mse / least)), inside))
    return rows


def gaussian_world(
    methods: dict[str, dict[str, Any]], snr: float, n: int, n_samples: int = 64, seed: int = 1
) -> dict[str, Closed]:
    """Judge samplers where the posterior is known: stars of a Gaussian prior with the moments of real ones.

    The denoiser is the exact one, an untrained network, so that all that is wrong is the sampler's own.

    Parameters
    ----------
    methods : dict
        As for :func:`measure`.

    Returns
    -------
    dict
        Name → :class:`Closed`.
    """
    shipped = networks.load("bounded")
    moments = shipped.mean, shipped.first, shipped.rest  # all components that can be drawn
    sizes = {
        "rank": shipped.rank,
        "components": shipped.rank,
        "directions": 1,
        "width": 8,
        "blocks": 1,
    }
    model = networks.fresh(*moments, kind="subspace", **sizes).eval().requires_grad_(False)
    model.net.last.weight.zero_()
    rng, stars = torch.Generator().manual_seed(seed), simulate(n, seed, snr=snr)
    x, ivar = model.draw_gaussian(n, rng), torch.from_numpy(stars.ivar)
    good = ivar > 0
    y = x + torch.randn(x.shape, generator=rng) * torch.where(good, ivar, 1).rsqrt()
    linear = LinearPosterior(y, ivar, model.mean, model.first, model.diagonal)
    mean = linear.spectrum(linear.z)
    free = 1 / (1 + model.diagonal * ivar)  # what the data leave of a pixel
    basis = free[..., None] * model.first
    sd = ((basis @ linear.covariance()) * basis).sum(2).add(model.diagonal * free).sqrt()
    table = {}
    for name, settings in methods.items():
        draws = torch.as_tensor(sample_posterior(y, ivar, n_samples, seed, model=model, **settings))
        every = draws.numpy(), x.numpy(), good.numpy()
        table[name] = Closed(
            coverage_68=metrics.pixel_coverage(*every, 0.68, seed),
            coverage_95=metrics.pixel_coverage(*every, 0.95, seed),
            spread=float((draws.var(1) / sd**2)[good].mean().sqrt()),
            shift=float((((draws.mean(1) - mean) / sd)[good] ** 2).mean().sqrt()),
        )
    return table


def through(
    operator: Operator,
    methods: dict[str, dict[str, Any]],
    snr: float,
    n: int,
    n_samples: int = 64,
    seed: int = 1,
) -> dict[str, Through]:
    """Judge samplers for another instrument, whose noise is that of the native pixels it averages.

    Returns
    -------
    dict
        Name → :class:`Through`.
    """
    stars, rng = simulate(n, seed, snr=snr), np.random.default_rng(seed)
    there = operator(torch.from_numpy(stars.flux)).numpy()
    variance = torch.from_numpy((stars.level[:, None] * stars.sigma) ** 2).float()
    sd = operator(variance).sqrt().numpy()
    y = there + sd * rng.standard_normal(sd.shape)
    every, table = np.ones(stars.flux.shape, dtype=bool), {}
    for name, settings in methods.items():
        start = monotonic()
        draws = sample_posterior(y, sd**-2, n_samples, seed, operator=operator, **settings)
        seconds = round((monotonic() - start) / n, 2)
        seen = operator(torch.from_numpy(draws.mean(1))).numpy()
        table[name] = Through(
            coverage_68=metrics.pixel_coverage(draws, stars.flux, every, 0.68, seed),
            coverage_95=metrics.pixel_coverage(draws, stars.flux, every, 0.95, seed),
            chi2=float((((y - seen) / sd) ** 2).mean()),
            seconds=seconds,
            rmse=metrics.rmse(draws.mean(1), stars.flux, every, seed),
        )
    return table
