r"""The exact posterior of a simulated star: the limit that every method is measured against.

The world is known (emulator, prior, noise), so :math:`p(\theta, c \mid y)` can be sampled. In the normal coordinates z
of :mod:`specnb.world.prior` and with the continuum integrated out in closed form (:mod:`specnb.world.continuum`),

.. math:: \ln \pi(z) = \ln L(y \mid F(z)) - \tfrac{1}{2} z^T z + \mathrm{const}, \qquad z \in \mathbb{R}^6 .

Several least-squares optima start a mixture of t densities that adapts to the posterior; Metropolis-Hastings chains
whose proposals come from it are exact in the limit, and their diagnostics come with the result. Stars whose chains are
not good enough adapt again with more draws, to longer chains of which every second or fourth state is kept. Clean
spectra are :math:`(1 + cB) F(z)` with c drawn given z.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import astropy.units as u
import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specnb import validate
from specnb.sampling.mixture import BLOCK, Mixture, adapt, independence_chains
from specnb.world import fit, prior

CHAINS, LENGTH, BURN_IN = 4, 640, 1 + BLOCK
ADAPT, ROUNDS, ATTEMPTS = 320, 3, 3
RHAT_MAX, ESS_MIN = 1.01, 400.0
BATCH = 64
"""Stars that are sampled together."""


class UnreliablePosterior(UserWarning):
    """Some stars' chains did not reach R-hat < 1.01 and a bulk ESS of 400."""


warnings.simplefilter("always", UnreliablePosterior, append=True)  # not only the first time


@dataclass
class Posterior:
    """Draws from the exact posterior of n stars.

    Attributes
    ----------
    labels : astropy.table.Table
        One (n, n_samples) column a parameter, with units: teff, logg, m_h, alpha_m, rv, vsini, c0…c4.
    flags : numpy.ndarray
        True where the chains are *not* to be trusted, shape (n,).
    diagnostics : astropy.table.Table
        A row a star: rhat (largest) and ess (smallest, bulk) of the six normal coordinates over all 2560 states,
        acceptance (share of states that differ from the one before), and modes (distinct optima that the search
        found). All chains share one proposal, so that these numbers cannot tell of a mode that no start led to.
    world : specnb.world.fit.World
    """

    labels: Table
    flags: np.ndarray
    diagnostics: Table
    world: fit.World

    def __len__(self):
        return len(self.labels)

    def spectra(self, star):
        """Clean spectra of one star's draws, (n_samples, 3136), float32."""
        row = np.stack([np.asarray(self.labels[k][star]) for k in self.labels.colnames], 1)
        row = torch.tensor(row, dtype=torch.float32, device=self.world.continuum.basis.device)
        return (self.world.emulated(row[:, :6]) * self.world.continuum(row[:, 6:])).cpu().numpy()

    @property
    def flux(self):
        """Clean spectra of all draws, (n, n_samples, 3136), float32; 6 MB a star at 512 draws, computed at each use."""
        return np.stack([self.spectra(i) for i in range(len(self))])

    def mean(self):
        """Posterior mean spectra, (n, 3136), float32: the least mean square error that is possible."""
        return np.stack([self.spectra(i).mean(0, dtype="f8") for i in range(len(self))]).astype(
            "f4"
        )


def oracle(
    flux: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor,
    n_samples: int = 512,
    seed: int = 0,
) -> Posterior:
    """Sample the exact posterior of clean spectra and labels, in the world of :func:`specnb.simulate`.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance (0 = bad pixel), shape (3136,) or (n, 3136).
    n_samples : int
        Draws per star that are kept, at most 2560.
    seed : int
        Same seed and same batch, same draws.

    Returns
    -------
    Posterior

    Warns
    -----
    UnreliablePosterior
        If ``flags`` is True for any star.

    Raises
    ------
    ValueError
        See :func:`specnb.validate.spectra`; and if ``n_samples`` or ``seed`` is not a sensible integer.

    Notes
    -----
    Population Monte Carlo (Cappé et al. 2008) and generalised Metropolis-Hastings (Calderhead 2014); R-hat and ESS
    after Vehtari et al. 2021 (arXiv:1903.08008), computed by ArviZ.
    """
    n_samples = validate.integer("n_samples", n_samples, 1, CHAINS * LENGTH)
    seed = validate.integer("seed", seed, 0)
    flux, ivar, _ = validate.spectra(flux, ivar)
    posterior = sample(fit.default_world(str(flux.device)), flux, ivar, n_samples, seed)
    if posterior.flags.any():
        warnings.warn(
            f"{posterior.flags.sum()} of {len(flux)} stars (first: {int(posterior.flags.argmax())}) have "
            f"R-hat >= {RHAT_MAX} or ESS <= {ESS_MIN:.0f}; see .flags and .diagnostics, and leave them out",
            UnreliablePosterior,
            stacklevel=2,
        )
    return posterior


