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

from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from specnb import validate
from specnb.denoising import networks
from specnb.denoising.noisemaps import MASKED, noise_map
from specnb.grid import N_PIXELS
from specnb.sampling import guidance, reverse, split_gibbs

LOWEST, LOWEST_MEANS = 0.1, 1e-3
"""Last levels before 0 from y: where the star is known ten times better than at 1; and for samplers by means, where
not even of a masked pixel there is much left to draw."""

DPS_SCALE = 35.0
"""ζ, the largest of those tried that diverges at no S/N in 100 steps: on 6 validation stars of S/N 5, 10, 50 and 100
(:func:`specnb.experiments.comparison.sweep`); ρ falls with it until then."""

AT_ONCE = 512
"""Draws of a star that are computed together."""


def own_levels(model, y, ivar, n, steps, rng, lowest=LOWEST_MEANS):
    """States u (n, 3136) that y is, falling levels, and the noise map at level 1 (1, 3136)."""
    m = noise_map(ivar)
    u = torch.where(m < MASKED, y, model.mean).repeat(n, 1)
    noise = MASKED * torch.randn(u.shape, generator=rng, device=u.device)
    u = torch.where(m < MASKED, u, u + noise)  # a state of that level, as any other pixel's
    return u, [*np.geomspace(1, lowest, steps), 0.0] if steps > 1 else [1.0, 0.0], m


def exact(model, y, ivar, n, steps, rng, operator=None):
    """The reverse SDE from the observation; y and ivar (1, k) → (n, 3136)."""
    draw = partial(model.draw, rng=rng)
    if operator is not None:
        return split_gibbs.sample(draw, operator, y, ivar, model.mean.expand(n, -1), steps, rng)
    u, ms, m = own_levels(model, y, ivar, n, steps, rng, LOWEST)
    return reverse.reverse(draw, u, ms, 1.0, rng, m)


def ancestral(model, y, ivar, n, steps, rng):
    """The same by means, first order; arguments and result as for :func:`exact`, here and below."""
    u, ms, m = own_levels(model, y, ivar, n, steps, rng)
    return reverse.reverse(model, u, ms, 1.0, rng, m)


def heun(model, y, ivar, n, steps, rng):
    """The same by means, second order."""
    u, ms, m = own_levels(model, y, ivar, n, (steps + 1) // 2, rng)
    return reverse.heun(model, u, ms, 1.0, rng, m)


def ddim(model, y, ivar, n, steps, rng):
    """The same without noise: one spectrum, n times."""
    u, ms, m = own_levels(model, y, ivar, n, steps, rng)
    return reverse.reverse(model, u, ms, 0.0, rng, m)


def from_noise(denoise, model, n, steps, rng):
    """The reverse SDE from pure noise by any denoiser; (n, 3136)."""
    scatter = model.scatter()
    ms = reverse.levels(float(scatter.mean()), steps)
    noise = torch.randn(n, len(scatter), generator=rng, device=scatter.device)
    return reverse.reverse(
        denoise, model.mean + (scatter**2 + float(ms[0]) ** 2).sqrt() * noise, ms, 1.0, rng
    )


def egpps(model, y, ivar, n, steps, rng):
    """From pure noise with the exact posterior score of a Gaussian product."""
    return from_noise(
        partial(guidance.GaussianProduct(model, y, ivar).draw, rng=rng), model, n, steps, rng
    )


def dps(model, y, ivar, n, steps, rng, operator=None, scale=DPS_SCALE):
    """Diffusion posterior sampling."""
    return from_noise(guidance.DPS(model, y, ivar, scale, operator), model, n, steps, rng)


def pigdm(model, y, ivar, n, steps, rng, operator=None):
    """Pseudo-inverse guidance."""
    return from_noise(guidance.PiGDM(model, y, ivar, operator), model, n, steps, rng)


def mmps(model, y, ivar, n, steps, rng, operator=None):
    """Moment matching."""
    return from_noise(
        partial(guidance.MMPS(model, y, ivar, operator).draw, rng=rng), model, n, steps, rng
    )


def supervised(model, y, ivar, n, steps, rng):
    """From pure noise with a network that sees the observation."""
    y, m = torch.where(ivar > 0, y, model.mean), noise_map(ivar)
    _, seen = model.look(y, m)
    ms = reverse.levels(float(model.scatter().mean()), steps)
    start = model(y, m) + float(ms[0]) * torch.randn(n, y.shape[1], generator=rng, device=y.device)
    return reverse.reverse(
        partial(model, beside=tuple(part.expand(n, *part.shape[1:]) for part in seen)),
        start,
        ms,
        1.0,
        rng,
    )


METHODS = {
    f.__name__: f for f in (exact, egpps, dps, pigdm, mmps, supervised, ancestral, heun, ddim)
}
STEPS = {
    "exact": 8,
    "egpps": 30,
    "dps": 100,
    "pigdm": 100,
    "mmps": 30,
    "supervised": 200,
    "ancestral": 100,
    "heun": 100,
    "ddim": 10,
}
"""Calls of the network by default."""

SWEEPS = 40
"""The same for ``exact`` with an operator."""

WITH_OPERATOR = ("exact", "dps", "pigdm", "mmps")


def sample_posterior(
    flux, ivar, n_samples=64, seed=0, method="exact", operator=None, steps=None, model=None
):
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
        Calls of the network; by default ``STEPS[method]``.
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
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {sorted(METHODS)}")
    if operator is not None and method not in WITH_OPERATOR:
        raise ValueError(
            f"method is {method!r}; those that take an operator are {list(WITH_OPERATOR)}"
        )
    default = SWEEPS if operator is not None and method == "exact" else STEPS[method]
    steps = validate.integer("steps", default if steps is None else steps, 1, 1000)
    n_samples, seed = validate.integer("n_samples", n_samples, 1), validate.integer("seed", seed, 0)
    seen = {} if operator is None else {"operator": operator}
    flux, ivar, restore = validate.spectra(
        flux, ivar, N_PIXELS if operator is None else operator.matrix.shape[0]
    )
    shipped = "supervised" if method == "supervised" else "bounded"
    model, out = model or networks.load(shipped, str(flux.device)), []
    for i in tqdm(range(len(flux)), desc="sampling", unit="star", disable=len(flux) < 8):
        (state,) = np.random.SeedSequence([seed, i]).generate_state(1, np.uint32)
        rng = torch.Generator(flux.device).manual_seed(int(state))
        parts = [min(AT_ONCE, n_samples - first) for first in range(0, n_samples, AT_ONCE)]
        with torch.no_grad():
            draws = [
                METHODS[method](model, flux[i : i + 1], ivar[i : i + 1], n, steps, rng, **seen)
                for n in parts
            ]
        out.append(torch.cat(draws))
    return restore(torch.stack(out))


@torch.no_grad()
def band(flux, ivar, model=None):
    """68 % of what an observation allows in each pixel, in closed form: that of one pass (``exact`` with one step).

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
    flux, ivar, restore = validate.spectra(flux, ivar)
    model = model or networks.load("bounded", str(flux.device))
    low, high = [], []
    for y, w in zip(flux[:, None], ivar[:, None], strict=True):
        mean, covariance, basis, own = model.local(torch.where(w > 0, y, model.mean), noise_map(w))
        scatter = (((basis @ covariance[0].float()) * basis).sum(1) + own[0]).sqrt()
        low.append(mean[0] - scatter)
        high.append(mean[0] + scatter)
    return restore(torch.stack(low)), restore(torch.stack(high))
