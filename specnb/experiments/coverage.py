"""Every posterior of the project held to its word, and the plan's decision tree where it does not keep it (MVP-3.1).

The truth of a star must be a draw like any other of its posterior. Where it is not, the draws are first scaled about
their mean, then moved to the quantiles that the truth has; either is learnt on stars of the validation split and judged
on test stars (:mod:`specnb.calibration`).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.stats import kstest

from specnb import calibration, metrics
from specnb.experiments.parameters import columns, judge
from specnb.experiments.results import Inside, Record
from specnb.labels.inference import infer
from specnb.sampling.posterior import sample_posterior
from specnb.spectral_lines.equivalent_width import strengths
from specnb.world import streams
from specnb.world.prior import LABELS
from specnb.world.simulate import simulate
from specnb.world.stars import draw
from specnb.world.streams import generator

Observations: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Observed flux, ivar, clean flux, (n, 3136) each, and true labels, (n, 6)."""

Drawn: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Draws of one number, (n, m), and its truth, (n,)."""

WAYS = ("as_drawn", "scaled", "recalibrated")
"""Steps of the decision tree."""


@dataclass(frozen=True)
class Kept(Inside):
    """How calibrated draws of one number are.

    Attributes
    ----------
    expected_error : float
        Mean difference of coverage and nominal probability over all levels.
    uniform : float
        p value of the ranks of the truth.
    """

    expected_error: float
    uniform: float


@dataclass(frozen=True)
class Tree(Record):
    """The decision tree of one number on test stars, and the ``factor`` of the scaling."""

    as_drawn: Kept
    scaled: Kept
    recalibrated: Kept
    factor: float


@dataclass(frozen=True)
class Coverage(Record):
    """What coverage.json holds.

    Attributes
    ----------
    stars, stars_refined, stars_spectra : int
        At each S/N: of ``flow``, of ``refined``, of ``lines``.
    draws : int
        Of a star's labels.
    flow : dict
        S/N → label → :class:`Tree`.
    refined : dict
        S/N → label → :class:`Kept`.
    tarp : dict
        S/N → p value of TARP for all labels of the flow.
    lines : dict
        Sampler → line → :class:`Tree`.
    """

    stars: int
    stars_refined: int
    stars_spectra: int
    draws: int
    flow: dict[int, dict[str, Tree]]
    refined: dict[int, dict[str, Kept]]
    tarp: dict[int, float]
    lines: dict[str, dict[str, Tree]]


def validation(n: int, snr: float, seed: int = 0) -> Observations:
    """Return observed flux, ivar, clean flux (n, 3136) and labels (n, 6) of validation stars of one S/N."""
    batch = draw(n, generator("validation", seed, streams.RECALIBRATION + int(snr)), snr=(snr, snr))
    observed = batch.y.where(batch.good, 1.0)
    known = batch.labels[:, : len(LABELS)].double()
    return observed.numpy(), batch.ivar.numpy(), batch.x.numpy(), known.numpy()


def unseen(n: int, snr: float, seed: int = 0) -> Observations:
    """Return the same of test stars."""
    stars = simulate(n, seed, snr=snr)
    return stars.observed, stars.ivar, stars.flux, columns(stars.labels)


def labels(
    stars: Observations, n_samples: int, seed: int, refine: bool = False
) -> dict[str, Drawn]:
    """Draw the six labels: name → draws (n, n_samples) and the truth (n,)."""
    table = infer(*stars[:2], n_samples, seed, refine=refine)
    return {name: (np.asarray(table[name], "f8"), stars[3][:, i]) for i, name in enumerate(LABELS)}


def widths(stars: Observations, n_samples: int, seed: int, **settings: Any) -> dict[str, Drawn]:
    """Draw the equivalent widths of :mod:`specnb.spectral_lines.line_table` from draws of spectra; as :func:`labels`.

    ``settings`` go to :func:`specnb.sample_posterior`.
    """
    x = np.asarray(sample_posterior(*stars[:2], n_samples, seed, **settings))
    drawn, right = strengths(x.reshape(-1, x.shape[-1])), strengths(stars[2])
    return {name: (drawn[name].reshape(x.shape[:2]), right[name]) for name in right}


def pit(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the share of draws (n, m) below the truth, (n,)."""
    return (draws < truth[:, None]).mean(1)


def kept(draws: np.ndarray, truth: np.ndarray) -> Kept:
    """Judge draws (n, m) of a number."""
    keep = 15 if draws.shape[1] < 63 else 63
    rank = calibration.ranks(draws, truth, keep)
    return Kept(
        coverage_68=metrics.coverage(draws, truth, 0.68),
        coverage_95=metrics.coverage(draws, truth, 0.95),
        expected_error=calibration.expected_error(draws, truth),
        uniform=calibration.uniformity(rank, keep, bins=8),
    )


def corrected(learnt: Drawn, judged: Drawn) -> tuple[dict[str, np.ndarray], float]:
    """Correct draws by what other stars teach.

    Parameters
    ----------
    learnt, judged : tuple of numpy.ndarray
        Draws (n, m) and truth (n,) of one number, of validation and of test stars.

    Returns
    -------
    ways : dict
        Step of the tree, of ``WAYS`` → draws of the test stars, (n, m).
    factor : float
        Of the scaling.
    """
    draws, _ = judged
    factor = calibration.scale(*learnt)
    ways = draws, calibration.widen(draws, factor), calibration.recalibrate(draws, pit(*learnt))
    return dict(zip(WAYS, ways, strict=True)), factor


def tree(learnt: dict[str, Drawn], judged: dict[str, Drawn]) -> dict[str, Tree]:
    """Walk the decision tree: draws as they are, scaled, and recalibrated.

    Parameters
    ----------
    learnt, judged : dict
        From :func:`labels` or :func:`widths`, of validation and of test stars.
    """
    out = {}
    for name, (draws, truth) in judged.items():
        ways, factor = corrected(learnt[name], (draws, truth))
        steps = {way: kept(x, truth) for way, x in ways.items()}
        out[name] = Tree(**steps, factor=factor)
    return out


def pits(learnt: dict[str, Drawn], judged: dict[str, Drawn]) -> dict[str, np.ndarray]:
    """Return the PIT of all numbers together, of every step of :func:`tree`: step → (n,)."""
    shares: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for name, (draws, truth) in judged.items():
        ways, _ = corrected(learnt[name], (draws, truth))
        for way, x in ways.items():
            shares[way].append(pit(x, truth))
    return {way: np.concatenate(rows) for way, rows in shares.items()}


def tarp(drawn: dict[str, Drawn], seed: int = 0) -> float:
    """Test all labels at once: p value of TARP; ``drawn`` comes from :func:`labels`."""
    draws, truth = (np.stack([pair[k] for pair in drawn.values()], -1) for k in (0, 1))
    return float(kstest(judge(draws, truth, seed=seed).nearer, "uniform").pvalue)
