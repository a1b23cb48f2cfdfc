"""How far every method is from the best possible error: ρ and improvement by S/N, with the oracle's own checks.

The mean is taken over 512 draws of an effective number of about 400, which makes ρ of every method too small by about
0.1 per cent.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import numpy as np

from specnb import calibration, metrics
from specnb.denoising.denoise import denoise
from specnb.experiments.results import Record
from specnb.labels import bounds
from specnb.labels.oracle import UnreliablePosterior, oracle
from specnb.metrics import Interval
from specnb.world.prior import LABELS
from specnb.world.simulate import simulate


class Quantiles(NamedTuple):
    """Of a diagnostic over stars: the median, the 2 % on its bad side, the worst."""

    median: float
    bad: float
    worst: float


@dataclass(frozen=True)
class Method(Record):
    """ρ and MSE improvement over the observation of one method, and seconds for all stars."""

    rho: Interval
    improvement: Interval
    seconds: float


@dataclass(frozen=True)
class Checks(Record):
    """What the oracle says of its own draws.

    Attributes
    ----------
    flagged, several_modes : int
        Stars that are left out because their chains are not to be trusted; stars with more than one mode.
    rhat, ess : Quantiles
    acceptance : float
        Median over stars.
    seconds : float
        For all stars.
    effective_parameters : Interval
        Error of the mean in units of the noise, summed over pixels, mean over stars.
    """

    flagged: int
    rhat: Quantiles
    ess: Quantiles
    acceptance: float
    several_modes: int
    seconds: float
    effective_parameters: Interval


@dataclass(frozen=True)
class Bound(Record):
    """Width of the exact posterior of one label, and what no estimate can beat, in units of the label.

    Attributes
    ----------
    oracle_rms, van_trees : float
        Root mean square width over stars, and van Trees' bound of it.
    oracle_median, cramer_rao_median : float
        Median over stars of the width, and of the Cramér-Rao bound.
    bouchy_median : float or None
        Of the radial velocity only: the bound with everything else known.
    """

    oracle_rms: float
    van_trees: float
    oracle_median: float
    cramer_rao_median: float
    bouchy_median: float | None = None


@dataclass(frozen=True)
class Level(Record):
    """One S/N: scores by method (``oracle`` is the exact posterior mean), checks, and bounds by label."""

    snr: int
    stars: int
    methods: dict[str, Method]
    oracle: Checks
    bounds: dict[str, Bound]


@dataclass(frozen=True)
class Ranks(Record):
    """Ranks of a true label among 63 draws of every star, and the p value of their being uniform."""

    p: float
    ranks: list[int]


@dataclass(frozen=True)
class Comparison(Record):
    """Levels of S/N, and simulation-based calibration (``sbc``, label → ranks) over all their stars."""

    levels: list[Level]
    sbc: dict[str, Ranks]
    sbc_bins: int


@dataclass(frozen=True)
class Limit(Comparison):
    """What limit.json holds."""

    stars_per_level: int


def measure(snr: int, n: int, methods: Iterable[str], seed: int) -> tuple[Level, dict]:
    """Run the oracle and every method on ``n`` test stars of one S/N.

    Returns
    -------
    level : Level
    ranks : dict
        Label → ranks of the true labels among the oracle's draws, (n,).
    """
    stars = simulate(n, seed, snr=snr)
    start = monotonic()
    with warnings.catch_warnings():
        # the flagged ones are counted and left out
        warnings.simplefilter("ignore", UnreliablePosterior)
        posterior = oracle(stars.observed, stars.ivar, n_samples=512, seed=seed)
    mean = posterior.mean()
    oracle_seconds = monotonic() - start
    kept = ~posterior.flags
    truth, good, observed = stars.flux[kept], stars.ivar[kept] > 0, stars.observed[kept]
    exact = mean[kept]
    before = metrics.mse(observed, truth, good)

    def scored(estimate, seconds):
        return Method(
            metrics.rho(estimate, exact, truth, good, seed),
            metrics.improvement(metrics.mse(estimate, truth, good), before, seed),
            round(seconds, 2),
        )

    table = {}
    for name in methods:
        # what is loaded or learnt once is not timed
        denoise(stars.observed[:1], stars.ivar[:1], method=name)
        start = monotonic()
        estimate = denoise(stars.observed, stars.ivar, method=name)[kept]
        table[name] = scored(estimate, monotonic() - start)
    table["oracle"] = scored(exact, oracle_seconds)
    weighted = (stars.ivar[kept] * (exact - truth) ** 2).sum(1)
    checks = _checks(posterior, weighted, oracle_seconds, seed)
    drawn = {
        k: calibration.ranks(posterior.labels[k][kept], stars.labels[k][kept])
        for k in stars.labels.colnames
    }
    return Level(snr, int(kept.sum()), table, checks, _bounds(stars, posterior, kept)), drawn


def _checks(posterior, weighted, seconds, seed):
    d = posterior.diagnostics
    return Checks(
        flagged=int(posterior.flags.sum()),
        rhat=Quantiles(*(float(v) for v in np.quantile(d["rhat"], [0.5, 0.98, 1]))),
        ess=Quantiles(*(float(v) for v in np.quantile(d["ess"], [0.5, 0.02, 0]))),
        acceptance=float(np.median(d["acceptance"])),
        several_modes=int((d["modes"] > 1).sum()),
        seconds=round(seconds, 1),
        effective_parameters=metrics.bootstrap(np.mean, weighted, seed=seed),
    )


def _bounds(stars, posterior, kept):
    """Return the :class:`Bound` of each label."""
    labels, ivar = stars.labels[kept], stars.ivar[kept]
    averaged, plain = bounds.van_trees(labels, ivar), np.median(bounds.cramer_rao(labels, ivar), 0)
    bouchy = float(np.median(bounds.rv_limit(stars.flux[kept], ivar)))
    out = {}
    for i, name in enumerate(LABELS):
        width = np.asarray(posterior.labels[name])[kept].std(1)
        out[name] = Bound(
            oracle_rms=float(np.sqrt(np.mean(width**2))),
            van_trees=float(averaged[i]),
            oracle_median=float(np.median(width)),
            cramer_rao_median=float(plain[i]),
            bouchy_median=bouchy if name == "rv" else None,
        )
    return out


def compare(snrs: Sequence[int], n: int, methods: Sequence[str], seed: int = 1) -> Comparison:
    """Run :func:`measure` at every S/N, and simulation-based calibration over all stars."""
    parts = [measure(snr, n, methods, seed + i) for i, snr in enumerate(snrs)]
    names = parts[0][1]
    every = {name: np.concatenate([drawn[name] for _, drawn in parts]) for name in names}
    bins = 16 if n * len(snrs) >= 160 else 4
    sbc = {
        name: Ranks(calibration.uniformity(r, bins=bins), r.tolist()) for name, r in every.items()
    }
    return Comparison([level for level, _ in parts], sbc, bins)
