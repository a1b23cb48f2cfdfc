"""The residual denoiser with a weighted loss (MVP-0.6): identity without noise, and wMAE by level."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb.denoising import networks
from specnb.denoising.denoise import denoise
from specnb.denoising.local_prior import SubspaceDenoiser
from specnb.experiments.results import Record
from specnb.metrics import Interval, bootstrap, wmae
from specnb.world.simulate import simulate

PLAN = {0.05: 19.8, 0.1: 33.9, 0.2: 46.5}
"""wMAE improvement that the plan found, per cent, by level."""


@dataclass(frozen=True)
class Wmae(Record):
    """What wmae.json holds.

    Attributes
    ----------
    identical_without_noise : bool
        Whether spectra without noise come back bit for bit.
    wmae, improvement : dict
        Noise level s → "noisy", "denoised", "bounded" → mean over stars, and improvement over the observation.
    """

    trained_here: bool
    steps: int
    training_s: float
    n_test: int
    identical_without_noise: bool
    wmae: dict[float, dict[str, Interval]]
    improvement: dict[float, dict[str, Interval]]


def denoise_clean(
    model: SubspaceDenoiser, flux: ArrayLike | torch.Tensor, device: str = "cpu"
) -> np.ndarray:
    """Denoise clean spectra (n, 3136) with a noise map of zero."""
    x = torch.as_tensor(flux, device=device)
    with torch.no_grad():
        back = networks.in_batches(lambda u: model(u, torch.zeros_like(u)), x)
    return back.cpu().numpy()


def errors(
    model: SubspaceDenoiser, levels: Iterable[float], n: int, seed: int
) -> dict[float, dict[str, np.ndarray]]:
    """Measure wMAE on test stars: level → "noisy", "denoised", "bounded" → of every star, (n,)."""
    each = {}
    for s in levels:
        stars = simulate(n, seed, level=s)
        spectra = {
            "noisy": stars.observed,
            "denoised": networks.apply(model, stars.observed, stars.ivar),
            "bounded": denoise(stars.observed, stars.ivar),
        }
        each[s] = {
            name: wmae(x, stars.flux, stars.ivar > 0, stars.sigma) for name, x in spectra.items()
        }
    return each


def means(each: dict[float, dict[str, np.ndarray]]) -> dict[float, dict[str, Interval]]:
    """Average :func:`errors` over stars."""
    return {s: {name: bootstrap(np.mean, v) for name, v in row.items()} for s, row in each.items()}


def gains(each: dict[float, dict[str, np.ndarray]]) -> dict[float, dict[str, Interval]]:
    """Return the improvement over the observation of :func:`errors`."""
    return {
        s: {
            name: bootstrap(lambda a, b: 1 - a.mean() / b.mean(), row[name], row["noisy"])
            for name in ("denoised", "bounded")
        }
        for s, row in each.items()
    }
