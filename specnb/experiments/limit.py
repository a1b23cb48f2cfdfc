"""How far every method is from the exact posterior mean: ρ and improvement by S/N, with the oracle's own checks.

The mean is taken over 512 draws of an effective number of about 400, which makes ρ of every method too small by about
0.1 per cent.
"""

import warnings
from time import monotonic

import numpy as np

from specnb import calibration, metrics
from specnb.denoising.denoise import denoise
from specnb.labels import bounds
from specnb.labels.oracle import UnreliablePosterior, oracle
from specnb.world.prior import LABELS
from specnb.world.stars import simulate


def measure(snr, n, methods, seed):
    """One S/N: the oracle and every method on ``n`` test stars.

    Returns
    -------
    numbers : dict
        ``methods``: for each (and ``exact``) rho and improvement in MSE, [value, low, high], and seconds; ``oracle``:
        R-hat, ESS, acceptance, flagged stars, seconds, effective number of parameters; ``bounds``: see :func:`_bounds`.
    ranks : dict
        Ranks of the true labels among the oracle's draws.
    """
    stars = simulate(n, seed, snr=snr)
    start = monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UnreliablePosterior
        )  # the flagged ones are counted and left out
        posterior = oracle(stars.observed, stars.ivar, n_samples=512, seed=seed)
    mean = posterior.mean()
    oracle_seconds = monotonic() - start
    kept = ~posterior.flags
    truth, good, observed = stars.flux[kept], stars.ivar[kept] > 0, stars.observed[kept]
    exact = mean[kept]
    table = {}
    for name in methods:
        denoise(
            stars.observed[:1], stars.ivar[:1], method=name
        )  # what is loaded or learnt once is not timed
        start = monotonic()
        estimate = denoise(stars.observed, stars.ivar, method=name)[kept]
        seconds = monotonic() - start
        table[name] = _scores(estimate, exact, observed, truth, good, seed) | {
            "seconds": round(seconds, 2)
        }
    table["exact"] = _scores(exact, exact, observed, truth, good, seed) | {
        "seconds": round(oracle_seconds, 2)
    }
    weighted = (stars.ivar[kept] * (exact - truth) ** 2).sum(1)
    d = posterior.diagnostics
    numbers = {
        "snr": snr,
        "stars": int(kept.sum()),
        "methods": table,
        "oracle": {
            "flagged": int(posterior.flags.sum()),
            "rhat": [float(v) for v in np.quantile(d["rhat"], [0.5, 0.98, 1])],
            "ess": [float(v) for v in np.quantile(d["ess"], [0.5, 0.02, 0])],
            "acceptance": float(np.median(d["acceptance"])),
            "several_modes": int((d["modes"] > 1).sum()),
            "seconds": round(oracle_seconds, 1),
            "effective_parameters": list(metrics.bootstrap(np.mean, weighted, seed=seed)),
        },
        "bounds": _bounds(stars, posterior, kept),
    }
    drawn = {
        k: calibration.ranks(posterior.labels[k][kept], stars.labels[k][kept])
        for k in stars.labels.colnames
    }
    return numbers, drawn


def _scores(estimate, exact, observed, truth, good, seed):
    return {
        "rho": list(metrics.rho(estimate, exact, truth, good, seed)),
        "improvement": list(metrics.improvement("mse", estimate, observed, truth, good, seed=seed)),
    }


def _bounds(stars, posterior, kept):
    """For each label: rms and median of the exact posterior's width, van Trees' bound on the first, the plain one."""
    labels, ivar = stars.labels[kept], stars.ivar[kept]
    averaged, plain = bounds.van_trees(labels, ivar), np.median(bounds.cramer_rao(labels, ivar), 0)
    out = {}
    for i, name in enumerate(LABELS):
        width = np.asarray(posterior.labels[name])[kept].std(1)
        out[name] = {
            "exact_rms": float(np.sqrt(np.mean(width**2))),
            "van_trees": float(averaged[i]),
            "exact_median": float(np.median(width)),
            "cramer_rao_median": float(plain[i]),
        }
    out["rv"]["bouchy_median"] = float(np.median(bounds.rv_limit(stars.flux[kept], ivar)))
    return out


def compare(snrs, n, methods, seed=1):
    """:func:`measure` at every S/N, and simulation-based calibration over all stars; a dict for a results file."""
    parts = [measure(snr, n, methods, seed + i) for i, snr in enumerate(snrs)]
    names = parts[0][1]
    every = {name: np.concatenate([drawn[name] for _, drawn in parts]) for name in names}
    bins = 16 if n * len(snrs) >= 160 else 4
    sbc = {
        name: {"p": calibration.uniformity(r, bins=bins), "ranks": r.tolist()}
        for name, r in every.items()
    }
    return {"levels": [numbers for numbers, _ in parts], "sbc": sbc, "sbc_bins": bins}
