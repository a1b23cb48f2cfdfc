"""Figures of 08_lines."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.figures import shared
from specnb.experiments.lines import Method
from specnb.grid import SPEED_OF_LIGHT, WAVE
from specnb.spectral_lines.line_table import LINES
from specnb.world.simulate import Stars

PANELS = {
    "Hβ": ["Hβ"],
    "Mg b": ["Mg b"],
    "Na D": ["Na D"],
    "Hα": ["Hα"],
    "Ca II": ["Ca II 8498", "Ca II 8542", "Ca II 8662"],
}


def windows(star: Stars, denoised: np.ndarray) -> Figure:
    """Draw windows and side bands of the lines on one star (``simulate(1)``) and its denoised spectrum, (3136,)."""
    rest = WAVE / (1 + float(star.labels["rv"][0]) / SPEED_OF_LIGHT)
    spectra = (
        (np.where(star.ivar[0] > 0, star.observed[0], np.nan), plotting.OBSERVED, 0.7, "observed"),
        (star.flux[0], plotting.TRUTH, 1.5, "truth"),
        (denoised, plotting.DENOISED, 1.0, "denoised"),
    )
    ratios = [1, 1, 1.2, 1, 2.4]
    fig, axes = plt.subplots(1, 5, figsize=(13, 3.4), width_ratios=ratios, sharey=True)
    for ax, (title, names) in zip(axes, PANELS.items(), strict=True):
        edges: list[float] = []
        for name in names:
            window, bands = LINES[name].rest.window, LINES[name].rest.bands
            ax.axvspan(*window, color=plotting.DENOISED, alpha=0.18, lw=0)
            for band in set(bands):
                ax.axvspan(*band, color=plotting.REFERENCE, alpha=0.10, lw=0)
                edges += band
        inside = (rest > min(edges) - 4) & (rest < max(edges) + 4)
        for flux, colour, width, label in spectra:
            ax.plot(rest[inside], flux[inside], color=colour, lw=width, label=label)
        ax.set_title(title, fontsize=10, loc="left")
    axes[0].legend(fontsize=7, loc="lower left")
    fig.supxlabel("vacuum wavelength in the star's frame (Å)", fontsize=10)
    axes[0].set_ylabel("normalised flux")
    return fig


def widths(levels: dict[int, dict[str, Method]]) -> Figure:
    """Draw the bias of equivalent widths by line and method, a panel a S/N (``levels`` of ``Lines``)."""
    size = (6.4 * min(len(levels), 2), 4.2)
    fig, axes = plt.subplots(1, len(levels), figsize=size, sharey=True, squeeze=False)
    places = np.arange(len(LINES))
    for ax, (snr, table) in zip(axes[0], levels.items(), strict=True):
        for limit, alpha in ((5, 0.12), (1, 0.2)):
            ax.axhspan(-limit, limit, color=plotting.OBSERVED, alpha=alpha, lw=0)
        names = [name for name in table if name != "none"]
        for k, (name, marker) in enumerate(zip(names, "vPXsDo*", strict=False)):
            value, length = shared.bars([table[name].lines[n].ew.bias for n in LINES])
            style = dict(marker=marker, ms=5, lw=0, elinewidth=1, label=name)
            ax.errorbar(places + 0.1 * (k - 3), value, length, **style)
        ax.set_xticks(places, list(LINES), rotation=30, ha="right")
        ax.set_title(f"S/N {snr}", fontsize=10, loc="left")
    axes[0, 0].set_ylabel("bias of the equivalent width (%)")
    axes[0, 0].legend(fontsize=8, ncols=2)
    return fig
