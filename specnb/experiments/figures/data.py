"""Figures of 00_data."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting
from specnb.experiments.data import Judged
from specnb.grid import WAVE
from specnb.training import lte_emulator
from specnb.world.simulate import Stars, simulate
from specnb.world.stars import synthesize


def operators(wave: float = 8544.4, half_width: float = 40.0) -> Figure:
    """Draw a line of a star under radial velocity, rotation, and resolution."""
    near = np.abs(WAVE - wave) < half_width
    settings = {
        "radial velocity": ("rv", (-200, 0, 200), "{:+d} km/s"),
        "v sin i": ("vsini", (0, 50, 150), "{} km/s"),
        "resolving power": ("resolution", (1000, 1800, 5000), "R = {}"),
    }
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True)
    for ax, (title, (name, values, label)) in zip(axes, settings.items(), strict=True):
        for value in values:
            flux = synthesize(5500, 4.4, 0.0, 0.0, **{name: value})[0]
            ax.plot(WAVE[near], flux[near], label=label.format(value))
        ax.set(title=title, xlabel="vacuum wavelength (Å)")
        ax.legend(fontsize=8)
    axes[0].set_ylabel("normalised flux")
    return fig


def emulator_error(judged: Judged) -> Figure:
    """Draw the emulator's error by wavelength and by star (:class:`specnb.experiments.data.Judged`)."""
    fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.6), width_ratios=[1.6, 1, 1])
    axes[0].plot(WAVE, lte_emulator.rms(judged.residual, axis=0), lw=0.6)
    axes[0].set(xlabel="vacuum wavelength (Å)", ylabel="RMS over stars", yscale="log")
    each, labels = lte_emulator.rms(judged.residual, axis=1), judged.labels
    for ax, column, name in ((axes[1], 0, "teff (K)"), (axes[2], 2, "[M/H] (dex)")):
        points = ax.scatter(labels[:, column], each, c=labels[:, 1], cmap="cividis", s=24)
        ax.set(xlabel=name, yscale="log")
    fig.colorbar(points, ax=axes[2], label="log g")
    return fig


def noise(stars: Stars, seed: int) -> Figure:
    """Draw the error vectors of stars relative to their medians, and one star at three noise levels."""
    shape = stars.sigma / np.median(stars.sigma, axis=1, keepdims=True)
    fig, axes = plt.subplots(2, 1, figsize=(11, 6), sharex=True)
    low, middle, high = np.percentile(shape, [16, 50, 84], axis=0)
    axes[0].fill_between(WAVE, low, high, alpha=0.3, lw=0, label="68 % of stars")
    axes[0].plot(WAVE, middle, lw=0.7, label="median")
    axes[0].set(ylabel="σ / median σ", ylim=(0, 5))
    axes[0].legend()
    for i, level in enumerate((0.05, 0.2, 1.0)):
        one = simulate(1, seed, level=level)
        observed = np.where(one.ivar > 0, one.observed, np.nan)[0]
        axes[1].plot(WAVE, observed + 0.8 * i, lw=0.4, label=f"λ = {level}, S/N {5 / level:.0f}")
        axes[1].plot(WAVE, one.flux[0] + 0.8 * i, lw=0.6, color=plotting.TRUTH)
    axes[1].set(xlabel="vacuum wavelength (Å)", ylabel="normalised flux", ylim=(0, 3.6))
    axes[1].legend(fontsize=8, ncols=3)
    return fig
