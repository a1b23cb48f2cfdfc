"""Labels by every road, on the same test stars: point estimates beside the bounds, posteriors beside the exact one.

MVP-2.0's road, an estimator applied to posterior draws of the clean spectrum, gives draws of p(θ | y) only as far as θ
is a function of x that the estimator knows: a regression learns on clean spectra, a fit through the emulator knows,
and :func:`measure` shows what either costs.
"""

import numpy as np
import torch

from specnb import calibration, metrics, validate
from specnb.denoising.denoise import denoise
from specnb.experiments import estimators
from specnb.experiments.comparison import against
from specnb.labels import bounds
from specnb.labels.inference import infer
from specnb.labels.oracle import oracle
from specnb.sampling.posterior import sample_posterior
from specnb.world import fit, prior
from specnb.world.prior import LABELS
from specnb.world.stars import simulate

REGIONS = {
    "all": lambda truth: np.ones(len(truth), dtype=bool),
    "giants": lambda truth: truth[:, 1] < 3.5,
    "dwarfs": lambda truth: truth[:, 1] >= 3.5,
    "metal-poor": lambda truth: truth[:, 2] < -1,
    "metal-rich": lambda truth: truth[:, 2] >= -1,
}
"""Parts of the prior, by true labels (n, 6)."""

DRAW_ERROR = 1e-3
"""Error that a draw of a clean spectrum is fitted with; without one the fit would follow what is no star."""

SCALE = np.array([500.0, 1.0, 0.5, 0.2, 30.0, 15.0])
"""K, dex, dex, dex, km/s, km/s: units of distances between labels."""


def columns(table):
    """The six labels of a table, stacked last: (n, 6) or (n, m, 6), float64."""
    return np.stack([np.asarray(table[name], "f8") for name in LABELS], -1)


def fitted(flux, ivar):
    """Labels by the fit through the emulator, (n, 6)."""
    flux, ivar, _ = validate.spectra(flux, ivar)
    return fit.labels(flux, ivar).numpy()


def by_draws(draws, n_training=estimators.N_TRAINING):
    """Draws of labels from draws of clean spectra (n, m, 3136): by regression, and by a fit from there, (n, m, 6)."""
    flat = torch.from_numpy(draws.reshape(-1, draws.shape[-1]))
    start = torch.from_numpy(
        estimators.estimate("mlp", "clean", flat, n_training=n_training)
    ).double()
    ivar, refined = torch.full_like(flat[: fit.ROWS], 1 / DRAW_ERROR**2), []
    for x, z in zip(flat.split(fit.ROWS), prior.to_normal(start).split(fit.ROWS), strict=True):
        refined.append(
            fit.solve(fit.default_world(), x, ivar[: len(x)], z, fit.LIKELIEST, iterations=8).z
        )
    fits = prior.from_normal(torch.cat(refined))
    return [labels.reshape(*draws.shape[:2], -1) for labels in (start.numpy(), fits.numpy())]


def points(stars, exact, amortised, n_training=estimators.N_TRAINING):
    """Point estimates by name, (n, 6) each; the last two are means of posteriors (n, m, 6)."""
    clean = denoise(stars.observed, stars.ivar)
    out = {
        f"{kind}, {which}": estimators.estimate(kind, which, flux, stars.ivar, n_training)
        for kind in estimators.KINDS
        for which, flux in (("noisy", stars.observed), ("denoised", clean))
    }
    out["fit, noisy"] = fitted(stars.observed, stars.ivar)
    out["fit, denoised"] = fitted(clean, stars.ivar)
    return out | {"flow": amortised.mean(1), "exact": exact.mean(1)}


def errors(estimate, truth, seed=0):
    """Bias and scatter of every label with intervals; name → {"bias": …, "scatter": …}."""
    return {
        name: {
            "bias": list(metrics.bias(estimate[:, i], truth[:, i], seed)),
            "scatter": list(metrics.scatter(estimate[:, i], truth[:, i], seed)),
        }
        for i, name in enumerate(LABELS)
    }


def judge(draws, truth, exact=None, seed=0):
    """How calibrated draws of labels (n, m, 6) are, and how far from the exact ones.

    Returns
    -------
    dict
        ``coverage``: region → label → {"68": …, "95": …} of regions with 10 stars or more; ``expected_error`` and
        ``ranks`` by label; ``nearer``: TARP's share of every star, with references about the mean of draws; and
        ``two_sample`` accuracy against ``exact`` (n, m, 6) if given.
    """
    cover = {}
    for region, inside in REGIONS.items():
        some = inside(truth)
        if some.sum() >= 10:
            cover[region] = {
                name: {
                    str(q): list(metrics.coverage(draws[some, :, i], truth[some, i], q / 100))
                    for q in (68, 95)
                }
                for i, name in enumerate(LABELS)
            }
    rng, spread = np.random.default_rng(seed), draws.std(1) + 1e-3 * SCALE
    reference = draws.mean(1) + spread * rng.standard_normal(truth.shape)
    unit = spread[:, None]
    out = {
        "coverage": cover,
        "expected_error": {
            name: calibration.expected_error(draws[..., i], truth[:, i])
            for i, name in enumerate(LABELS)
        },
        "ranks": {
            name: calibration.ranks(draws[..., i], truth[:, i]).tolist()
            for i, name in enumerate(LABELS)
        },
        "nearer": calibration.nearer(
            draws / unit, truth / unit[:, 0], reference / unit[:, 0]
        ).tolist(),
    }
    if exact is not None:
        out["two_sample"] = against(draws, exact[:, : draws.shape[1]], seed)
    return out


def measure(snr, n, n_samples=64, seed=1, n_training=estimators.N_TRAINING):
    """Everything on ``n`` test stars of one S/N.

    Returns
    -------
    dict
        ``points``: estimator → region → :func:`errors`; ``bounds``: label → median Cramér-Rao bound; ``posteriors``:
        for "exact", "flow", "flow, refined", "spectra → regression" and "spectra → fit" what :func:`judge` says;
        ``share``: effective share of the refined draws (median, 5 %).
    """
    stars = simulate(n, seed, snr=snr)
    truth = columns(stars.labels)
    exact = columns(oracle(stars.observed, stars.ivar, n_samples=2 * n_samples, seed=seed).labels)
    first, second = exact[:, ::2], exact[:, 1::2]
    flow = columns(infer(stars.observed, stars.ivar, n_samples, seed))
    refined = infer(stars.observed, stars.ivar, n_samples, seed, refine=True)
    regressed, fitted_to = by_draws(
        sample_posterior(stars.observed, stars.ivar, n_samples, seed), n_training
    )
    posteriors = {"exact": second, "flow": flow, "flow, refined": columns(refined)}
    posteriors |= {"spectra → regression": regressed, "spectra → fit": fitted_to}
    inside = {region: which(truth) for region, which in REGIONS.items()}
    return {
        "points": {
            name: {
                region: errors(x[some], truth[some], seed)
                for region, some in inside.items()
                if some.sum() >= 10
            }
            for name, x in points(stars, exact, flow, n_training).items()
        },
        "bounds": dict(
            zip(
                LABELS,
                np.median(bounds.cramer_rao(stars.labels, stars.ivar), 0).tolist(),
                strict=False,
            )
        ),
        "posteriors": {
            name: judge(draws, truth, first, seed) for name, draws in posteriors.items()
        },
        "share": [float(v) for v in np.quantile(refined["share"], [0.5, 0.05])],
    }
