"""What several chapters draw."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from specnb import plotting
from specnb.metrics import Interval
from specnb.world.simulate import Stars

SNRS = (5, 10, 20, 50, 100)
"""Of the validation stars that training watches."""


def bars(interval_list: Sequence[Interval]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return values and the two lengths of error bars of intervals, for ``errorbar``."""
    value, low, high = np.array(interval_list).T
    return value, [value - low, high - value]


def steps_of_snr(ax: Axes, snrs: Sequence[float] | np.ndarray) -> None:
    """Label a logarithmic axis with S/N."""
    ax.set_xticks(snrs, [str(snr) for snr in snrs])
    ax.minorticks_off()


def training(log: pd.DataFrame, ax: Axes | None = None) -> None:
    """Draw ρ on validation stars against the training step, a curve for each S/N.

    Parameters
    ----------
    log : pandas.DataFrame
        Training log.
    ax : matplotlib.axes.Axes, optional
        Where to draw, with a linear axis; a figure of its own is logarithmic.
    """
    own = ax is None
    if ax is None:
        ax = plt.subplots(figsize=(8, 3.8))[1]
    for snr, color in zip(SNRS, sns.color_palette("viridis", len(SNRS)), strict=True):
        ax.plot(log.step, log[f"rho_{snr}"], color=color, label=f"S/N {snr}")
    ax.axhline(1, color=plotting.REFERENCE, ls="--", label="best possible")
    ax.set(xlabel="step", ylabel="ρ on validation stars")
    if own:
        ax.set(xscale="log", yscale="log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
    ax.legend(ncols=2, fontsize=8)


def residuals(ax: Axes, stars: Stars, estimate: np.ndarray) -> None:
    """Draw residuals of observation and estimate (n, 3136) in units of the error beside the standard normal."""
    good = stars.ivar > 0
    noise = np.sqrt(stars.ivar[good])
    for flux, name, color in (
        (stars.observed, "observed", plotting.OBSERVED),
        (estimate, "denoised", plotting.DENOISED),
    ):
        whitened = (flux - stars.flux)[good] * noise
        plotting.histogram_against_normal(ax, whitened, name, color=color)
    ax.set(xlabel="(flux − truth) / error", yscale="log", ylim=(1e-4, 30))


def around(
    ax: Axes, wave: float, observed: np.ndarray, truth: np.ndarray, half_width: float = 90.0
) -> np.ndarray:
    """Draw observation and truth (3136,) around a wavelength in Å; returns which pixels those are."""
    inside = np.abs(plotting.WAVE - wave) < half_width
    x = plotting.WAVE[inside]
    ax.plot(x, observed[inside], color=plotting.OBSERVED, lw=0.7, label="observed")
    ax.plot(x, truth[inside], color=plotting.TRUTH, lw=0.9, label="truth", zorder=3)
    return inside


def band(ax: Axes, inside: np.ndarray, draws: np.ndarray, label: str) -> None:
    """Fill the band that holds 95 % of draws (n, 3136) over some pixels."""
    low, high = np.quantile(draws[:, inside], [0.025, 0.975], axis=0)
    style = dict(color=plotting.DENOISED, alpha=0.4, lw=0, label=label)
    ax.fill_between(plotting.WAVE[inside], low, high, **style)
