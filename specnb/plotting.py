"""One look for all figures: seaborn's ticks, the colour-blind-safe palette, opaque white (dark mode stays legible)."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from specnb.grid import WAVE

PALETTE = sns.color_palette("colorblind")
TRUTH, OBSERVED, DENOISED, REFERENCE = "black", PALETTE[7], PALETTE[0], PALETTE[1]

LINES = {"Hβ": 4862.7, "Mg b": 5176.6, "Na D": 5893.8, "Hα": 6564.6, "Ca II": 8544.4}
"""Vacuum wavelengths in Å at which figures zoom in."""


def style():
    """Set the look; call it once at the top of a notebook."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update({
        "figure.dpi": 110, "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.2,
        "figure.constrained_layout.use": True,
    })  # fmt: skip


def spectra(ax, flux, labels, offset=0.0, **style):
    """Draw spectra (n, 3136) above each other, each named at its right end."""
    for i, (row, label) in enumerate(zip(flux, labels, strict=True)):
        ax.plot(WAVE, row + i * offset, lw=0.6, **style)
        ax.annotate(label, (WAVE[-1], np.median(row[-50:]) + i * offset), xytext=(4, 0), textcoords="offset points",
                    fontsize=8, va="center", annotation_clip=False)  # fmt: skip
    ax.set(xlabel="vacuum wavelength (Å)", ylabel="normalised flux")


def examples(panels, half_width=60.0):
    """Observation, truth and estimate: the whole spectrum and three zooms, one row a panel.

    Parameters
    ----------
    panels : list of (title, observed, truth, estimate)
        Each array of shape (3136,).
    half_width : float
        Å on either side of a line.
    """
    zooms = ["Mg b", "Hα", "Ca II"]
    fig, axes = plt.subplots(
        len(panels), 1 + len(zooms), figsize=(13, 2.3 * len(panels)), squeeze=False, width_ratios=[2.6, 1, 1, 1]
    )
    for row, (title, observed, truth, estimate) in zip(axes, panels, strict=True):
        for ax, name in zip(row, [None, *zooms], strict=True):
            inside = slice(None) if name is None else np.abs(WAVE - LINES[name]) < half_width
            ax.plot(WAVE[inside], observed[inside], color=OBSERVED, lw=0.5, label="observed")
            ax.plot(WAVE[inside], truth[inside], color=TRUTH, lw=1.4, label="truth")
            ax.plot(WAVE[inside], estimate[inside], color=DENOISED, lw=0.9, label="denoised")
            ax.set_title(title if name is None else name, fontsize=9, loc="left")
            low, high = truth[inside].min(), truth[inside].max()
            ax.set_ylim(low - 0.12, high + 0.12)
    axes[0, 0].legend(loc="lower right", fontsize=8, ncols=3)
    for ax in axes[-1]:
        ax.set_xlabel("Å")
    fig.supylabel("normalised flux", fontsize=10)
    return fig


def histogram_against_normal(ax, samples, label, **style):
    """Density of samples beside the standard normal that calibrated whitened residuals follow."""
    edges = np.linspace(-5, 5, 101)
    ax.hist(np.ravel(samples), edges, density=True, histtype="step", lw=1.4, label=label, **style)
    x = np.linspace(-5, 5, 300)
    if "N(0, 1)" not in ax.get_legend_handles_labels()[1]:
        ax.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=TRUTH, lw=0.8, ls="--", label="N(0, 1)")