@torch.no_grad()
def sample(world, flux, ivar, n_samples=512, seed=0):
    """As :func:`oracle`, in any world (emulator, resolving power, continuum) and on checked tensors."""
    parts = []
    for first in tqdm(
        range(0, len(flux), BATCH), desc="oracle", unit="batch", disable=len(flux) <= BATCH
    ):
        (state,) = np.random.SeedSequence([seed, first]).generate_state(1, np.uint64)
        rng = torch.Generator(flux.device).manual_seed(int(state >> 1))
        parts.append(
            _sample(world, flux[first : first + BATCH], ivar[first : first + BATCH], n_samples, rng)
        )
    labels, rhat, ess, acceptance, modes = (np.concatenate(c) for c in zip(*parts, strict=True))
    table = Table()
    for i, name in enumerate([*prior.LABELS, *(f"c{k}" for k in range(labels.shape[2] - 6))]):
        table[name] = labels[:, :, i] * prior.LABELS.get(name, u.dimensionless_unscaled)
    flags = ~((rhat < RHAT_MAX) & (ess > ESS_MIN))
    diagnostics = Table({"rhat": rhat, "ess": ess, "acceptance": acceptance, "modes": modes})
    return Posterior(table, flags, diagnostics, world)


def log_posterior(world, z, flux, ivar):
    """ln π up to a constant at points z (n, m, 6) of n spectra (n, 3136); (n, m) float64."""

    def likelihood(points, f, w):
        return world.continuum.log_likelihood(world.spectrum(points), f[None], w[None])

    rows = [
        torch.cat([likelihood(points, f, w) for points in star.split(fit.ROWS)])
        for star, f, w in zip(z, flux, ivar, strict=True)
    ]  # in small parts: what fits in a processor's cache is several times as fast
    return torch.stack(rows) - 0.5 * z.square().sum(2)


def start(world, flux, ivar):
    """The first mixture: a component at each distinct optimum, and wide ones around the best; modes found (n,)."""
    best, every = fit.best(world, flux, ivar)
    covariance = torch.linalg.inv(best.curvature)
    root = torch.linalg.cholesky(covariance)
    mean, roots = [best.z], [root]
    modes = torch.ones(len(flux), dtype=torch.long)
    for k, optimum in enumerate(every):
        known = torch.stack(mean, 1)
        away = torch.linalg.solve_triangular(
            root[:, None], (optimum.z[:, None] - known)[..., None], upper=False
        )
        other = (away[..., 0].norm(dim=2).min(1).values > 4) & (
            optimum.objective - best.objective < 20
        )
        modes += other.cpu()
        own = torch.linalg.cholesky(torch.linalg.inv(optimum.curvature))
        mean.append(torch.where(other[:, None], optimum.z, best.z))
        roots.append(torch.where(other[:, None, None], own, (1.5 + 0.5 * k) * root))
    mean.append(best.z)
    roots.append(2 * root)
    others = len(mean) - 1
    share = torch.tensor([0.4, *[0.6 / others] * others], dtype=torch.float64, device=flux.device)
    return Mixture(
        share.expand(len(flux), -1).clone(), torch.stack(mean, 1), torch.stack(roots, 1)
    ), modes


def _sample(world, flux, ivar, n_samples, rng):
    from arviz_stats.base import (
        array_stats,  # here, because it is a third of the time that `import specnb` would take
    )

    mixture, modes = start(world, flux, ivar)
    n = len(flux)
    z = torch.zeros(n, CHAINS, LENGTH, 6, dtype=torch.float64, device=flux.device)
    acceptance = torch.zeros(n, dtype=torch.float64, device=flux.device)
    rhat, ess = np.full(n, np.inf), np.zeros(n)
    left = torch.arange(n, device=flux.device)
    for attempt in range(ATTEMPTS):
        f, w, q = flux[left], ivar[left], mixture[left]
        q = adapt(
            q, partial(log_posterior, world, flux=f, ivar=w), ADAPT * (1 + attempt), ROUNDS, rng
        )
        thin = 2**attempt
        points = q.draw(CHAINS * (BURN_IN + thin * LENGTH), rng)
        target = log_posterior(world, points, f, w)
        states, acceptance[left] = independence_chains(
            target, q.log_density(points), points, CHAINS, rng
        )
        z[left] = states[:, :, BURN_IN::thin]
        for kept, new in zip(
            (mixture.weight, mixture.mean, mixture.root), (q.weight, q.mean, q.root), strict=True
        ):
            kept[left] = new
        rows = left.cpu().numpy()
        draws = z[left].permute(1, 2, 0, 3).cpu().numpy()
        rhat[rows] = array_stats.rhat(draws, chain_axis=0, draw_axis=1).max(-1)
        ess[rows] = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk").min(-1)
        left = left[
            torch.tensor(~((rhat[rows] < RHAT_MAX) & (ess[rows] > ESS_MIN)), device=left.device)
        ]
        if not len(left):
            break
    chosen = ((torch.arange(n_samples) + 0.5) * (CHAINS * LENGTH / n_samples)).long()
    kept = z.flatten(1, 2)[:, chosen]
    labels = []
    for i in range(n):
        spectrum = world.spectrum(kept[i])
        c, root, _ = world.continuum.best(
            spectrum, flux[i].expand_as(spectrum), ivar[i].expand_as(spectrum)
        )
        labels.append(
            torch.cat([prior.from_normal(kept[i]), world.continuum.draw(c, root, rng).double()], 1)
        )
    return torch.stack(labels).cpu().numpy(), rhat, ess, acceptance.cpu().numpy(), modes.numpy()
