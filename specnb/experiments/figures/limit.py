"""Figures of 01_limit."""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.figures import shared
from specnb.experiments.limit import Comparison, Level
from specnb.world.simulate import Stars


def band(star: Stars, draws: np.ndarray) -> Figure:
    """Draw one star around Mg b with the band of its exact posterior, draws (n, 3136)."""
    fig, ax = plt.subplots(figsize=(11, 3.6))
    observed = np.where(star.ivar > 0, star.observed, np.nan)[0]
    inside = shared.around(ax, plotting.LINES["Mg b"], observed, star.flux[0])
    shared.band(ax, inside, draws, "95 % of the posterior")
    ax.set(xlabel="vacuum wavelength (Å)", ylabel="normalised flux")
    ax.legend(ncols=3, fontsize=8)
    return fig


def rho(levels: Sequence[Level], methods: Iterable[str]) -> Figure:
    """Draw ρ of methods against S/N."""
    snrs = [level.snr for level in levels]
    fig, ax = plt.subplots(figsize=(8.5, 5))
    for method, marker in zip(methods, "oPvsX^*Dd", strict=False):
        value, length = shared.bars([level.methods[method].rho for level in levels])
        ax.errorbar(snrs, value, length, marker=marker, capsize=2, label=method)
    ax.axhline(1, color=plotting.TRUTH, lw=1)
    place: dict[str, Any] = dict(xytext=(0, -12), textcoords="offset points", fontsize=9)
    ax.annotate("best possible", (snrs[0], 1), **place)
    ax.set(xscale="log", yscale="log", xlabel="S/N per pixel")
    ax.set_ylabel("ρ = RMSE / RMSE of the exact posterior mean")
    ax.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    shared.steps_of_snr(ax, snrs)
    ax.legend(ncols=2, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return fig


def ranks(found: Comparison) -> Figure:
    """Draw ranks of the true labels (:class:`specnb.experiments.limit.Comparison`)."""
    fig, axes = plt.subplots(2, 6, figsize=(13, 4), sharey=True)
    bins = found.sbc_bins
    mean = sum(level.stars for level in found.levels) / bins
    spread = np.sqrt(mean * (1 - 1 / bins))
    for ax, (name, one) in zip(axes.flat, found.sbc.items(), strict=False):
        edges = np.linspace(0, 64, bins + 1)
        ax.hist(one.ranks, edges, color=plotting.DENOISED, alpha=0.7)
        allowed = mean - 2 * spread, mean + 2 * spread
        ax.axhspan(*allowed, color=plotting.OBSERVED, alpha=0.3, lw=0)
        ax.set_title(f"{name}: p = {one.p:.2f}", fontsize=9)
    axes.flat[-1].set_visible(False)
    return fig
