"""The bounded-noise denoiser at every level (MVP-0.5): what it gains over the observation, beside others."""

from collections.abc import Iterable
from dataclasses import dataclass

from specnb.denoising import networks
from specnb.denoising.base import StarDenoiser
from specnb.denoising.denoise import denoise
from specnb.experiments.results import Record
from specnb.metrics import Interval
from specnb.training.denoiser import improvements
from specnb.world.simulate import simulate

COMPARED = ("wiener", "pca", "dncnn")
"""Methods for comparison."""

PLAN = {0.5: 59.5, 0.4: 28.5}
"""MSE improvement that the plan found, per cent, by level."""


@dataclass(frozen=True)
class Improvement(Record):
    """Improvement over the observation by method: "one pass", "ten steps", and those of ``COMPARED``."""

    mse: dict[str, Interval]
    wmse: dict[str, Interval]
    wmae: dict[str, Interval]


@dataclass(frozen=True)
class Bounded(Record):
    """What bounded.json holds; ``improvement`` by noise level λ."""

    trained_here: bool
    parameters: int
    steps: int
    training_s: float
    n_test: int
    improvement: dict[float, Improvement]


def measure(
    model: StarDenoiser, level: float, n: int, seed: int, methods: Iterable[str] = COMPARED
) -> Improvement:
    """Judge a model, with one pass and with ten steps, and methods by name on ``n`` test stars of a level."""
    stars = simulate(n, seed, level=level)
    estimates = {
        "one pass": networks.apply(model, stars.observed, stars.ivar),
        "ten steps": networks.apply(model, stars.observed, stars.ivar, steps=10),
        **{name: denoise(stars.observed, stars.ivar, method=name) for name in methods},
    }
    scores = {name: improvements(estimate, stars) for name, estimate in estimates.items()}
    by_metric = {
        metric: {name: score[metric] for name, score in scores.items()}
        for metric in ("mse", "wmse", "wmae")
    }
    return Improvement(**by_metric)
