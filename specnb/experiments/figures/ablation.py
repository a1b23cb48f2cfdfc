"""Figures of 12_ablation."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.ablation import Variant
from specnb.experiments.figures import shared


def variants(found: dict[str, Variant], bins: Sequence[str]) -> Figure:
    """Draw the error of every variant over that of the reference (:class:`specnb.experiments.ablation.Measured`)."""
    names = [name for name in found if name != "reference"]
    fig, ax = plt.subplots(figsize=(8.5, 4.6))
    for k, (label, color) in enumerate(
        zip(bins, sns.color_palette("viridis", len(bins)), strict=True)
    ):
        value, length = shared.bars([found[name].ratio[k] for name in names])
        style = dict(fmt="o", ms=4, capsize=2, color=color, label=f"S/N {label}")
        ax.errorbar(value, np.arange(len(names)) + 0.13 * (k - 2), xerr=length, **style)
    ax.axvline(1, color=plotting.TRUTH, lw=0.8)
    ax.set(xlabel="RMSE / RMSE of the reference", xscale="log")
    ax.set_yticks(range(len(names)), names)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("{x:g}")
    ax.invert_yaxis()
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig
