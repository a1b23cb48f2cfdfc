"""One look for all figures: seaborn's ticks, the colour-blind-safe palette, opaque white (dark mode stays legible)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from specnb import extras
from specnb.grid import WAVE
from specnb.spectral_lines import line_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from specnb.observing.products import Products

extras.need("matplotlib", "seaborn", extra="plot", purpose="Drawing")
import matplotlib.pyplot as plt  # noqa: E402
import seaborn as sns  # noqa: E402

PALETTE = sns.color_palette("colorblind")
TRUTH, OBSERVED, DENOISED, REFERENCE = "black", PALETTE[7], PALETTE[0], PALETTE[1]

LINES = {name: line.wave for name, line in line_table.LINES.items() if line.wide}
"""Vacuum wavelengths in Å at which figures zoom in."""


def style() -> None:
    """Set the look; call it once at the top of a notebook."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update({
        "figure.dpi": 110, "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.2,
        "figure.constrained_layout.use": True,
    })  # fmt: skip


def spectra(
    ax: Axes, flux: np.ndarray, labels: Sequence[str], offset: float = 0.0, **style: Any
) -> None:
    """Draw spectra above each other, each named at its right end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    flux : numpy.ndarray
        Normalised flux, shape (n, 3136).
    labels : sequence of str
        Names of the n spectra.
    offset : float
        From one spectrum to the next, in units of the flux.
    **style
        Of the lines, as matplotlib takes it.
    """
    beside: dict[str, Any] = {
        "xytext": (4, 0),
        "textcoords": "offset points",
        "va": "center",
        "fontsize": 8,
    }
    for i, (row, label) in enumerate(zip(flux, labels, strict=True)):
        ax.plot(WAVE, row + i * offset, lw=0.6, **style)
        end = WAVE[-1], np.median(row[-50:]) + i * offset
        ax.annotate(label, end, annotation_clip=False, **beside)
    ax.set(xlabel="vacuum wavelength (Å)", ylabel="normalised flux")


def examples(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]], half_width: float = 60.0
) -> Figure:
    """Draw observation, truth and estimate: the whole spectrum and three zooms, one row a panel.

    Parameters
    ----------
    panels : list of (title, observed, truth, estimate)
        Each array of shape (3136,).
    half_width : float
        Å on either side of a line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    zooms = ["Mg b", "Hα", "Ca II 8542"]
    fig, axes = plt.subplots(
        len(panels),
        1 + len(zooms),
        figsize=(13, 2.3 * len(panels)),
        squeeze=False,
        width_ratios=[2.6, 1, 1, 1],
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


def histogram_against_normal(ax: Axes, samples: ArrayLike, label: str, **style: Any) -> None:
    """Draw the density of samples beside the standard normal that calibrated whitened residuals follow.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    samples : array
        Whitened residuals, of any shape.
    label : str
        Name of the samples.
    **style
        Of their line, as matplotlib takes it.
    """
    edges = list(np.linspace(-5, 5, 101))
    ax.hist(np.ravel(samples), edges, density=True, histtype="step", lw=1.4, label=label, **style)
    x = np.linspace(-5, 5, 300)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    if "N(0, 1)" not in ax.get_legend_handles_labels()[1]:
        ax.plot(x, normal, color=TRUTH, lw=0.8, ls="--", label="N(0, 1)")


def products(made: Products, title: str = "") -> Figure:
    """Draw a user's spectrum and what was made of it: the whole spectrum and three lines.

    Parameters
    ----------
    made : specnb.observing.products.Products
    title : str
        Name of the spectrum.

    Returns
    -------
    matplotlib.figure.Figure
    """
    o, fig = made.observation, plt.figure(figsize=(13, 5.2))
    grid = fig.add_gridspec(2, 3)
    zooms = ["Mg b", "Hα", "Ca II 8542"]
    axes = [fig.add_subplot(grid[0, :]), *(fig.add_subplot(grid[1, k]) for k in range(3))]
    shown = np.where(o.ivar > 0, o.flux, np.nan)
    for ax, name in zip(axes, [None, *zooms], strict=True):
        inside = slice(None) if name is None else np.abs(WAVE - LINES[name]) < 70
        low, high = (made.denoised[inside] + k * made.uncertainty[inside] for k in (-2, 2))
        ax.plot(WAVE[inside], shown[inside], color=OBSERVED, lw=0.6, label="observed")
        ax.fill_between(WAVE[inside], low, high, color=DENOISED, alpha=0.35, lw=0, label="± 2σ")
        ax.plot(WAVE[inside], made.denoised[inside], color=DENOISED, lw=1.0, label="denoised")
        edges = made.denoised[inside].min(), made.denoised[inside].max()
        ax.set_ylim(edges[0] - 0.15, edges[1] + 0.15)
        for wave in made.anomalies["wave"] if len(made.anomalies) else ():
            if name is None or abs(wave - LINES[name]) < 70:
                ax.axvline(wave, color=REFERENCE, lw=0.7, ls=":")
        if name:
            ax.set_title(name, fontsize=9, loc="left")
            ax.set_xlabel("vacuum wavelength (Å)")
    middle = {k: np.median(made.labels[k][0]) for k in ("teff", "logg", "m_h", "rv")}
    labels = "{teff:.0f} K, log g {logg:.2f}, [M/H] {m_h:.2f}, {rv:.0f} km/s".format(**middle)
    warn = f"\nwarning: {'; '.join(made.warnings)}" if made.warnings else ""
    axes[0].set_title(f"{title}   S/N {o.snr:.0f}   {labels}{warn}", fontsize=9, loc="left")
    axes[0].legend(fontsize=8, ncols=3, loc="lower right")
    fig.supylabel("normalised flux", fontsize=10)
    return fig
