r"""Draws of p(x | y): many clean spectra from one observation.

``exact``: let the observation's own noise be the diffusion's, :math:`u_\lambda = x + \lambda\sigma\epsilon`. Then y
*is* the state at λ = 1, and the reverse of the diffusion from there draws from p(x | y), with no guidance and no
approximation but the network's. A masked pixel is one with large σ. Each step draws a clean spectrum from the
network's local posterior and goes on to the next level from there, so that few steps suffice. With any other linear
instrument, :math:`y = Ax + n`, it takes turns with a noisy copy of x (:mod:`specnb.sampling.split_gibbs`).

``ancestral``, ``heun`` and ``ddim`` go the same way by the network's mean alone, as samplers of first and second order
and the deterministic one do: the first two need many steps, the third gives one spectrum.

The others start from pure noise, with guided denoisers (:mod:`specnb.sampling.guidance`) or, ``supervised``, with a
network that sees y beside the state (the plan's MVP-1.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specnb import validate
from specnb.denoising import networks
from specnb.denoising.base import Estimate, StarDenoiser, by_draw, by_mean
from specnb.denoising.local_prior import LocalPosterior, SubspaceDenoiser, SupervisedDenoiser
from specnb.grid import N_PIXELS
from specnb.observed import MASKED, Observed
from specnb.sampling import guidance, reverse, split_gibbs
from specnb.sampling.instruments import Operator
from specnb.world import streams

LOWEST, LOWEST_MEANS = 0.1, 1e-3
"""Last levels before 0 from y: where the star is known ten times better than at 1; and for samplers by means, where
not even of a masked pixel there is much left to draw."""

DPS_SCALE = 35.0
"""ζ, the largest of those tried that diverges at no S/N in 100 steps: on 6 validation stars of S/N 5, 10, 50 and 100
(:func:`specnb.experiments.comparison.sweep`); ρ falls with it until then."""

AT_ONCE = 512
"""Draws of a star that are computed together."""

Tensor = torch.Tensor
Rng = torch.Generator


def own_levels(
    model: StarDenoiser, y: Observed, n: int, steps: int, rng: Rng, lowest: float = LOWEST_MEANS
) -> tuple[Tensor, list[float]]:
    """Draw the states u (n, 3136) that an observation is, and falling levels from 1 on."""
    seen = y.noise < MASKED
    u = torch.where(seen, y.flux, model.mean).repeat(n, 1)
    noise = MASKED * torch.randn(u.shape, generator=rng, device=u.device)
    u = torch.where(seen, u, u + noise)  # a state of that level, as any other pixel's
    return u, [*np.geomspace(1, lowest, steps), 0.0] if steps > 1 else [1.0, 0.0]


def exact(
    model: SubspaceDenoiser,
    y: Observed,
    n: int,
    steps: int,
    rng: Rng,
    operator: Operator | None = None,
) -> Tensor:
    """Run the reverse SDE from one observation, in the operator's k pixels; (n, 3136)."""
    draw = by_draw(model, rng)
    if operator is not None:
        return split_gibbs.sample(draw, operator, y, model.mean.expand(n, -1), steps, rng)
    u, ms = own_levels(model, y, n, steps, rng, LOWEST)
    return reverse.reverse(draw, u, ms, 1.0, rng, y.noise)


def ancestral(model: StarDenoiser, y: Observed, n: int, steps: int, rng: Rng) -> Tensor:
    """Go the same way by means, first order; arguments and result as for :func:`exact`, here and below."""
    u, ms = own_levels(model, y, n, steps, rng)
    return reverse.reverse(by_mean(model), u, ms, 1.0, rng, y.noise)


