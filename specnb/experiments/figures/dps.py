"""Figures of 06_dps."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.dps import Stepped
from specnb.experiments.figures import shared
from specnb.experiments.hallucination import Erased, Feature
from specnb.world.simulate import Stars


def one_line(
    star: Stars,
    changed: np.ndarray,
    observed: np.ndarray,
    drawn: dict[str, np.ndarray],
    found: Table,
) -> Figure:
    """Draw what samplers make of a line that no star has; arguments from :func:`specnb.experiments.dps.one_line`."""
    fig, axes = plt.subplots(2, 2, figsize=(12, 6.4), sharex=True, sharey=True)
    seen = np.where(star.ivar[0] > 0, observed[0], np.nan)
    for ax, (name, x) in zip(axes.flat, drawn.items(), strict=True):
        inside = shared.around(ax, 6530, seen, changed[0])
        shared.band(ax, inside, x, "95 % of draws")
        style = dict(color=plotting.REFERENCE, lw=0.8, ls="--", label="reported by anomalies")
        for row in found:
            ax.axvline(row["wave"], **style)
        ax.set_title(name, fontsize=10, loc="left")
    axes[0, 0].legend(fontsize=8, loc="lower left")
    fig.supxlabel("vacuum wavelength (Å)", fontsize=10)
    fig.supylabel("normalised flux", fontsize=10)
    return fig


def by_steps(rows: Sequence[Stepped]) -> Figure:
    """Draw ρ, coverage and spread of samplers against their number of steps."""
    fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.8))
    panels = {
        "rho": ("ρ of the mean", 1, (0.9, 1.6)),
        "coverage_68": ("68 % coverage", 0.68, (0, 1)),
        "spread": ("spread / exact", 1, (0, 2)),
    }
    ticks = [1, 2, 4, 8, 16, 32, 64, 128]
    for ax, (key, (label, ideal, limits)) in zip(axes, panels.items(), strict=True):
        for name, marker in zip(dict.fromkeys(r.method for r in rows), "osD^", strict=False):
            own = [r for r in rows if r.method == name]
            value, length = shared.bars([getattr(r, key) for r in own])
            style = dict(marker=marker, ms=4, capsize=2, label=name)
            ax.errorbar([r.steps for r in own], value, length, **style)
        ax.axhline(ideal, color=plotting.TRUTH, lw=0.8)
        ax.set(xscale="log", xlabel="calls of the network", ylabel=label, ylim=limits)
        shared.steps_of_snr(ax, ticks)
    axes[0].legend(fontsize=8)
    return fig


def _survival(ax, features):
    """Draw the share of the added line that survives against its strength, a dot a star."""
    known = next(iter(features.values())).survival
    names = ("dncnn", "pca", "fit", "supervised", "dps, mean", "exact, mean")
    strength = np.concatenate([p.features["added line"].strength for p in features.values()])
    for name, marker in zip([name for name in names if name in known], "vPXsDo", strict=False):
        share = np.concatenate([p.survival[name]["added line"] for p in features.values()])
        ax.scatter(strength, share, marker=marker, s=24, alpha=0.8, label=name)


def _reported(ax, many):
    """Draw the share of features that the residual test reports, in bins of strength with 5 stars or more."""
    edges = np.geomspace(1, 100, 9)
    middles = np.sqrt(edges[:-1] * edges[1:])
    for kind, marker in zip(next(iter(many.values())), "osD", strict=True):
        strength = np.concatenate([features[kind].strength for features in many.values()])
        flagged = np.concatenate([features[kind].flagged for features in many.values()])
        place = np.digitize(strength, edges) - 1
        filled = [k for k in range(len(middles)) if (place == k).sum() >= 5]
        share = [flagged[place == k].mean() for k in filled]
        ax.plot(middles[filled], share, marker=marker, ms=5, lw=0.9, label=kind)


def erased(features: dict[int, Erased], many: dict[int, dict[str, Feature]]) -> Figure:
    """Draw what is left of lines that the prior does not hold, and what the residual test reports.

    Parameters
    ----------
    features, many : dict
        As ``features`` and ``reported`` of :class:`specnb.experiments.dps.Dps`.
    """
    fig, axes = plt.subplots(1, 2, figsize=(12.5, 4.2), sharex=True)
    _survival(axes[0], features)
    _reported(axes[1], many)
    labels = "share of the line that survives", "share reported by anomalies"
    for ax, label in zip(axes, labels, strict=True):
        for level in (0, 1):
            ax.axhline(level, color=plotting.TRUTH, lw=0.6)
        ax.set(xscale="log", xlabel="S/N of the feature", ylabel=label, ylim=(-0.25, 1.35))
        shared.steps_of_snr(ax, [1, 2, 5, 10, 20, 50])
    axes[0].legend(fontsize=8, loc="upper left", ncols=2)
    axes[1].legend(fontsize=8, loc="center left")
    return fig
