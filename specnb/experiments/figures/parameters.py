"""Figures of 07_parameters."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.figures import shared
from specnb.experiments.parameters import Level
from specnb.world.prior import LABELS

WAYS = (
    *("ridge, noisy", "ridge, denoised", "mlp, noisy", "mlp, denoised"),
    *("fit, noisy", "fit, denoised", "flow", "oracle"),
)


def _style(way):
    """Colour by estimator; marker and line by what it sees."""
    kinds = ("ridge", "mlp", "fit", "flow", "oracle")
    colours = dict(zip(kinds, plotting.PALETTE, strict=False))
    denoised = "denoised" in way
    marker = "o" if "noisy" in way else "s" if denoised else "*"
    return dict(marker=marker, ls="--" if denoised else "-", color=colours[way.split(",")[0]])


def one_star(drawn: dict[str, np.ndarray], truth: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the labels of one star in pairs: way → draws (n, 6); truth (6,)."""
    fig, axes = plt.subplots(1, 3, figsize=(12.5, 4))
    for ax, (i, j) in zip(axes, [(0, 1), (2, 3), (4, 5)], strict=True):
        for (name, x), colour, marker in zip(drawn.items(), plotting.PALETTE, "o^s", strict=False):
            style = dict(s=7, alpha=0.45, color=colour, marker=marker, lw=0, label=name)
            ax.scatter(x[:, i], x[:, j], **style)
        ax.plot(truth[i], truth[j], "*", ms=14, color=plotting.TRUTH, label="truth")
        ax.set(xlabel=names[i], ylabel=names[j])
    axes[0].legend(fontsize=8)
    return fig


def scatter(levels: dict[int, Level], names: Sequence[str]) -> Figure:
    """Draw the scatter of every label by estimator against S/N (``levels`` of ``Parameters``)."""
    fig, axes = plt.subplots(2, 3, figsize=(12.5, 6.4), sharex=True)
    snrs = np.array(list(levels))
    for ax, label, title in zip(axes.flat, LABELS, names, strict=True):
        for k, way in enumerate(WAYS):
            found = [level.points[way]["all"][label].scatter for level in levels.values()]
            value, length = shared.bars(found)
            style = _style(way) | dict(lw=0.9, ms=4, capsize=2, label=way)
            ax.errorbar(snrs * 1.02 ** (k - 4), value, length, **style)
        bound = [level.bounds[label] for level in levels.values()]
        ax.plot(snrs, bound, color=plotting.TRUTH, lw=0.8, ls=":", label="Cramér–Rao")
        ax.set(yscale="log", ylabel=title)
    for ax in axes[1]:
        ax.set(xscale="log", xlabel="S/N")
        shared.steps_of_snr(ax, snrs)
    handles = axes[0, 0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside right upper", fontsize=8)
    return fig
