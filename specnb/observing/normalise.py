r"""The continuum of a spectrum in any units, without knowing the star: what turns an observation into y.

A running median leads to first labels. Then the emulator is fitted with free labels and a smooth continuum (cubic
B-splines, a knot every 300 pixels), which is linear and solved for exactly (:mod:`specnb.world.fit`): lines are told
from the continuum by what stars look like, not by being low, so that noise does not bias it and crowded spectra keep
their lines. Whatever the emulator cannot explain (emission, other kinds of objects) is left in the residual.

The same fit says how wrong the inverse variances are: :math:`\sigma^2 = s^2/w + \sigma_{model}^2`, with the model error
of :mod:`specnb.training.real_stars` and s such that the median of \|residual\|/σ is that of a normal distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import median_filter

from specnb.grid import N_PIXELS
from specnb.observed import Observed
from specnb.observing import doppler, model_error
from specnb.world import fit, prior
from specnb.world.continuum import splines

RUNNING = 301
"""Pixels of the running median."""

HUGE = 1e6
"""Largest normalised flux of a pixel that does not count."""

BROADER = 1000.0
"""Resolving power that is tried instead; rotation of 50 km/s at R = 1800 is as broad as R = 1600."""

INFLATION = (0.5, 100.0)
"""Range in which the factor of the errors is searched."""

TYPICAL = 0.6745
"""Median size of a standard normal deviate."""

BISECTIONS = 18
"""Of that range: the factor is good to 1e-4."""

SHRUNK = 0.01
"""Lower end of that range for files whose errors are too large even beside the model's."""

ROTATING = 40.0
"""v sin i of the best star in km/s below which lines cannot be broader than the prior makes them."""

SCREENED, STEPS, BLURRED = 2, 30, 2
"""Starts that take a step; steps from the best of them, and at R = ``BROADER`` from there."""

GAIN, PATIENCE = 0.005, 3
"""Fall of χ² that is worth another step; steps in vain, each damped more, after which a fit ends."""


@dataclass
class Normalised:
    """Normalised spectra; of one spectrum the first axis is left out.

    Attributes
    ----------
    flux, ivar : numpy.ndarray
        On the native grid, ``ivar`` with the errors as they turned out to be; shape (n, 3136), float32.
    continuum : numpy.ndarray
        What ``flux`` was divided by, in the units of the file, (n, 3136).
    labels : numpy.ndarray
        The most likely labels, (n, 6).
    inflation : numpy.ndarray
        s, the factor of the file's errors, (n,).
    chi2 : numpy.ndarray
        Mean square of residuals over the file's errors, model error included, (n,).
    broader : numpy.ndarray
        By how much χ² falls at R = ``BROADER`` instead, labels free, (n,): large if lines are broader than any rotation
        of the prior makes them; 0 where the best star rotates slowly.
    unexplained : numpy.ndarray
        Share of the lines that the best star leaves, (n,): χ² less noise over that of a spectrum without lines; a fifth
        for real stars of the models' kind (their noise is correlated), 1 and more for galaxies and quasars.
    velocity, faster : numpy.ndarray
        Radial velocity [km/s] at which templates agree best, up to ±1400, and by how much χ² is lower there than at any
        velocity of the prior, (n,).
    double, separation : numpy.ndarray
        By how much χ² is lower with two stars of like brightness than with one, and their distance in km/s, (n,).
    """

    flux: np.ndarray
    ivar: np.ndarray
    continuum: np.ndarray
    labels: np.ndarray
    inflation: np.ndarray
    chi2: np.ndarray
    broader: np.ndarray
    unexplained: np.ndarray
    velocity: np.ndarray
    faster: np.ndarray
    double: np.ndarray
    separation: np.ndarray

    def __getitem__(self, i: int) -> Normalised:
        """Take one of the spectra."""
        return Normalised(*(value[i] for value in vars(self).values()))


