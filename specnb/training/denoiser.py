"""Train a denoiser that ships and judge it on test stars."""

from pathlib import Path
from typing import Any

from specnb import metrics
from specnb.denoising import networks
from specnb.metrics import Interval
from specnb.training import cards, loop
from specnb.training.profiles import chosen, moments
from specnb.world import streams
from specnb.world.simulate import Stars, simulate

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
TEST_SEED, N_TEST = streams.DENOISER_CARD_SEED, 512


def make(
    profile: str,
    seed: int = 0,
    device: str = "cpu",
    folder: str | Path | None = None,
    name: str = "bounded",
) -> tuple[Any, list[dict[str, Any]]]:
    """Make a denoiser and train it at a profile.

    Parameters
    ----------
    profile, name : str
        As in :data:`specnb.training.profiles.MODELS`.
    seed : int
        Of the first weights and of the stream of stars.
    device : str
        ``cpu`` or ``cuda``.
    folder : path, optional
        Where checkpoints go.

    Returns
    -------
    denoiser, list of dict
        The averaged model and the log, see :func:`specnb.training.loop.fit`.
    """
    how = chosen(name, profile)
    before = networks.load(how.start) if how.start else None
    prior = (before.mean, before.basis, before.diagonal) if before else moments(how.net)
    fresh = networks.fresh(*prior, **how.net, seed=seed)
    if before:
        fresh.net.load_state_dict(before.net.state_dict())
    return loop.fit(fresh, how, seed, device, folder)


def improvements(estimate: Any, stars: Stars) -> dict[str, Interval]:
    """Measure what an estimate gains over the observation: MSE, wMSE and wMAE."""
    truth, good, sigma = stars.flux, stars.ivar > 0, stars.sigma
    measures = {
        "mse": lambda x: metrics.mse(x, truth, good),
        "wmse": lambda x: metrics.wmse(x, truth, good, sigma),
        "wmae": lambda x: metrics.wmae(x, truth, good, sigma),
    }
    return {
        name: metrics.improvement(measure(estimate), measure(stars.observed))
        for name, measure in measures.items()
    }


def score(denoiser: Any) -> dict[str, Any]:
    """Measure what a denoiser gains on test stars, by noise level; one pass."""
    out = {}
    for level in LEVELS:
        stars = simulate(N_TEST, TEST_SEED, level=level)
        estimate = networks.apply(denoiser, stars.observed, stars.ivar)
        out[str(level)] = improvements(estimate, stars)
    return out


def card(name: str, numbers: dict[str, Any]) -> cards.Card:
    """Make the model card."""
    return cards.denoiser(name, numbers, N_TEST)
