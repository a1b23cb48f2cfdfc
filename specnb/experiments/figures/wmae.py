"""Figures of 04_wmae."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from specnb import plotting
from specnb.denoising import networks
from specnb.denoising.base import StarDenoiser
from specnb.denoising.local_prior import SubspaceDenoiser
from specnb.experiments import wmae
from specnb.experiments.figures import shared
from specnb.metrics import Interval
from specnb.world.simulate import simulate


def training(log: pd.DataFrame) -> Figure:
    """Draw the loss and ρ against the training step."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6))
    left.plot(log.step, log.loss, color=plotting.DENOISED)
    left.set(xlabel="step", ylabel="loss, of what is usual at its level", ylim=(0, None))
    shared.training(log, right)
    return fig


def by_level(means: dict[float, dict[str, Interval]]) -> Figure:
    """Draw wMAE of observation, plan and denoised spectra by level (:func:`specnb.experiments.wmae.means`)."""
    fig, ax = plt.subplots(figsize=(7.5, 3.8))
    levels = list(means)
    for name, color, marker in (
        ("noisy", plotting.OBSERVED, "s"),
        ("denoised", plotting.DENOISED, "o"),
    ):
        value, length = shared.bars([means[s][name] for s in levels])
        ax.errorbar(levels, value, length, marker=marker, color=color, capsize=3, label=name)
    left = {s: 0.798 * s * (1 - gain / 100) for s, gain in wmae.PLAN.items()}
    ax.plot(list(left), list(left.values()), "kx", ms=9, label="plan")
    ax.set(xlabel="noise level s", ylabel="wMAE", xscale="log", yscale="log")
    shared.steps_of_snr(ax, levels)
    ax.legend()
    return fig


def residuals(model: StarDenoiser, levels: Sequence[float], n: int, seed: int) -> Figure:
    """Draw residuals at every level."""
    fig, axes = plt.subplots(1, len(levels), figsize=(13, 3.4), sharey=True)
    for ax, s in zip(axes, levels, strict=True):
        stars = simulate(n, seed, level=s)
        estimate = np.asarray(networks.apply(model, stars.observed, stars.ivar))
        shared.residuals(ax, stars, estimate)
        ax.set_title(f"s = {s:g}")
    axes[0].set_ylabel("density")
    axes[0].legend(fontsize=8)
    return fig


def one_star(model: SubspaceDenoiser, s: float, seed: int, device: str) -> Figure:
    """Draw one star at a level; without noise at s = 0."""
    one = simulate(1, seed, level=s or 1.0)
    if s == 0:
        title, observed = "s = 0, no noise", one.flux[0]
        estimate = wmae.denoise_clean(model, one.flux, device)
    else:
        title = f"s = {s:g}, S/N {5 / s:.0f}"
        observed = np.where(one.ivar > 0, one.observed, np.nan)[0]
        estimate = np.asarray(networks.apply(model, one.observed, one.ivar))
    return plotting.examples([(title, observed, one.flux[0], estimate[0])])
