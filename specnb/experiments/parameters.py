"""Labels in every way, on the same test stars: point estimates beside the bounds, posteriors beside the exact one.

MVP-2.0's way, an estimator applied to posterior draws of the clean spectrum, gives draws of p(θ | y) only as far as θ
is a function of x that the estimator knows: a regression learns on clean spectra, a fit through the emulator knows,
and :func:`measure` shows what either costs.
"""

from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike

from specnb import calibration, metrics, validate
from specnb.denoising.denoise import denoise
from specnb.experiments import estimators
from specnb.experiments.comparison import against
from specnb.experiments.results import Error, Inside, Record
from specnb.labels import bounds
from specnb.labels.inference import infer
from specnb.labels.oracle import oracle
from specnb.metrics import Interval
from specnb.observed import Observed
from specnb.sampling.posterior import sample_posterior
from specnb.world import fit, prior
from specnb.world.prior import LABELS
from specnb.world.simulate import Stars, simulate

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


FEWEST = 10
"""Stars that a region needs to be judged."""


@dataclass(frozen=True)
class Posterior(Record):
    """How calibrated draws of labels are, and how far from exact ones.

    Attributes
    ----------
    coverage : dict
        Region → label → :class:`specnb.experiments.results.Inside`, of regions with ``FEWEST`` stars or more.
    expected_error, ranks : dict
        By label: mean difference of coverage and nominal probability; rank of the truth of every star.
    nearer : list of float
        TARP's share of every star, with references about the mean of draws.
    two_sample : Interval or None
        Accuracy of a classifier between these draws and exact ones; None where none were at hand.
    """

    coverage: dict[str, dict[str, Inside]]
    expected_error: dict[str, float]
    ranks: dict[str, list[int]]
    nearer: list[float]
    two_sample: Interval | None


class Share(NamedTuple):
    """Effective share of the refined draws over stars."""

    median: float
    percentile_5: float


@dataclass(frozen=True)
class Level(Record):
    """One S/N.

    Attributes
    ----------
    points : dict
        Estimator → region → label → :class:`specnb.experiments.results.Error`.
    bounds : dict
        Label → median Cramér-Rao bound.
    posteriors : dict
        "oracle", "flow", "flow, refined", "spectra → regression" and "spectra → fit" → :class:`Posterior`.
    share : Share
    """

    points: dict[str, dict[str, dict[str, Error]]]
    bounds: dict[str, float]
    posteriors: dict[str, Posterior]
    share: Share


@dataclass(frozen=True)
class Seconds(Record):
    """Seconds a star of the flow: one star alone, many together, with refined draws."""

    alone: float
    together: float
    refined: float


@dataclass(frozen=True)
class Parameters(Record):
    """What parameters.json holds; ``levels`` by S/N."""

    stars: int
    n_training: int
    levels: dict[int, Level]
    seconds: Seconds


def columns(table: Table) -> np.ndarray:
    """Return the six labels of a table, stacked last: (n, 6) or (n, m, 6), float64."""
    return np.stack([np.asarray(table[name], "f8") for name in LABELS], -1)


def fitted(flux: ArrayLike | torch.Tensor, ivar: ArrayLike | torch.Tensor) -> np.ndarray:
    """Fit labels through the emulator, (n, 6)."""
    observed, _ = validate.spectra(flux, ivar)
    return fit.labels(observed).numpy()


def by_draws(draws: np.ndarray, n_training: int = estimators.N_TRAINING) -> list[np.ndarray]:
    """Draw labels from draws of clean spectra (n, m, 3136): by regression, and by a fit from there, (n, m, 6)."""
    flat = torch.from_numpy(draws.reshape(-1, draws.shape[-1]))
    start = torch.from_numpy(
        estimators.estimate(estimators.perceptron, estimators.clean, flat, n_training=n_training)
    ).double()
    ivar, refined = torch.full_like(flat[: fit.ROWS], 1 / DRAW_ERROR**2), []
    for x, z in zip(flat.split(fit.ROWS), prior.to_normal(start).split(fit.ROWS), strict=True):
        refined.append(
            fit.solve(
                fit.default_world(), Observed(x, ivar[: len(x)]), z, fit.LIKELIEST, iterations=8
            ).z
        )
    fits = prior.from_normal(torch.cat(refined))
    return [labels.reshape(*draws.shape[:2], -1) for labels in (start.numpy(), fits.numpy())]


