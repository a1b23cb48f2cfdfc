"""Figures of 09_coverage."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.coverage import Drawn, pit


def pits(drawn: dict[int, dict[str, Drawn]]) -> Figure:
    """Draw the PIT of every label: S/N → label → draws (n, m) and truth (n,)."""
    size = (13, 2 * len(drawn) + 0.6)
    fig, axes = plt.subplots(len(drawn), 6, figsize=size, sharex=True, squeeze=False)
    edges = np.linspace(0, 1, 11)
    for row, (snr, table) in zip(axes, drawn.items(), strict=True):
        for ax, (label, (draws, truth)) in zip(row, table.items(), strict=True):
            allowed = 1 + np.array([-2, 2]) * np.sqrt(9 / len(truth))
            ax.axhspan(*allowed, color=plotting.OBSERVED, alpha=0.25, lw=0)
            style = dict(density=True, color=plotting.DENOISED, alpha=0.8)
            ax.hist(pit(draws, truth), edges, **style)
            ax.set(ylim=(0, 2), yticks=(0, 1))
            ax.set_title(f"{label}, S/N {snr}", fontsize=8, loc="left")
    fig.supxlabel("share of draws below the truth", fontsize=10)
    fig.supylabel("density", fontsize=10)
    return fig


def tree(pits_by_sampler: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the coverage of equivalent widths by nominal probability: sampler → step → PIT (n,) of all lines."""
    n = len(pits_by_sampler)
    fig, axes = plt.subplots(1, n, figsize=(4.1 * n, 3.8), sharey=True, squeeze=False)
    nominal = np.linspace(0.05, 0.95, 19)
    for ax, (name, steps) in zip(axes[0], pits_by_sampler.items(), strict=True):
        for (way, shares), colour in zip(steps.items(), plotting.PALETTE, strict=False):
            off = np.abs(shares - 0.5)
            inside = [(off <= p / 2).mean() for p in nominal]
            label = way.replace("_", " ")
            ax.plot(nominal, inside, "o-", ms=3, lw=1, color=colour, label=label)
        ax.plot([0, 1], [0, 1], color=plotting.TRUTH, lw=0.8, ls="--")
        ax.set_title(name, fontsize=10, loc="left")
        ax.set(xlabel="nominal probability", xlim=(0, 1), ylim=(0, 1))
    axes[0, 0].set_ylabel("share of truths inside")
    axes[0, 0].legend(fontsize=8)
    return fig