def heun(model: StarDenoiser, y: Observed, n: int, steps: int, rng: Rng) -> Tensor:
    """Go the same way by means, second order."""
    u, ms = own_levels(model, y, n, (steps + 1) // 2, rng)
    return reverse.heun(model, u, ms, 1.0, rng, y.noise)


def ddim(model: StarDenoiser, y: Observed, n: int, steps: int, rng: Rng) -> Tensor:
    """Go the same way without noise: one spectrum, n times."""
    u, ms = own_levels(model, y, n, steps, rng)
    return reverse.reverse(by_mean(model), u, ms, 0.0, rng, y.noise)


def from_noise(estimate: Estimate, model: StarDenoiser, n: int, steps: int, rng: Rng) -> Tensor:
    """Run the reverse SDE from pure noise; (n, 3136)."""
    start, ms = reverse.noise_start(model, n, steps, rng)
    return reverse.reverse(estimate, start, ms, 1.0, rng)


def egpps(model: StarDenoiser, y: Observed, n: int, steps: int, rng: Rng) -> Tensor:
    """Start from pure noise with the exact posterior score of a Gaussian product."""
    guided = guidance.GaussianProduct(model, y)
    return from_noise(by_draw(guided, rng), model, n, steps, rng)


def dps(
    model: StarDenoiser,
    y: Observed,
    n: int,
    steps: int,
    rng: Rng,
    operator: Operator | None = None,
    scale: float = DPS_SCALE,
) -> Tensor:
    """Run diffusion posterior sampling."""
    return from_noise(by_mean(guidance.DPS(model, y, scale, operator)), model, n, steps, rng)


def pigdm(
    model: StarDenoiser,
    y: Observed,
    n: int,
    steps: int,
    rng: Rng,
    operator: Operator | None = None,
) -> Tensor:
    """Sample with pseudo-inverse guidance."""
    return from_noise(by_mean(guidance.PiGDM(model, y, operator)), model, n, steps, rng)


def mmps(
    model: SubspaceDenoiser,
    y: Observed,
    n: int,
    steps: int,
    rng: Rng,
    operator: Operator | None = None,
) -> Tensor:
    """Sample with moment matching."""
    return from_noise(by_draw(guidance.MMPS(model, y, operator), rng), model, n, steps, rng)


def supervised(model: SupervisedDenoiser, y: Observed, n: int, steps: int, rng: Rng) -> Tensor:
    """Start from pure noise with a network that sees the observation."""
    y = y.filled(model.mean)
    _, seen = model.look(y)
    ms = reverse.levels(float(model.scatter().mean()), steps)
    noise = torch.randn(n, len(model.mean), generator=rng, device=y.device)
    start = model.posterior(y).mean + float(ms[0]) * noise
    return reverse.reverse(by_mean(model.given(seen)), start, ms, 1.0, rng)


@dataclass(frozen=True)
class Method:
    """A way to draw from p(x | y).

    Attributes
    ----------
    sample : callable
        (model, one observation, draws, steps, generator[, operator]) → (n, 3136).
    steps : int
        Calls of the network by default.
    sweeps : int
        The same with an operator; 0 if it takes none.
    model : str
        The network that ships for it.
    """

    sample: Callable[..., Tensor]
    steps: int
    sweeps: int = 0
    model: str = "bounded"


METHODS = {
    "exact": Method(exact, 8, sweeps=40),
    "egpps": Method(egpps, 30),
    "dps": Method(dps, 100, sweeps=100),
    "pigdm": Method(pigdm, 100, sweeps=100),
    "mmps": Method(mmps, 30, sweeps=30),
    "supervised": Method(supervised, 200, model="supervised"),
    "ancestral": Method(ancestral, 100),
    "heun": Method(heun, 100),
    "ddim": Method(ddim, 10),
}
"""Name → method; below the public function there are no names."""


def sample_posterior(
    flux: ArrayLike | Tensor,
    ivar: ArrayLike | Tensor,
    n_samples: int = 64,
    seed: int = 0,
    method: str = "exact",
    operator: Operator | None = None,
    steps: int | None = None,
    model: StarDenoiser | None = None,
) -> np.ndarray | Tensor:
    """Draw clean spectra that an observation allows.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance (0 = bad pixel), shape (3136,) or (n, 3136).
    n_samples : int
    seed : int
        Same seed, same draws; those of a star do not depend on the others.
    method : str
        ``"exact"``, the one to use; ``"egpps"``, ``"mmps"``, ``"pigdm"``, ``"dps"``, ``"supervised"``, ``"ancestral"``,
        ``"heun"`` and ``"ddim"`` are there to be compared with it.
    operator : specnb.sampling.instruments.Operator, optional
        The instrument, if it is not the native one: flux and ivar have its pixels then, and ``exact`` is split Gibbs
        sampling. The other methods that take it are ``mmps``, ``pigdm`` and ``dps``.
    steps : int, optional
        Calls of the network; by default that of ``METHODS[method]``.
    model : localprior.SubspaceDenoiser, optional
        By default the one that ships.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Shape (n, n_samples, 3136), or (n_samples, 3136) of a single spectrum; the kind of ``flux``.

    Raises
    ------
    ValueError
        See :func:`specnb.validate.spectra`; and if another argument is out of its range.

    Examples
    --------
    >>> from specnb import simulate
    >>> stars = simulate(1, seed=1, snr=20)
    >>> draws = sample_posterior(stars.observed, stars.ivar, n_samples=8)
    >>> draws.shape
    (1, 8, 3136)
    >>> width = draws.std(1)  # what the observation leaves open, pixel by pixel
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {sorted(METHODS)}")
    way = METHODS[method]
    if operator is not None and not way.sweeps:
        able = [name for name, other in METHODS.items() if other.sweeps]
        raise ValueError(f"method is {method!r}; those that take an operator are {able}")
    default = way.steps if operator is None else way.sweeps
    steps = validate.integer("steps", default if steps is None else steps, 1, 1000)
    n_samples, seed = validate.integer("n_samples", n_samples, 1), validate.integer("seed", seed, 0)
    pixels = N_PIXELS if operator is None else operator.matrix.shape[0]
    observed, restore = validate.spectra(flux, ivar, pixels)
    return restore(draws(observed, n_samples, seed, way, operator, steps, model))


@torch.no_grad()
def draws(
    observed: Observed,
    n_samples: int,
    seed: int = 0,
    way: Method = METHODS["exact"],
    operator: Operator | None = None,
    steps: int | None = None,
    model: StarDenoiser | None = None,
) -> Tensor:
    """Draw as :func:`sample_posterior` does, of observations that were checked; (n, n_samples, 3136)."""
    model, out = model or networks.load(way.model, str(observed.device)), []
    steps, seen = steps or way.steps, {} if operator is None else {"operator": operator}
    sizes = [min(AT_ONCE, n_samples - first) for first in range(0, n_samples, AT_ONCE)]
    stars = tqdm(
        observed.split(1), "sampling", len(observed), unit="star", disable=len(observed) < 8
    )
    for i, star in enumerate(stars):
        rng = streams.of_spectrum(seed, i, observed.device)
        parts = [way.sample(model, star, n, steps, rng, **seen) for n in sizes]
        out.append(torch.cat(parts))
    return torch.stack(out)


def band(
    flux: ArrayLike | Tensor, ivar: ArrayLike | Tensor, model: SubspaceDenoiser | None = None
) -> tuple[np.ndarray | Tensor, np.ndarray | Tensor]:
    """Compute 68 % of what an observation allows in each pixel, in closed form (``exact`` with one step).

    Parameters
    ----------
    flux, ivar, model
        As of :func:`sample_posterior`.

    Returns
    -------
    low, high : numpy.ndarray or torch.Tensor
        Mean less and plus the standard deviation, the kind and shape of ``flux``.

    Raises
    ------
    ValueError
        See :func:`specnb.validate.spectra`.
    """
    observed, restore = validate.spectra(flux, ivar)
    low, high = band_of(observed, model)
    return restore(low), restore(high)


@torch.no_grad()
def band_of(observed: Observed, model: SubspaceDenoiser | None = None) -> tuple[Tensor, Tensor]:
    """Compute the band as :func:`band` does, of observations that were checked; (n, 3136) each."""
    model = model or networks.load("bounded", str(observed.device))
    parts = [
        spread_of(LocalPosterior(model, part), model)
        for part in observed.filled(model.mean).split(model.AT_ONCE)
    ]
    mean, spread = (torch.cat(side) for side in zip(*parts, strict=True))
    return mean - spread, mean + spread


def spread_of(local: LocalPosterior, model: SubspaceDenoiser) -> tuple[Tensor, Tensor]:
    r"""Compute mean and standard deviation of every pixel of spectra that fit into memory together, (n, 3136) each.

    :math:`\sum_{kl} C_{kl} B_{ik} B_{il}` is linear in the products of columns, which the model keeps: one product of
    matrices for all spectra.
    """
    observed, covariance = local.state, local.linear.left(*local.wide)
    i, j = torch.triu_indices(model.rank, model.rank, device=observed.device)
    twice = torch.where(i == j, 1.0, 2.0)  # each pair stands for two of the sum
    of_star = (twice * covariance[:, i, j].float()) @ model.pairs.mT
    free = observed.noise**2 / (model.diagonal + observed.noise**2)  # what a pixel's flux leaves
    scatter = (free**2 * of_star.clamp(min=0) + model.diagonal * free).sqrt()
    return local.mean, scatter
