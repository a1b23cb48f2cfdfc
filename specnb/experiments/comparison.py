"""Every posterior sampler against the exact posterior of the same observations.

What a draw is worth is judged in numbers that an astronomer would take from it: equivalent widths, and the labels by a
linear regression that was learnt on clean spectra of the training split.
"""

from dataclasses import dataclass
from functools import lru_cache
from time import monotonic

import numpy as np
import torch
from sklearn.linear_model import Ridge

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.denoising.subspace import LinearPosterior
from specnb.experiments.realism import two_sample
from specnb.labels.oracle import oracle
from specnb.sampling.posterior import STEPS, dps, sample_posterior
from specnb.spectral_lines.windows import strengths
from specnb.training import yardstick
from specnb.world.prior import LABELS
from specnb.world.stars import draw, generator, simulate

N_REGRESSION = 4096


@lru_cache(maxsize=1)
def _regression():
    """Labels from a clean spectrum: a ridge regression, fitted to stars of the training split."""
    stars = draw(N_REGRESSION, generator("train", 0, 2**31 + 2**20))
    labels = stars.labels[:, : len(LABELS)].numpy()
    mean, scale = labels.mean(0), labels.std(0)
    return Ridge(alpha=1e-2).fit(stars.x.double().numpy(), (labels - mean) / scale), scale


def summaries(flux):
    """Five equivalent widths and six labels (less their mean) by regression of clean spectra, (…, 3136) → (…, 11)."""
    flat = np.asarray(flux, "f4").reshape(-1, flux.shape[-1])
    regression, scale = _regression()
    values = np.column_stack([*strengths(flat).values(), regression.predict(flat) * scale])
    return values.reshape(*flux.shape[:-1], -1)


def against(draws, exact, seed):
    """Accuracy of a classifier between two sets of draws, (n, k, 11) each, star by star in units of ``exact``."""
    mean, scale = exact.mean(1, keepdims=True), exact.std(1, keepdims=True)
    a, b = (((v - mean) / scale).clip(-6, 6).reshape(-1, v.shape[-1]) for v in (draws, exact))
    return list(two_sample(a, b, components=a.shape[1], seed=seed))


@dataclass
class Limit:
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


def limit_of(stars, posterior, k):
    """The :class:`Limit` of stars and their posterior by :func:`specnb.oracle`; ``k`` draws in each set."""
    parts = []
    for i in range(len(posterior)):
        x = posterior.spectra(i)
        first, second = (np.linspace(low, len(x) - 4 + low, k).astype(int) for low in (0, 3))
        parts.append((x.mean(0, dtype="f8").astype("f4"), x.std(0, ddof=1), x[first], x[second]))
    return Limit(stars.flux, stars.ivar > 0, *map(np.stack, zip(*parts, strict=True)))


def scores(draws, limit, seed=0):
    """What draws (n, k, 3136) are worth beside the exact posterior of the same stars.

    Returns
    -------
    dict
        ``rho`` of their mean, ``coverage_68`` and ``coverage_95`` of pixels, ``widths_68`` of equivalent widths (each
        value, low, high), ``spread`` (their standard deviation over the exact one), ``two_sample`` accuracy against
        exact draws, and ``bias``: label → median over stars of its regression, mean of draws less truth.
    """
    truth, good = limit.truth, limit.good
    variance = [(v * good).sum(1) / good.sum(1) for v in (draws.var(1, ddof=1), limit.sd**2)]
    found, right = summaries(draws), summaries(truth)
    hit = metrics.covered(found[..., :5].swapaxes(1, 2), right[:, :5], 0.68).mean(1)
    labels = zip(LABELS, found.mean(1).T[5:], right.T[5:], strict=True)
    return {
        "rho": list(metrics.rho(draws.mean(1), limit.mean, truth, good, seed)),
        "coverage_68": list(metrics.pixel_coverage(draws, truth, good, 0.68, seed)),
        "coverage_95": list(metrics.pixel_coverage(draws, truth, good, 0.95, seed)),
        "widths_68": list(metrics.bootstrap(np.mean, hit, seed=seed)),
        "spread": list(
            metrics.bootstrap(lambda a, b: np.sqrt(a.mean() / b.mean()), *variance, seed=seed)
        ),
        "two_sample": against(found, summaries(limit.draws), seed),
        "bias": {name: list(metrics.bias(estimate, true, seed)) for name, estimate, true in labels},
    }


