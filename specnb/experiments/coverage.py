"""Every posterior of the project held to its word, and the plan's decision tree where it does not keep it (MVP-3.1).

The truth of a star must be a draw like any other of its posterior. Where it is not, the draws are first scaled about
their mean, then moved to the quantiles that the truth has; either is learnt on stars of the validation split and judged
on test stars (:mod:`specnb.calibration`).
"""

import numpy as np

from specnb import calibration, metrics
from specnb.experiments.parameters import columns
from specnb.labels.inference import infer
from specnb.sampling.posterior import sample_posterior
from specnb.spectral_lines.windows import strengths
from specnb.world.prior import LABELS
from specnb.world.stars import draw, generator, simulate


def validation(n, snr, seed=0):
    """Observed flux, ivar, clean flux (n, 3136) and labels (n, 6) of validation stars of one S/N."""
    batch = draw(n, generator("validation", seed, 2**20 + int(snr)), snr=(snr, snr))
    observed = batch.y.where(batch.good, 1.0)
    return tuple(
        v.numpy() for v in (observed, batch.ivar, batch.x, batch.labels[:, : len(LABELS)].double())
    )


def unseen(n, snr, seed=0):
    """The same of test stars."""
    stars = simulate(n, seed, snr=snr)
    return stars.observed, stars.ivar, stars.flux, columns(stars.labels)


def labels(stars, n_samples, seed, refine=False):
    """Draws of the six labels by name, (n, n_samples) each, and the truth (n,)."""
    table = infer(*stars[:2], n_samples, seed, refine=refine)
    return {name: (np.asarray(table[name], "f8"), stars[3][:, i]) for i, name in enumerate(LABELS)}


def widths(stars, n_samples, seed, **settings):
    """Draws of the equivalent widths of :mod:`specnb.spectral_lines.windows` from draws of spectra, and the truth; as
    :func:`labels`.

    ``settings`` go to :func:`specnb.sample_posterior`.
    """
    x = sample_posterior(*stars[:2], n_samples, seed, **settings)
    drawn, right = strengths(x.reshape(-1, x.shape[-1])), strengths(stars[2])
    return {name: (drawn[name].reshape(x.shape[:2]), right[name]) for name in right}


def kept(draws, truth, seed=0):
    """How calibrated draws (n, m) are.

    Returns
    -------
    dict
        ``pit``: the share of draws below the truth (n,); coverage at ``68`` and ``95`` % with binomial intervals;
        ``expected_error``; and ``uniform``, the p value of ranks.
    """
    keep = 15 if draws.shape[1] < 63 else 63
    rank = calibration.ranks(draws, truth, keep)
    return {
        "pit": (draws < truth[:, None]).mean(1).tolist(),
        "68": list(metrics.coverage(draws, truth, 0.68)),
        "95": list(metrics.coverage(draws, truth, 0.95)),
        "expected_error": calibration.expected_error(draws, truth),
        "uniform": calibration.uniformity(rank, keep, bins=8),
    }


def tree(learnt, judged, seed=0):
    """The decision tree: draws as they are, scaled, and recalibrated.

    Parameters
    ----------
    learnt, judged : dict
        From :func:`labels` or :func:`widths`, of validation and of test stars.

    Returns
    -------
    dict
        Quantity → ``as drawn``, ``scaled``, ``recalibrated``: what :func:`kept` says of the test stars; and the
        ``factor`` of the scaling.
    """
    out = {}
    for name, (draws, truth) in judged.items():
        before, right = learnt[name]
        factor = calibration.scale(before, right)
        pit = (before < right[:, None]).mean(1)
        ways = {
            "as drawn": draws,
            "scaled": calibration.widen(draws, factor),
            "recalibrated": calibration.recalibrate(draws, pit),
        }
        out[name] = {way: kept(x, truth, seed) for way, x in ways.items()} | {"factor": factor}
    return out
