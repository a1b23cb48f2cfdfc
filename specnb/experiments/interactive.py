"""Spectra to zoom in (plotly), legible in JupyterLab and on the static pages of the book.

JupyterLab draws the figure by plotly's own extension; a static page by the plotly.js that
:func:`specnb.book.execute.build_book` puts into the root of the book, so that no reader's browser asks another host.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
from IPython.display import display
from matplotlib.colors import to_rgb
from plotly.offline import get_plotlyjs

from specnb import storage
from specnb.grid import WAVE
from specnb.plotting import DENOISED, LINES, OBSERVED, TRUTH

Band: TypeAlias = Sequence[np.ndarray]
"""Lower and upper edge, (3136,) each."""

SCRIPT = "plotly.min.js"
HALF_WIDTH = 70.0
"""Å on either side of a line, of the buttons that zoom."""

COLOURS = {"observed": OBSERVED, "truth": TRUTH, "denoised": DENOISED}
WIDTHS = {"observed": 0.8, "truth": 2.2, "denoised": 1.4}


def _css(colour, alpha=1.0):
    return f"rgba({', '.join(str(round(255 * c)) for c in to_rgb(colour))}, {alpha})"


def traces(curves: dict[str, np.ndarray], band: Band | None = None) -> list[go.Scatter]:
    """Draw the lines of a figure.

    Parameters
    ----------
    curves : dict
        Name, a key of ``COLOURS`` → flux, (3136,).
    band : tuple of numpy.ndarray, optional
        Lower and upper edge, (3136,) each.

    Returns
    -------
    list of plotly.graph_objects.Scatter
    """
    drawn = []
    if band is not None:
        low, high = (np.round(b, 4) for b in band)
        edge = dict(x=WAVE.round(2), mode="lines", line_width=0, hoverinfo="skip")
        drawn.append(go.Scatter(y=low, showlegend=False, legendgroup="band", **edge))
        fill = dict(fill="tonexty", fillcolor=_css(DENOISED, 0.3))
        drawn.append(go.Scatter(y=high, name="68 %", legendgroup="band", **fill, **edge))
    for name, flux in curves.items():
        line = dict(color=_css(COLOURS[name]), width=WIDTHS[name])
        drawn.append(
            go.Scatter(x=WAVE.round(2), y=np.round(flux, 4), name=name, mode="lines", line=line)
        )
    return drawn


def zooms() -> dict[str, Any]:
    """Make buttons for the whole spectrum and each of ``plotting.LINES``."""
    ranges = {"all": (WAVE[0], WAVE[-1])} | {
        k: (w - HALF_WIDTH, w + HALF_WIDTH) for k, w in LINES.items()
    }
    buttons = [
        dict(label=k, method="relayout", args=[{"xaxis.range": list(r)}]) for k, r in ranges.items()
    ]
    return dict(type="buttons", direction="right", x=0, xanchor="left", y=1.02, yanchor="bottom", buttons=buttons,
                showactive=True, pad=dict(t=2, b=2), font_size=11)  # fmt: skip


def layout(**more: Any) -> dict[str, Any]:
    """Lay out axes, the legend at the bottom, buttons above."""
    axis = dict(showline=True, linecolor="black", ticks="outside", showgrid=False, zeroline=False)
    return dict(
        template="simple_white", paper_bgcolor="white", plot_bgcolor="white", height=430,
        margin=dict(l=55, r=10, t=70, b=45), hovermode="x", font_size=12, updatemenus=[zooms()],
        legend=dict(orientation="h", x=1, xanchor="right", y=0, yanchor="bottom", bgcolor="rgba(255, 255, 255, 0.7)"),
        xaxis=dict(title="vacuum wavelength (Å)", range=[WAVE[0], WAVE[-1]], **axis),
        yaxis=dict(title="normalised flux", **axis),
    ) | more  # fmt: skip


def spectrum(curves: dict[str, np.ndarray], band: Band | None = None) -> go.Figure:
    """Make a ``plotly.graph_objects.Figure`` of spectra; arguments as of :func:`traces`."""
    return go.Figure(traces(curves, band), layout())


def by_step(
    steps: dict[Any, tuple[dict[str, np.ndarray], Band | None]], prefix: str, active: int = 0
) -> go.Figure:
    """Make a figure with a slider.

    Parameters
    ----------
    steps : dict
        Label of the slider's stop → (curves, band) of :func:`traces`, the same names at each.
    prefix : str
        What the slider sets.
    active : int
        Where it stands.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    drawn = [traces(*step) for step in steps.values()]
    stops = [
        dict(label=str(k), method="restyle", args=[{"y": [one.y for one in rows]}])
        for k, rows in zip(steps, drawn, strict=True)
    ]
    slider = dict(
        active=active,
        currentvalue=dict(prefix=f"{prefix} "),
        steps=stops,
        pad=dict(t=50),
        len=0.95,
        x=0.02,
    )
    return go.Figure(
        drawn[active], layout(sliders=[slider], height=500, margin=dict(l=55, r=10, t=40, b=10))
    )


def show(figure: go.Figure, name: str, alt: str) -> None:
    """Display a figure.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    name : str
        Identifier on the page.
    alt : str
        What a reader who does not see it is told.
    """
    script = f"../{SCRIPT}"  # pages lie one folder below the book's root
    drawn = figure.to_html(
        full_html=False, include_plotlyjs=script, div_id=name, config={"responsive": True}
    )
    page = f'<div role="group" aria-label="{html.escape(alt)}">{drawn}</div>'
    display(
        {"application/vnd.plotly.v1+json": json.loads(figure.to_json()), "text/html": page},
        raw=True,
    )


def write_script(folder: Path | str) -> Path:
    """Put plotly.js into a folder; returns its path."""
    path = Path(folder) / SCRIPT
    storage.write_bytes(path, get_plotlyjs().encode())
    return path
