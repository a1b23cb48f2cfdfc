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


def stacks(curves: dict[str, np.ndarray], counts: dict[str, int]) -> Figure:
    """Draw stacked residuals by type: type → residual (3136,); type → number of stars."""
    fig, ax = plt.subplots(figsize=(12, 6))
    beside: dict[str, Any] = dict(
        xytext=(4, 0), textcoords="offset points", fontsize=9, va="center"
    )
    for i, (name, curve) in enumerate(curves.items()):
        level = -OFFSET * i
        ax.plot(WAVE, curve + level, lw=0.6)
        ax.axhline(level, color=plotting.TRUTH, lw=0.4)
        title = f"{name} ({counts[name]})"
        ax.annotate(title, (WAVE[-1], level), annotation_clip=False, **beside)
    for name, wave in plotting.LINES.items():
        ax.axvline(wave, color=plotting.OBSERVED, lw=0.6, ls=":")
        ax.annotate(name, (wave, 0.1), fontsize=8, ha="center")
    ax.set(xlabel="vacuum wavelength at rest (Å)", ylabel="median (observed − model)")
    ax.set(xlim=(WAVE[0], WAVE[-1]), ylim=(-0.62, 0.13))
    return fig
