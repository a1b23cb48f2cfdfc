"""Figures of 11_stars."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.data import Judged, LeftOut
from specnb.experiments.stars import Curve
from specnb.grid import WAVE
from specnb.metrics import Interval

AIMS = {
    "teff": ("bias of Teff (K)", 30.0),
    "logg": ("bias of log g", 0.05),
    "feh": ("bias of [M/H]", 0.04),
}
"""Label → title of its panel, and the bias that is aimed at."""

OFFSET = 0.12
"""Between stacks."""


def grid(judged: Judged) -> Figure:
    """Draw the labels of the grid's stars (:class:`specnb.experiments.data.Judged`)."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.8))
    labels, judge = judged.grid.labels, judged.left_out
    names = ["teff (K)", "logg", "m_h", "alpha_m"]
    for ax, (i, j) in zip(axes, [(0, 1), (0, 2), (2, 3)], strict=True):
        for which, color, label in (
            (~judge, plotting.DENOISED, "training"),
            (judge, plotting.REFERENCE, "left out"),
        ):
            ax.scatter(labels[which, i], labels[which, j], s=9, color=color, label=label)
        ax.set(xlabel=names[i], ylabel=names[j])
        if i == 0:
            ax.invert_xaxis()
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8)
    return fig


def error(each: Sequence[LeftOut], curve: dict[int, Curve]) -> Figure:
    """Draw the emulator's error over the labels, and its learning curve.

    Parameters
    ----------
    each : list of specnb.experiments.data.LeftOut
    curve : dict
        Number of training stars → :class:`specnb.experiments.stars.Curve`.
    """
    stars = np.array(each)
    fig, axes = plt.subplots(1, 3, figsize=(13, 3.9))
    for ax, column, name in ((axes[0], 1, "logg"), (axes[1], 2, "m_h")):
        style = dict(cmap="viridis", vmin=0, vmax=15, s=28)
        points = ax.scatter(stars[:, 0], stars[:, column], c=1e4 * stars[:, 4], **style)
        ax.set(xlabel="teff (K)", ylabel=name)
        ax.invert_xaxis()
    axes[0].invert_yaxis()
    fig.colorbar(points, ax=axes[1], label="RMS (1e-4)")
    sizes = list(curve)
    for key, marker, label in (("rms", "o", "RMS"), ("median", "s", "median star")):
        errors = [getattr(v, key) for v in curve.values()]
        axes[2].loglog(sizes, errors, marker=marker, label=label)
    axes[2].axhline(5e-4, color=plotting.REFERENCE, ls="--", label="target 5e-4")
    axes[2].set(xlabel="training stars", ylabel="error at R = 1800")
    axes[2].set_xticks(sizes, sizes)
    axes[2].set_yticks([3e-4, 5e-4, 1e-3, 2e-3], ["3e-4", "5e-4", "1e-3", "2e-3"])
    axes[2].minorticks_off()
    axes[2].legend(fontsize=8)
    return fig


def stacks(curves: dict[str, dict[str, np.ndarray]], source: str) -> Figure:
    """Draw median residuals of a source's stars before and after the correction: when → kind → (3136,)."""
    fig, axes = plt.subplots(1, 2, figsize=(13, 6), sharey=True, layout="constrained")
    beside: dict[str, Any] = dict(fontsize=9, va="bottom", ha="right")
    for ax, (when, kinds) in zip(axes, curves.items(), strict=True):
        chosen = {k.split(": ")[1]: v for k, v in kinds.items() if k.startswith(f"{source}: ")}
        for i, (name, curve) in enumerate(chosen.items()):
            level = -OFFSET * i
            ax.plot(WAVE, curve + level, lw=0.6)
            ax.axhline(level, color=plotting.TRUTH, lw=0.4)
            ax.annotate(name, (WAVE[-1] - 20, level + 0.03), **beside)
        for wave in plotting.LINES.values():
            ax.axvline(wave, color=plotting.OBSERVED, lw=0.6, ls=":")
        ax.set(xlabel="vacuum wavelength at rest (Å)", title=f"{when} the correction")
        ax.set(xlim=(WAVE[0], WAVE[-1]), ylim=(-OFFSET * len(chosen), 0.1))
    axes[0].set_ylabel("median (observed − model)")
    return fig


def biases(found: dict[str, dict[str, dict[str, Interval]]]) -> Figure:
    """Draw biases of labels with their intervals, before and after the correction, and what is aimed at."""
    kinds = list(found["before"])
    size = (13, 1.2 + 0.32 * len(kinds))
    fig, axes = plt.subplots(1, 3, figsize=size, sharey=True, layout="constrained")
    colours = {"before": plotting.OBSERVED, "after": plotting.DENOISED}
    for ax, (label, (title, aim)) in zip(axes, AIMS.items(), strict=True):
        ax.axvspan(-aim, aim, color=plotting.REFERENCE, alpha=0.15, lw=0)
        ax.axvline(0, color=plotting.TRUTH, lw=0.6)
        for when, rows in found.items():
            at = np.arange(len(kinds)) + (0.12 if when == "after" else -0.12)
            value, low, high = np.array([rows[kind][label] for kind in kinds]).T
            style: dict[str, Any] = dict(fmt="o", ms=4, lw=1.2, color=colours[when], label=when)
            ax.errorbar(value, at, xerr=[value - low, high - value], **style)
        ax.set(xlabel=title)
    axes[0].set_yticks(range(len(kinds)), kinds)
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=9)
    return fig
