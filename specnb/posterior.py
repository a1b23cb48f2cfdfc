r"""Draws of p(x | y): many clean spectra from one observation.

``exact``: let the observation's own noise be the diffusion's, :math:`u_\lambda = x + \lambda\sigma\epsilon`. Then y
*is* the state at λ = 1, and the reverse of the diffusion from there draws from p(x | y), with no guidance and no
approximation but the network's. A masked pixel is one with large σ. Each step draws a clean spectrum from the
network's local posterior and goes on to the next level from there, so that few steps suffice.

``gibbs``: the same for any linear instrument, :math:`y = Ax + n`, by turns with a noisy copy of x
(:mod:`specnb.splitgibbs`).

The others start from pure noise, with guided denoisers (:mod:`specnb.guidance`) or, ``supervised``, with a network that
sees y beside the state.
"""

from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from specnb import denoisers, guidance, splitgibbs, validate
from specnb.noisemaps import MASKED, noise_map
from specnb.samplers import levels, reverse, sample_supervised

LOWEST = 0.1
"""Last level of ``exact`` before 0: the star is known ten times better there than at 1."""

STEPS = {"exact": 8, "egpps": 30, "dps": 200, "pigdm": 100, "supervised": 200, "gibbs": 40}
"""Default steps of every method; sweeps of ``gibbs``."""

DPS_SCALE = 0.5
"""ζ, not tuned yet."""


def exact(model, y, ivar, n_samples, steps, rng):
    """The reverse SDE from the observation at its own noise level; y and ivar (1, 3136) → (n_samples, 3136)."""
    m = noise_map(ivar)
    u = torch.where(m < MASKED, y, model.mean).repeat(n_samples, 1)
    noise = MASKED * torch.randn(u.shape, generator=rng, device=u.device)
    u = torch.where(m < MASKED, u, u + noise)  # a state of that level, as any other pixel's
    ms = [*np.geomspace(1, LOWEST, steps), 0.0] if steps > 1 else [1.0, 0.0]
    return reverse(partial(model.draw, rng=rng), u, ms, 1.0, rng, m)


def from_noise(denoise, model, n_samples, steps, rng):
    """The reverse SDE from pure noise by any denoiser; (n_samples, 3136)."""
    scatter = model.scatter()
    ms = levels(float(scatter.mean()), steps)
    noise = torch.randn(n_samples, len(scatter), generator=rng, device=scatter.device)
    return reverse(denoise, model.mean + (scatter**2 + float(ms[0]) ** 2).sqrt() * noise, ms, 1.0, rng)


def egpps(model, y, ivar, n_samples, steps, rng):
    """From pure noise with the exact posterior score of a Gaussian product; as :func:`exact`."""
    guided = guidance.GaussianProduct(model, y, ivar)
    return from_noise(partial(guided.draw, rng=rng), model, n_samples, steps, rng)


def dps(model, y, ivar, n_samples, steps, rng, scale=DPS_SCALE):
    """Diffusion posterior sampling."""
    return from_noise(guidance.DPS(model, y, ivar, scale), model, n_samples, steps, rng)


def pigdm(model, y, ivar, n_samples, steps, rng):
    """Pseudo-inverse guidance."""
    return from_noise(guidance.PiGDM(model, y, ivar), model, n_samples, steps, rng)


def gibbs(model, y, ivar, n_samples, steps, rng, operator):
    """Split Gibbs sampling for an observation y = A x + n; y and ivar (1, k) → (n_samples, 3136)."""
    start = model.mean.expand(n_samples, -1)
    return splitgibbs.sample(partial(model.draw, rng=rng), operator, y, ivar, start, steps, rng)


METHODS = {"exact": exact, "egpps": egpps, "dps": dps, "pigdm": pigdm, "gibbs": gibbs}
NATIVE = [name for name in STEPS if name != "gibbs"]
"""Methods for the native instrument."""


def sample_posterior(flux, ivar, n_samples=64, seed=0, method="exact", operator=None, steps=None, model=None):
    """Draw clean spectra that an observation allows.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance (0 = bad pixel), shape (3136,) or (n, 3136).
    n_samples : int
    seed : int
        Same seed, same draws; those of a star do not depend on the others.
    method : str
        ``"exact"``, ``"egpps"``, ``"dps"``, ``"pigdm"`` or ``"supervised"``.
    operator : specnb.instruments.Operator, optional
        The instrument, if it is not the native one; flux and ivar have its pixels then, and ``exact`` is split Gibbs
        sampling.
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
    if method not in NATIVE:
        raise ValueError(f"method is {method!r}; choose one of {sorted(NATIVE)}")
    if operator is not None and method != "exact":
        raise ValueError(f"method is {method!r}; the only one that takes an operator is 'exact'")
    method = "gibbs" if operator is not None else method
    steps = validate.integer("steps", STEPS[method] if steps is None else steps, 1, 1000)
    n_samples, seed = validate.integer("n_samples", n_samples, 1), validate.integer("seed", seed, 0)
    if method == "supervised":
        return sample_supervised(model or denoisers.load("supervised"), flux, ivar, n_samples, steps, seed=seed)
    settings = {} if operator is None else {"operator": operator}
    flux, ivar, restore = validate.spectra(flux, ivar, *(() if operator is None else operator.matrix.shape[:1]))
    model, out = model or denoisers.load("bounded", str(flux.device)), []
    for i in tqdm(range(len(flux)), desc="sampling", unit="star", disable=len(flux) < 8):
        (state,) = np.random.SeedSequence([seed, i]).generate_state(1, np.uint32)
        rng = torch.Generator(flux.device).manual_seed(int(state))
        with torch.no_grad():
            out.append(METHODS[method](model, flux[i : i + 1], ivar[i : i + 1], n_samples, steps, rng, **settings))
    return restore(torch.stack(out))