def measure(snr, n, methods, n_samples=64, seed=1):
    """:func:`scores` of every method on ``n`` test stars of one S/N.

    Parameters
    ----------
    methods : dict
        Name in the table → arguments of :func:`specnb.sample_posterior`.

    Returns
    -------
    dict
        Name → scores with ``seconds`` a star and ``calls`` of the network; ``oracle``, draws of the exact posterior
        judged in the same way.
    """
    stars, table = simulate(n, seed, snr=snr), {}
    start = monotonic()
    limit = limit_of(stars, oracle(stars.observed, stars.ivar, n_samples=512, seed=seed), n_samples)
    each = (monotonic() - start) / n
    table["oracle"] = scores(limit.other, limit, seed) | {"seconds": round(each, 3), "calls": 0}
    for name, settings in methods.items():
        settings = {"method": "exact"} | settings
        start = monotonic()
        draws = sample_posterior(stars.observed, stars.ivar, n_samples, seed, **settings)
        seconds = round((monotonic() - start) / n, 3)
        calls = settings.get("steps") or STEPS[settings["method"]]
        table[name] = scores(draws, limit, seed) | {"seconds": seconds, "calls": calls}
    return table


def sweep(scales, snr, n=8, n_samples=40, steps=100, seed=1):
    """DPS with guidance of several scales, on the first validation stars of :mod:`specnb.training.yardstick` of one
    S/N.

    Returns
    -------
    list of dict
        For every scale ``scale``, ``rho`` of the mean of draws, and pixel-wise ``coverage_68``.
    """
    flux, ivar, x, good = (part[:n] for part in yardstick.observations(snr))
    limit = np.mean(storage.read(yardstick.ASSET)["mse"][str(snr)][:n])
    model, rows = networks.load("bounded"), []
    for scale in scales:
        draws = torch.stack([
            dps(model, f[None], w[None], n_samples, steps, torch.Generator().manual_seed(seed), scale=scale)
            for f, w in zip(flux, ivar, strict=True)
        ])  # fmt: skip
        mse = metrics.per_spectrum("mse", draws.mean(1), x, good).mean()
        inside = metrics.pixel_coverage(draws.numpy(), x.numpy(), good.numpy(), 0.68, seed)
        rows.append(
            {"scale": scale, "rho": float(np.sqrt(mse / limit)), "coverage_68": list(inside)}
        )
    return rows


def gaussian_world(methods, snr, n, n_samples=64, seed=1):
    """Samplers where the posterior is known: stars of a Gaussian prior with the moments of real ones.

    The denoiser is the exact one, an untrained network, so that all that is wrong is the sampler's own.

    Parameters
    ----------
    methods : dict
        As for :func:`measure`.

    Returns
    -------
    dict
        Name → pixel-wise ``coverage_68``, ``coverage_95``; ``spread``, the standard deviation of draws over the true
        one, and ``shift``, the difference of the means in units of it (root mean squares over pixels).
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
        draws = sample_posterior(y, ivar, n_samples, seed, model=model, **settings)
        every = draws.numpy(), x.numpy(), good.numpy()
        table[name] = {
            f"coverage_{q}": list(metrics.pixel_coverage(*every, q / 100, seed)) for q in (68, 95)
        }
        table[name]["spread"] = float((draws.var(1) / sd**2)[good].mean().sqrt())
        table[name]["shift"] = float((((draws.mean(1) - mean) / sd)[good] ** 2).mean().sqrt())
    return table


def through(operator, methods, snr, n, n_samples=64, seed=1):
    """Samplers for another instrument, whose noise is that of the native pixels it averages.

    Returns
    -------
    dict
        Name → pixel-wise ``coverage_68`` and ``coverage_95`` of the native spectrum, ``chi2`` of the mean of draws,
        ``rmse`` of it, and ``seconds`` a star.
    """
    stars, rng = simulate(n, seed, snr=snr), np.random.default_rng(seed)
    there = operator(torch.from_numpy(stars.flux)).numpy()
    sd = (
        operator(torch.from_numpy((stars.level[:, None] * stars.sigma) ** 2).float()).sqrt().numpy()
    )
    y, every, table = (
        there + sd * rng.standard_normal(sd.shape),
        np.ones(stars.flux.shape, dtype=bool),
        {},
    )
    for name, settings in methods.items():
        start = monotonic()
        draws = sample_posterior(y, sd**-2, n_samples, seed, operator=operator, **settings)
        seconds = round((monotonic() - start) / n, 2)
        seen = operator(torch.from_numpy(draws.mean(1))).numpy()
        judged = draws, stars.flux, every
        table[name] = {
            f"coverage_{q}": list(metrics.pixel_coverage(*judged, q / 100, seed)) for q in (68, 95)
        }
        table[name] |= {"chi2": float((((y - seen) / sd) ** 2).mean()), "seconds": seconds}
        table[name]["rmse"] = list(metrics.rmse(draws.mean(1), stars.flux, every, seed))
    return table
