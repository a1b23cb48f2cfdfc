r"""Labels of stars, amortised: draws of p(θ | y) from a flow in milliseconds, made exact by weights if asked for.

The weights are :math:`\pi(z)/q(z)`, π the posterior of :mod:`specnb.labels.oracle` through the emulator, so that what
the flow has not learnt costs effective draws and no bias, as long as its draws cover the posterior.
"""

import numpy as np
import torch
from astropy.table import Table
from tqdm.auto import tqdm

from specnb import validate
from specnb.denoising.noisemaps import noise_map
from specnb.labels import flows
from specnb.labels.oracle import log_posterior
from specnb.sampling.importance import resample
from specnb.world import prior
from specnb.world.fit import default_world

BATCH = 64
"""Stars that are inferred together."""

OVERSAMPLING = 4
"""Proposals of a refined draw."""


def infer(flux, ivar, n_samples=256, seed=0, refine=False, flow=None):
    """Draw labels that an observation allows.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance (0 = bad pixel), shape (3136,) or (n, 3136).
    n_samples : int
    seed : int
        Same seed, same draws; those of a star do not depend on the others, but for rounding.
    refine : bool
        Weigh the draws by the emulator's likelihood; about half a second a star.
    flow : flows.LabelFlow, optional
        By default the one that ships.

    Returns
    -------
    astropy.table.Table
        One row a star; ``teff, logg, m_h, alpha_m, rv, vsini``, each (n, n_samples) with its unit. If refined also
        ``share``, (n,): the effective share of the draws; below 0.01 they do not cover the posterior.

    Raises
    ------
    ValueError
        See :func:`specnb.validate.spectra`; and if ``n_samples`` or ``seed`` is not a sensible integer.
    """
    n_samples, seed = validate.integer("n_samples", n_samples, 1), validate.integer("seed", seed, 0)
    flux, ivar, _ = validate.spectra(flux, ivar)
    flow = flow or flows.load(str(flux.device))
    u, m = torch.where(ivar > 0, flux, flow.eyes.mean), noise_map(ivar)
    k, parts = n_samples * (OVERSAMPLING if refine else 1), []
    for first in tqdm(
        range(0, len(u), BATCH), desc="inferring", unit="batch", disable=len(u) <= BATCH
    ):
        some = slice(first, first + BATCH)
        noise = torch.stack([_noise(k, seed, i, u.device) for i in range(len(u))[some]])
        with torch.no_grad():
            drawn = flow.draw(noise, u[some], m[some], density=refine)
        parts.append([part.double() for part in drawn] if refine else [drawn])
    z, *density = (torch.cat(part) for part in zip(*parts, strict=True))
    share = np.empty(len(z))
    if refine:
        z, share = _refined(z, *density, flux, ivar, n_samples, seed)
    labels = prior.from_normal(z).cpu().numpy()
    table = Table(
        {name: labels[..., i] * unit for i, (name, unit) in enumerate(prior.LABELS.items())}
    )
    if refine:
        table["share"] = share
    return table


def _noise(k, seed, star, device):
    (state,) = np.random.SeedSequence([seed, star]).generate_state(1, np.uint32)
    return torch.randn(
        k, 6, generator=torch.Generator(device).manual_seed(int(state)), device=device
    )


def _refined(z, density, flux, ivar, n_samples, seed):
    world, out, share = default_world(str(flux.device)), [], np.empty(len(z))
    for i in tqdm(range(len(z)), desc="refining", unit="star", disable=len(z) < 8):
        with torch.no_grad():
            target = log_posterior(world, z[i : i + 1], flux[i : i + 1], ivar[i : i + 1])[0]
        weight = (target - density[i]).cpu().numpy()
        chosen, share[i] = resample(weight, n_samples, np.random.default_rng([seed, i]))
        out.append(z[i, chosen])
    return torch.stack(out), share