def level(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Take a running median of flux (3136,), positive everywhere: the first guess of the continuum.

    Raises
    ------
    ValueError
        If the flux is not positive.
    """
    good = ivar > 0
    middle = np.median(flux[good])
    if middle <= 0:
        raise ValueError(
            f"flux has a median of {middle:.3g}; a continuum must be positive: was the sky subtracted twice?"
        )
    filled = np.interp(np.arange(N_PIXELS), np.flatnonzero(good), flux[good])
    return np.maximum(median_filter(filled, RUNNING, mode="nearest"), 0.05 * middle)


@lru_cache(maxsize=2)
def _worlds(device: str) -> tuple[fit.World, fit.World]:
    """Make the models' world with a free continuum, and the same at R = ``BROADER``; kept, templates with them."""
    shipped = fit.default_world(device)
    continuum = splines(device=device)
    usual = fit.World(shipped.emulator, continuum, shipped.resolution)
    return usual, fit.World(shipped.emulator, continuum, BROADER)


def normalise(
    flux: np.ndarray, ivar: np.ndarray, inflate: bool = True, device: str = "cpu"
) -> Normalised:
    """Divide spectra by their continuum.

    Parameters
    ----------
    flux, ivar : numpy.ndarray
        On the native grid in any units, ``ivar`` 0 where there is nothing; shape (n, 3136).
    inflate : bool
        Give ``ivar`` the errors that the residuals show instead of those of the file.
    device : str
        Where the fits are made, as torch names it.

    Returns
    -------
    Normalised

    Raises
    ------
    ValueError
        If the flux of one is not positive.
    """
    flux, ivar = np.asarray(flux, "f8"), np.asarray(ivar, "f8")
    parts = range(0, len(flux), fit.ROWS)
    found = [
        _normalise(flux[k : k + fit.ROWS], ivar[k : k + fit.ROWS], inflate, device) for k in parts
    ]
    columns = zip(*(vars(part).values() for part in found), strict=True)
    return Normalised(*(np.concatenate(column) for column in columns))


def _normalise(flux: np.ndarray, ivar: np.ndarray, inflate: bool, device: str) -> Normalised:
    """Normalise as many spectra as are fitted together."""
    world, broad = _worlds(device)
    rough = np.stack([level(f, w) for f, w in zip(flux, ivar, strict=True)])
    starts = fit.search(world, _scaled(flux, ivar, rough).to(device))
    scale = np.median(
        rough, 1, keepdims=True
    )  # a running median has bumps where lines crowd: it only was the start
    seen = _scaled(flux, ivar, scale).to(device)
    z, objective = _descend(world, seen, _screened(world, seen, starts), STEPS)
    spectrum = world.spectrum(z)
    c, _, _ = world.continuum.best(spectrum, seen)
    star, shape = _numpy(spectrum), _numpy(world.continuum(c)).clip(0.01)
    labels = _numpy(prior.from_normal(z))
    absent = (ivar <= 0) & (flux == 0)
    found = np.where(absent, 1.0, (flux / scale / shape).clip(-HUGE, HUGE))
    errors = _Errors(
        np.abs(found - star),
        _numpy(seen.ivar) * shape**2,
        model_error.model_error(labels[:, 4]),
    )
    inflation = errors.inflation() if inflate else np.ones(len(flux))
    weight = errors.ivar(inflation, with_model=inflate)
    here = _worlds("cpu")[0]
    two = doppler.double(here, found, weight, labels, star)
    return Normalised(
        found.astype("f4"),
        weight.astype("f4"),
        scale * shape,
        labels,
        inflation,
        errors.chi2(),
        _broader(broad, seen, z, objective),
        _unexplained(world, seen, spectrum),
        *doppler.fastest(here, found, weight),
        two.gain,
        two.separation,
    )


def _numpy(x: torch.Tensor) -> np.ndarray:
    """Bring a tensor to numpy, float64."""
    return x.double().cpu().numpy()


def _broader(
    broad: fit.World, seen: Observed, z: torch.Tensor, objective: torch.Tensor
) -> np.ndarray:
    """Compute by how much the objective (n,) at z (n, 6) falls at R = ``BROADER``; 0 for stars that rotate slowly."""
    gain = torch.zeros_like(objective)
    fast = torch.nonzero(prior.from_normal(z)[:, 5] > ROTATING)[:, 0]
    if len(fast):
        gain[fast] = objective[fast] - _descend(broad, seen[fast], z[fast], BLURRED)[1]
    return _numpy(gain)


def _screened(world: fit.World, seen: Observed, starts: torch.Tensor) -> torch.Tensor:
    """Choose of starts (n, m, 6) the one from which a step leads farthest down, (n, 6).

    The search compares with templates as they are. With their continuum fitted, the best of them take one step.
    """
    n, m, _ = starts.shape
    many = Observed(*(part.repeat_interleave(m, 0) for part in (seen.flux, seen.ivar)))
    value = world.objective(starts.flatten(0, 1).clamp(-3, 3), many, 1.0).unflatten(0, (n, m))
    best = value.topk(SCREENED, dim=1, largest=False).indices
    starts = starts.gather(1, best[..., None].expand(-1, -1, 6))
    few = Observed(*(part.repeat_interleave(SCREENED, 0) for part in (seen.flux, seen.ivar)))
    z, value = _descend(world, few, starts.flatten(0, 1), 1)
    choice = value.unflatten(0, (n, SCREENED)).argmin(1)
    return z.unflatten(0, (n, SCREENED))[torch.arange(n, device=z.device), choice]


@torch.no_grad()
def _descend(
    world: fit.World, seen: Observed, z: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take Levenberg-Marquardt steps from z (n, 6): where they lead, and the objective there, (n,).

    As :func:`specnb.world.fit.solve`, but a star whose objective no longer falls by ``GAIN`` stops: steps that rounding
    refuses are not tried again with more damping, which took half of the time.
    """
    z = z.clamp(-3, 3)
    value = world.objective(z, seen, 1.0)
    damping, failures = torch.full_like(value, 1e-2), torch.zeros_like(value)
    active = torch.arange(len(z), device=z.device)
    for _ in range(steps):
        some = seen[active]
        curvature, gradient, _ = world.normal_equations(z[active], some, 1.0)
        scale = damping[active, None] * (curvature.diagonal(dim1=1, dim2=2) + 1)
        step = torch.linalg.solve(curvature + torch.diag_embed(scale), gradient[..., None])
        trial = (z[active] + step[..., 0].clamp(-1, 1)).clamp(-fit.Z_MAX, fit.Z_MAX)
        new = world.objective(trial, some, 1.0)
        gain = value[active] - new
        better = gain > 0
        z[active] = torch.where(better[:, None], trial, z[active])
        value[active] = torch.where(better, new, value[active])
        damping[active] *= torch.where(better, 0.2, 30.0)
        failures[active] = torch.where(better, 0.0, failures[active] + 1)
        held = torch.where(better, damping[active] > 0.1, failures[active] < PATIENCE)
        active = active[(gain > GAIN) | held]
        if not len(active):
            break
    return z, value


def _noise(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Compare the scatter of neighbouring pixels with the errors, (n,): what it is where the errors are right is 1."""
    second = flux[:, 1:-1] - 0.5 * (flux[:, :-2] + flux[:, 2:])
    good = (ivar[:, 1:-1] > 0) & (ivar[:, :-2] > 0) & (ivar[:, 2:] > 0)
    variance = 1 / np.where(ivar > 0, ivar, 1)
    expected = np.sqrt(variance[:, 1:-1] + 0.25 * (variance[:, :-2] + variance[:, 2:]))
    ratio = np.where(good, np.abs(second) / expected, np.nan)
    enough = good.sum(1) > 30
    return np.where(enough, np.nanmedian(np.where(enough[:, None], ratio, 1), axis=1) / TYPICAL, 1)


def _unexplained(world: fit.World, seen: Observed, spectrum: torch.Tensor) -> np.ndarray:
    """Compute the share of lines that a star (n, 3136) leaves; noise is taken from neighbouring pixels, (n,)."""
    residual, lineless = (
        _numpy(world.continuum.best(x, seen)[2]) for x in (spectrum, torch.ones_like(spectrum))
    )
    good = (seen.ivar > 0).sum(1).cpu().numpy()
    noise = _noise(_numpy(seen.flux), _numpy(seen.ivar)) ** 2 * good
    # lines must stand out of the noise's own scatter to be counted
    least = np.maximum(4 * np.sqrt(2 * noise), 1.0)
    return (residual - noise).clip(0) / np.maximum(lineless - noise, least)


def _scaled(flux, ivar, by):
    """Spectra divided by curves, as float32; bad pixels hold 1."""
    y = np.where(ivar > 0, flux / by, 1.0)
    return Observed(*(torch.from_numpy(part.astype("f4")) for part in (y, ivar * by**2)))


class _Errors:
    """Residuals of n fits and what they say of the errors: sizes, the files' ivar, and the model's error, (n, 3136)."""

    def __init__(self, residual, weight, model):
        self.good = weight > 0
        self.residual, self.model = residual, model**2
        self.variance = 1 / np.where(self.good, weight, 1.0)

    def chi2(self):
        """Mean square over the files' errors and the model's, (n,)."""
        ratio = self.residual**2 / (self.variance + self.model)
        return np.array([row[good].mean() for row, good in zip(ratio, self.good, strict=True)])

    def inflation(self):
        """s for which half of the residuals are within 0.6745 σ, by bisection, (n,)."""
        rows = zip(self.residual, self.variance, self.model, self.good, strict=True)
        return np.array([_inflation(*(part[good] for part in parts)) for *parts, good in rows])

    def ivar(self, inflation, with_model):
        """Inverse variance with errors that grew by ``inflation`` (n,), and with the model's; 0 at bad pixels."""
        variance = inflation[:, None] ** 2 * self.variance + (self.model if with_model else 0)
        return np.where(self.good, 1 / variance, 0.0)


def _inflation(residual: np.ndarray, variance: np.ndarray, model: np.ndarray) -> float:
    """Find s of one spectrum; the model's error alone may explain all there is, which is no reason to shrink s."""

    scaled = (residual / TYPICAL) ** 2

    def too_small(s: float) -> bool:
        return bool(2 * np.count_nonzero(scaled > s**2 * variance + model) > len(scaled))

    low, high = INFLATION
    if np.median(scaled / (variance + model)) < low**2:
        low = SHRUNK
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return float(np.sqrt(low * high))
