"""A star at one's fingertips: sliders for its labels and the S/N, and what a denoiser makes of the observation.

The band is that of :func:`specnb.sampling.posterior.band`, around the posterior mean whatever the method, so that a
method that leaves it is seen to leave it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go
import torch

from specnb.denoising.denoise import METHODS, denoise
from specnb.experiments import interactive
from specnb.experiments.results import Record
from specnb.sampling.posterior import band
from specnb.spectral_lines import indices
from specnb.spectral_lines.line_table import LINES
from specnb.world import noise, prior
from specnb.world.stars import synthesize
from specnb.world.streams import generator

NAMES = ("Teff (K)", "log g", "[M/H]", "S/N", "method", "noise")
"""What the sliders are called."""


@dataclass(frozen=True)
class Latency(Record):
    """Milliseconds from a moved slider to the new figure and table, over many moves."""

    median: float
    slowest: float


class Widths(NamedTuple):
    """Equivalent width of a line in Å: of the truth, the observation, the denoised spectrum."""

    truth: float
    observed: float
    denoised: float


@dataclass(frozen=True)
class Explore(Record):
    """What explore.json holds.

    Attributes
    ----------
    moves : int
        Of sliders, for each method.
    milliseconds : dict
        Method → :class:`Latency`.
    inside_band : float
        Share of true pixels inside of the 68 % band, one star.
    widths : dict
        Line → :class:`Widths`, the same star.
    """

    moves: int
    milliseconds: dict[str, Latency]
    inside_band: float
    widths: dict[str, Widths]


@dataclass
class View:
    """One setting of the sliders.

    Attributes
    ----------
    truth, observed, denoised : numpy.ndarray
        Flux, (3136,); ``observed`` is NaN at bad pixels.
    ivar : numpy.ndarray
        Inverse variance of ``observed``, (3136,).
    band : tuple of numpy.ndarray
        Posterior mean less and plus its standard deviation, (3136,) each.
    lines : dict
        Line → equivalent width in Å of truth, observation and denoised spectrum, (3,).
    """

    truth: np.ndarray
    observed: np.ndarray
    denoised: np.ndarray
    ivar: np.ndarray
    band: tuple
    lines: dict

    def curves(self) -> dict[str, np.ndarray]:
        """Return what is drawn by :func:`specnb.experiments.interactive.traces`."""
        return {"observed": self.observed, "truth": self.truth, "denoised": self.denoised}


def look(
    teff: float,
    logg: float,
    m_h: float,
    snr: float,
    method: str = "bounded",
    alpha_m: float = 0.0,
    rv: float = 0.0,
    vsini: float = 5.0,
    seed: int = 0,
) -> View:
    """Synthesise, observe, denoise and measure one star.

    Parameters
    ----------
    teff, logg, m_h, alpha_m, rv, vsini : float
        See :func:`specnb.synthesize`.
    snr : float
        Median S/N of the continuum per pixel.
    method : str
        See :func:`specnb.denoise`.
    seed : int
        Of the noise and of its shape.

    Returns
    -------
    View

    Raises
    ------
    ValueError
        See :func:`specnb.synthesize` and :func:`specnb.denoise`.
    """
    truth = np.asarray(synthesize(teff, logg, m_h, alpha_m, rv, vsini))[0]
    rng = generator("test", seed)
    sigma, good = (f(1, rng)[0].numpy() for f in (noise.draw_sigma, noise.draw_mask))
    sigma = sigma * noise.SNR_AT_UNIT_LEVEL / snr
    observed = truth + sigma * torch.randn(truth.shape, generator=rng).numpy()
    ivar = (good / sigma**2).astype("f4")
    denoised = np.asarray(denoise(observed, ivar, method))
    three = np.stack([truth, observed, denoised])
    masks = np.stack([np.ones_like(ivar), ivar, np.ones_like(ivar)])
    widths = np.asarray(indices.lines(three, rv, masks)["ew"]).reshape(3, -1)
    lines = dict(zip(LINES, widths.T, strict=True))
    return View(
        truth, np.where(good, observed, np.nan), denoised, ivar, band(observed, ivar), lines
    )


def as_html(lines: dict[str, np.ndarray]) -> str:
    """Write the table of equivalent widths."""
    head = "<tr><th></th><th>true (Å)</th><th>observed</th><th>denoised</th></tr>"
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f"<td style='text-align:right'>{v:.2f}</td>" for v in values)
        + "</tr>"
        for name, values in lines.items()
    )
    return f"<table style='border-spacing:1em 0'>{head}{rows}</table>"


def panel(snr: float = 10.0, method: str = "bounded") -> widgets.VBox:
    """Make sliders, figure and line table.

    Parameters
    ----------
    snr : float
        Where its slider starts.
    method : str
        The method at the start.

    Returns
    -------
    ipywidgets.VBox
    """
    wide = dict(style={"description_width": "5em"}, layout=widgets.Layout(width="22em"))
    (low, high), (poor, rich), top = prior.TEFF, prior.M_H, prior.LOGG_MAX
    sliders = {
        "teff": widgets.FloatSlider(5777, min=low, max=high, step=10, readout_format=".0f", **wide),
        "logg": widgets.FloatSlider(4.4, min=prior.logg_min(low), max=top, step=0.05, **wide),
        "m_h": widgets.FloatSlider(0.0, min=poor, max=rich, step=0.05, **wide),
        "snr": widgets.FloatLogSlider(
            snr, min=np.log10(5), max=2, step=0.02, readout_format=".0f", **wide
        ),
        "method": widgets.Dropdown(
            options=[m for m in METHODS if m != "fit"], value=method, **wide
        ),
        "seed": widgets.BoundedIntText(0, min=0, max=10**6, **wide),
    }
    for slider, name in zip(sliders.values(), NAMES, strict=True):
        slider.description = name

    def seen():
        return look(**{k: s.value for k, s in sliders.items()})

    view = seen()
    figure = go.FigureWidget(
        interactive.traces(view.curves(), view.band), interactive.layout(hovermode="closest")
    )
    table, clock = widgets.HTML(as_html(view.lines)), widgets.HTML()

    def keep_on_the_grid(change):
        sliders["logg"].min = np.ceil(20 * prior.logg_min(change["new"])) / 20

    def update(_=None):
        start, view = perf_counter(), seen()
        with figure.batch_update():
            for trace, y in zip(figure.data, (*view.band, *view.curves().values()), strict=True):
                trace.y = y
        table.value = as_html(view.lines)
        clock.value = f"{1000 * (perf_counter() - start):.0f} ms"

    keep_on_the_grid({"new": sliders["teff"].value})
    sliders["teff"].observe(
        keep_on_the_grid, "value"
    )  # before what draws: no star below the grid is asked for
    for slider in sliders.values():
        slider.observe(update, "value")
    left = widgets.VBox(list(sliders.values())[:3])
    right = widgets.VBox([*list(sliders.values())[3:], clock])
    controls = widgets.HBox([left, right, table], layout=widgets.Layout(flex_flow="row wrap"))
    return widgets.VBox([controls, figure])


def latency(method: str = "bounded", n: int = 20, seed: int = 0) -> np.ndarray:
    """Time ``n`` random moves in :func:`panel`, from a moved slider to the new figure and table; seconds, (n,)."""
    made, rng, seconds = panel(method=method), np.random.default_rng(seed), []
    left, right, _ = made.children[0].children
    sliders = [*left.children, right.children[0]]
    for _ in range(n):
        slider = sliders[rng.integers(len(sliders))]
        low, high = (5, 100) if slider.description == "S/N" else (slider.min, slider.max)
        start = perf_counter()
        slider.value = rng.uniform(low, high)
        seconds.append(perf_counter() - start)
    return np.array(seconds)


def timed(methods: Iterable[str], n: int, seed: int = 0) -> dict[str, Latency]:
    """Return the :class:`Latency` of every method over ``n`` moves."""
    out = {}
    for name in methods:
        ms = 1000 * latency(name, n, seed)
        out[name] = Latency(float(np.median(ms)), float(ms.max()))
    return out