def points(
    stars: Stars, exact: np.ndarray, amortised: np.ndarray, n_training: int = estimators.N_TRAINING
) -> dict[str, np.ndarray]:
    """Return point estimates by name, (n, 6) each; the last two are means of posteriors (n, m, 6)."""
    clean = denoise(stars.observed, stars.ivar)
    out = {
        f"{kind}, {see.__name__}": estimators.estimate(
            regression, see, flux, stars.ivar, n_training
        )
        for kind, regression in (("ridge", estimators.ridge), ("mlp", estimators.perceptron))
        for see, flux in ((estimators.noisy, stars.observed), (estimators.denoised, clean))
    }
    out["fit, noisy"] = fitted(stars.observed, stars.ivar)
    out["fit, denoised"] = fitted(clean, stars.ivar)
    return out | {"flow": amortised.mean(1), "oracle": exact.mean(1)}


def errors(estimate: np.ndarray, truth: np.ndarray, seed: int = 0) -> dict[str, Error]:
    """Return bias and scatter of every label of estimates (n, 6)."""
    return {
        name: Error(
            metrics.bias(estimate[:, i], truth[:, i], seed),
            metrics.scatter(estimate[:, i], truth[:, i], seed),
        )
        for i, name in enumerate(LABELS)
    }


def inside(draws: np.ndarray, truth: np.ndarray) -> dict[str, Inside]:
    """Return the coverage of every label of draws (n, m, 6)."""
    return {
        name: Inside(
            metrics.coverage(draws[..., i], truth[:, i], 0.68),
            metrics.coverage(draws[..., i], truth[:, i], 0.95),
        )
        for i, name in enumerate(LABELS)
    }


def regions(truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return which stars lie in each region that has ``FEWEST`` or more, (n,) bool."""
    every = {name: which(truth) for name, which in REGIONS.items()}
    return {name: some for name, some in every.items() if some.sum() >= FEWEST}


def judge(
    draws: np.ndarray, truth: np.ndarray, exact: np.ndarray | None = None, seed: int = 0
) -> Posterior:
    """Judge draws of labels (n, m, 6) by the truth (n, 6) and by ``exact`` draws (n, m, 6) if given."""
    rng, spread = np.random.default_rng(seed), draws.std(1) + 1e-3 * SCALE
    reference = draws.mean(1) + spread * rng.standard_normal(truth.shape)
    unit = spread[:, None]
    nearer = calibration.nearer(draws / unit, truth / unit[:, 0], reference / unit[:, 0])
    by_label = [(name, draws[..., i], truth[:, i]) for i, name in enumerate(LABELS)]
    return Posterior(
        coverage={
            region: inside(draws[some], truth[some]) for region, some in regions(truth).items()
        },
        expected_error={name: calibration.expected_error(x, true) for name, x, true in by_label},
        ranks={name: calibration.ranks(x, true).tolist() for name, x, true in by_label},
        nearer=nearer.tolist(),
        two_sample=None if exact is None else against(draws, exact[:, : draws.shape[1]], seed),
    )


def measure(
    snr: float, n: int, n_samples: int = 64, seed: int = 1, n_training: int = estimators.N_TRAINING
) -> Level:
    """Measure everything on ``n`` test stars of one S/N."""
    stars = simulate(n, seed, snr=snr)
    truth = columns(stars.labels)
    exact = columns(oracle(stars.observed, stars.ivar, n_samples=2 * n_samples, seed=seed).labels)
    first, second = exact[:, ::2], exact[:, 1::2]
    flow = columns(infer(stars.observed, stars.ivar, n_samples, seed))
    refined = infer(stars.observed, stars.ivar, n_samples, seed, refine=True)
    spectra = np.asarray(sample_posterior(stars.observed, stars.ivar, n_samples, seed))
    regressed, fitted_to = by_draws(spectra, n_training)
    draws = {
        "oracle": second,
        "flow": flow,
        "flow, refined": columns(refined),
        "spectra → regression": regressed,
        "spectra → fit": fitted_to,
    }
    estimates = points(stars, exact, flow, n_training)
    parts = regions(truth)
    least = np.median(bounds.cramer_rao(stars.labels, stars.ivar), 0)
    return Level(
        points={
            name: {region: errors(x[some], truth[some], seed) for region, some in parts.items()}
            for name, x in estimates.items()
        },
        bounds={name: float(bound) for name, bound in zip(LABELS, least, strict=False)},
        posteriors={name: judge(x, truth, first, seed) for name, x in draws.items()},
        share=Share(*(float(v) for v in np.quantile(refined["share"], [0.5, 0.05]))),
    )


def timed(stars: Stars, few: int = 8) -> Seconds:
    """Time :func:`specnb.infer` of one star, of all ``stars``, and of ``few`` with refined draws."""
    infer(stars.observed[:1], stars.ivar[:1])  # what is loaded once is not timed
    found = []
    for k, refine in ((1, False), (len(stars.observed), False), (few, True)):
        start = monotonic()
        infer(stars.observed[:k], stars.ivar[:k], refine=refine)
        found.append(round((monotonic() - start) / k, 4))
    return Seconds(*found)
