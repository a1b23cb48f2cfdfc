"""What a denoiser does to the numbers that spectroscopists take from lines (MVP-3.0): equivalent width, depth,
velocity, continuum (:mod:`specnb.spectral_lines.indices`) and radial velocity
(:mod:`specnb.spectral_lines.velocity`), on test stars."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from specnb import metrics
from specnb.denoising.denoise import denoise
from specnb.experiments import estimators
from specnb.experiments.results import Error, Record
from specnb.labels.oracle import oracle
from specnb.spectral_lines import indices, velocity
from specnb.spectral_lines.line_table import LINES
from specnb.world.simulate import Stars, simulate

QUANTITIES = ("ew", "depth", "velocity", "continuum")
"""What is measured of a line."""


@dataclass(frozen=True)
class Line(Record):
    """Errors of what :func:`specnb.spectral_lines.indices.lines` measures of one line.

    Attributes
    ----------
    typical : float
        Median equivalent width of the line over the stars in Å.
    ew : Error
        Equivalent width, in per cent of ``typical``.
    depth, continuum : Error
        In units of the continuum.
    velocity : Error
        km/s, of stars whose line is stronger than ``typical``: a line that is not there has none.
    """

    typical: float
    ew: Error
    depth: Error
    velocity: Error
    continuum: Error


@dataclass(frozen=True)
class Method(Record):
    """Errors after one method: by line, and of the radial velocity in km/s."""

    lines: dict[str, Line]
    rv: Error


@dataclass(frozen=True)
class Lines(Record):
    """What lines.json holds.

    Attributes
    ----------
    levels : dict
        S/N → method → :class:`Method`; ``oracle`` is the mean of the exact posterior.
    over_oracle : dict
        S/N → method → scatter of equivalent widths over that of ``oracle``, median over lines.
    """

    stars: int
    n_training: int
    levels: dict[int, dict[str, Method]]
    over_oracle: dict[int, dict[str, float]]


def spectra(methods: Iterable[str], stars: Stars, seed: int = 0) -> dict[str, np.ndarray]:
    """Denoise test stars, method → flux (n, 3136); ``"oracle"`` is the mean of the exact posterior."""
    out = {}
    for name in methods:
        if name == "oracle":
            out[name] = oracle(stars.observed, stars.ivar, n_samples=128, seed=seed).mean()
        else:
            out[name] = np.asarray(denoise(stars.observed, stars.ivar, name))
    return out


def errors(
    flux: np.ndarray,
    truth: np.ndarray,
    rv: np.ndarray,
    ivar: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Line]:
    """Compare what is measured of the lines of two sets of spectra.

    Parameters
    ----------
    flux, truth : numpy.ndarray
        Shape (n, 3136).
    rv : numpy.ndarray
        km/s, shape (n,); the lines are measured in the star's own frame.
    ivar : numpy.ndarray, optional
        0 marks pixels of ``flux`` to leave out.
    """
    found, right = indices.lines(flux, rv, ivar), indices.lines(truth, rv)
    out = {}
    for line in LINES:
        here = found["line"] == line
        a, b = found[here], right[here]
        typical = float(np.nanmedian(b["ew"]))
        measured = ~np.isnan(a["ew"])
        strong = measured & (b["ew"] >= typical)

        def error(name, some=measured, unit=1.0, a=a, b=b):
            pair = np.asarray(a[name][some] / unit), np.asarray(b[name][some] / unit)
            return Error(metrics.bias(*pair, seed), metrics.scatter(*pair, seed))

        out[line] = Line(
            typical,
            ew=error("ew", unit=typical / 100),
            depth=error("depth"),
            velocity=error("velocity", strong),
            continuum=error("continuum"),
        )
    return out


def measure(
    methods: Iterable[str],
    snr: float,
    n: int,
    seed: int = 1,
    n_training: int = estimators.N_TRAINING,
) -> dict[str, Method]:
    """Measure line errors and radial velocities after every method on ``n`` test stars of one S/N.

    Parameters
    ----------
    methods : sequence of str
        For :func:`specnb.denoise`, or ``"oracle"``. The templates are spectra of the labels that a regression finds in
        the noisy spectrum, the same for all.

    Returns
    -------
    dict
        Name → :class:`Method`.
    """
    stars = simulate(n, seed, snr=snr)
    rv = np.asarray(stars.labels["rv"], "f8")
    templates = velocity.template(
        estimators.estimate(
            estimators.perceptron, estimators.noisy, stars.observed, stars.ivar, n_training
        )
    )
    table = {}
    for name, flux in spectra(methods, stars, seed).items():
        mask = stars.ivar if name == "none" else None
        found = velocity.correlate(flux, templates, mask)
        table[name] = Method(
            errors(flux, stars.flux, rv, mask, seed),
            Error(metrics.bias(found, rv, seed), metrics.scatter(found, rv, seed)),
        )
    return table


def over_oracle(table: dict[str, Method]) -> dict[str, float]:
    """Return, by method, the scatter of equivalent widths over that of ``oracle``, median over lines."""
    least = {line: v.ew.scatter.value for line, v in table["oracle"].lines.items()}
    return {
        name: float(np.median([v.ew.scatter.value / least[line] for line, v in m.lines.items()]))
        for name, m in table.items()
    }
