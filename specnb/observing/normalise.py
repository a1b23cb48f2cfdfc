r"""The continuum of a spectrum in any units, without knowing the star: what turns an observation into y.

A running median leads to first labels. Then the emulator is fitted with free labels and a smooth continuum (cubic
B-splines, a knot every 300 pixels), which is linear and solved for exactly (:mod:`specnb.world.fit`): lines are told
from the continuum by what stars look like, not by being low, so that noise does not bias it and crowded spectra keep
their lines. Whatever the emulator cannot explain (emission, other kinds of objects) is left in the residual.

The same fit says how wrong the inverse variances are: :math:`\sigma^2 = s^2/w + \sigma_{model}^2`, with the model error
of :mod:`specnb.training.real_stars` and s such that the median of \|residual\|/σ is that of a normal distribution.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.interpolate import BSpline
from scipy.ndimage import median_filter

from specnb.grid import N_PIXELS
from specnb.observing import model_error
from specnb.world import fit, prior
from specnb.world.continuum import Continuum

KNOT_EVERY = 300
RUNNING = 301
"""Pixels of the running median."""

LOOSE = 1e-2
"""Precision of the splines' coefficients, which are of order one."""

BROADER = 1000.0
"""Resolving power that is tried instead; rotation of 50 km/s at R = 1800 is as broad as R = 1600."""

INFLATION = (0.5, 100.0)
"""Range in which the factor of the errors is searched."""


@dataclass
class Normalised:
    """A normalised spectrum.

    Attributes
    ----------
    flux, ivar : numpy.ndarray
        On the native grid, ``ivar`` with the errors as they turned out to be; shape (3136,), float32.
    continuum : numpy.ndarray
        What ``flux`` was divided by, in the units of the file, (3136,).
    labels : numpy.ndarray
        The most likely labels, (6,).
    inflation : float
        s, the factor of the file's errors.
    chi2 : float
        Mean square of residuals over the file's errors, model error included.
    broader : float
        By how much χ² falls at R = ``BROADER`` instead, labels free: large if lines are broader than any rotation of
        the prior makes them.
    """

    flux: np.ndarray
    ivar: np.ndarray
    continuum: np.ndarray
    labels: np.ndarray
    inflation: float
    chi2: float
    broader: float


def splines(every=KNOT_EVERY):
    """Smooth continua: cubic B-splines of nearly free coefficients."""
    inner = np.linspace(0, N_PIXELS - 1, round(N_PIXELS / every) + 1)
    knots = np.r_[[inner[0]] * 3, inner, [inner[-1]] * 3]
    basis = BSpline.design_matrix(np.arange(N_PIXELS), knots, 3).toarray().T
    return Continuum(torch.tensor(basis, dtype=torch.float32), torch.full((len(basis),), LOOSE))


def level(flux, ivar):
    """A running median of flux (3136,), positive everywhere: the first guess of the continuum."""
    good = ivar > 0
    middle = np.median(flux[good])
    if middle <= 0:
        raise ValueError(
            f"flux has a median of {middle:.3g}; a continuum must be positive: was the sky subtracted twice?"
        )
    filled = np.interp(np.arange(N_PIXELS), np.flatnonzero(good), flux[good])
    return np.maximum(median_filter(filled, RUNNING, mode="nearest"), 0.05 * middle)


@lru_cache(maxsize=1)
def _worlds():
    """The models' world with a free continuum, and the same at R = ``BROADER``; kept, templates with them."""
    shipped = fit.default_world()
    continuum = splines()
    return tuple(fit.World(shipped.emulator, continuum, r) for r in (shipped.resolution, BROADER))


def normalise(flux, ivar, inflate=True):
    """Divide a spectrum by its continuum.

    Parameters
    ----------
    flux, ivar : numpy.ndarray
        On the native grid in any units, ``ivar`` 0 where there is nothing; shape (3136,).
    inflate : bool
        Give ``ivar`` the errors that the residuals show instead of those of the file.

    Returns
    -------
    Normalised

    Raises
    ------
    ValueError
        If the flux is not positive.
    """
    flux, ivar = np.asarray(flux, "f8"), np.asarray(ivar, "f8")
    world, broad = _worlds()
    rough = level(flux, ivar)
    start, _ = fit.best(world, *_scaled(flux, ivar, rough))
    scale = np.full(
        N_PIXELS, np.median(rough)
    )  # a running median has bumps where lines crowd: it only was the start
    y, w = _scaled(flux, ivar, scale)
    best = fit.solve(world, y, w, start.z)
    blurred = fit.solve(broad, y, w, best.z)
    spectrum = world.spectrum(best.z)
    shape = world.continuum(world.continuum.best(spectrum, y, w)[0])[0].double().numpy().clip(0.01)
    labels = prior.from_normal(best.z)[0].numpy()
    out, weight = y[0].double().numpy() / shape, w[0].double().numpy() * shape**2
    residual = np.abs(out - spectrum[0].double().numpy())[weight > 0]
    variance, model = 1 / weight[weight > 0], model_error.model_error(labels[4])[0][weight > 0] ** 2
    inflation = _inflation(residual, variance, model) if inflate else 1.0
    found = np.zeros_like(weight)
    found[weight > 0] = 1 / (inflation**2 * variance + (model if inflate else 0))
    chi2 = float(np.mean(residual**2 / (variance + model)))
    flux, ivar = out.astype("f4"), found.astype("f4")
    broader = float(best.objective - blurred.objective)
    return Normalised(flux, ivar, scale * shape, labels, inflation, chi2, broader)


def _scaled(flux, ivar, by):
    """Flux and ivar divided by a curve, (1, 3136) float32 tensors; bad pixels hold 1."""
    y = np.where(ivar > 0, flux / by, 1.0)
    return tuple(torch.from_numpy(part.astype("f4"))[None] for part in (y, ivar * by**2))


def _inflation(residual, variance, model):
    """s for which half of the residuals are within 0.6745 σ, by bisection."""
    low, high = INFLATION
    for _ in range(30):
        middle = np.sqrt(low * high)
        if np.median(residual / np.sqrt(middle**2 * variance + model)) > 0.6745:
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))
