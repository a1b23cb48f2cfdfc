r"""Labels of stars, amortised: draws of p(θ | y) from a flow in milliseconds, made exact by weights if asked for.

The weights are :math:`\pi(z)/q(z)`, π the posterior of :mod:`specnb.labels.oracle` through the emulator, so that what
the flow has not learnt costs effective draws and no bias, as long as its draws cover the posterior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specnb import validate
from specnb.labels import flows
from specnb.labels.oracle import log_posterior
from specnb.observed import Observed
from specnb.sampling.importance import resample
from specnb.world import prior, streams

if TYPE_CHECKING:
    from astropy.table import Table

BATCH = 64
"""Stars that are inferred together."""

OVERSAMPLING = 4
"""Proposals of a refined draw."""


def infer(
    flux: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor,
    n_samples: int = 256,
    seed: int = 0,
    refine: bool = False,
    flow: flows.LabelFlow | None = None,
) -> Table:
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

    Examples
    --------
    >>> import numpy as np
    >>> from specnb import simulate
    >>> stars = simulate(1, seed=1, snr=50)
    >>> labels = infer(stars.observed, stars.ivar)
    >>> labels["teff"].shape, str(labels["teff"].unit)
    ((1, 256), 'K')
    >>> low, high = np.quantile(labels["teff"][0], [0.001, 0.999])
    >>> bool(low < stars.labels["teff"][0] < high)
    True
    """
    n_samples, seed = validate.integer("n_samples", n_samples, 1), validate.integer("seed", seed, 0)
    observed, _ = validate.spectra(flux, ivar)
    return draws(observed, n_samples, seed, refine, flow)


@torch.no_grad()
def draws(
    observed: Observed,
    n_samples: int,
    seed: int = 0,
    refine: bool = False,
    flow: flows.LabelFlow | None = None,
) -> Table:
    """Draw labels as :func:`infer` does, of observations that were checked."""
    from astropy.table import Table  # here, because it takes long to import

    flow = flow or flows.load(str(observed.device))
    wanted = n_samples * (OVERSAMPLING if refine else 1)
    firsts, parts, shares = range(0, len(observed), BATCH), [], []
    filled = observed.filled(flow.denoiser.mean)
    for first in tqdm(firsts, desc="inferring", unit="batch", disable=len(firsts) == 1):
        some = flow.world.weigh(filled[first : first + BATCH])
        stars = range(first, first + len(some))
        noise = torch.stack([_noise(wanted, seed, i, observed.device) for i in stars])
        z, log_density = flow.draw(noise, some)
        if refine:
            z, share = _refined(flow, z, log_density().double(), some, stars, n_samples, seed)
            shares.append(share)
        parts.append(z)
    labels = prior.from_normal(torch.cat(parts)).cpu().numpy()
    table = Table()
    for i, (name, unit) in enumerate(prior.LABELS.items()):
        table[name] = labels[..., i] * unit
    if refine:
        table["share"] = np.concatenate(shares)
    return table


def _noise(k, seed, star, device):
    return torch.randn(k, 6, generator=streams.of_spectrum(seed, star, device), device=device)


def _refined(flow, z, density, observed, stars, n_samples, seed):
    """Choose draws by their weights: z (n, n_samples, 6), and the effective share of each star's proposals (n,)."""
    out, share = [], np.empty(len(z))
    for row, star in enumerate(stars):
        one = slice(row, row + 1)
        target = log_posterior(flow.world, z[one], observed[one])[0]
        weight = (target - density[row]).cpu().numpy()
        rng = np.random.default_rng([seed, star])
        chosen, share[row] = resample(weight, n_samples, rng)
        out.append(z[row, chosen])
    return torch.stack(out), share
