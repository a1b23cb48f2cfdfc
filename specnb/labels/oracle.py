r"""The exact posterior of a simulated star: its mean has the best possible error, which methods are measured by.

The world is known (emulator, prior, noise), so :math:`p(\theta, c \mid y)` can be sampled. In the normal coordinates z
of :mod:`specnb.world.prior` and with the continuum integrated out in closed form (:mod:`specnb.world.continuum`),

.. math:: \ln \pi(z) = \ln L(y \mid F(z)) - \tfrac{1}{2} z^T z + \mathrm{const}, \qquad z \in \mathbb{R}^6 .

Several least-squares optima start a mixture of t densities that adapts to the posterior; Metropolis-Hastings chains
whose proposals come from it are exact in the limit, and their diagnostics come with the result. Stars whose chains are
not good enough adapt again with more draws, to longer chains of which every second or fourth state is kept. Clean
spectra are :math:`(1 + cB) F(z)` with c drawn given z.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import torch
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specnb import extras, validate
from specnb.observed import Observed
from specnb.sampling.mixture import BLOCK, Mixture, adapt, independence_chains
from specnb.world import fit, prior, streams

if TYPE_CHECKING:
    from astropy.table import Table

CHAINS, LENGTH, BURN_IN = 4, 640, 1 + BLOCK
"""Chains of a star, states of each that are kept, states before them that are not."""

ADAPT, ROUNDS, ATTEMPTS = 320, 3, 3
"""Draws a round of adaptation, its rounds, and how often a star is tried."""

RHAT_MAX, ESS_MIN = 1.01, 400.0
"""Chains are trusted below this R-hat and above this effective sample size (ESS)."""

BATCH = 64
"""Stars that are sampled together."""


class UnreliablePosterior(UserWarning):
    """Some stars' chains did not reach R-hat < 1.01 and a bulk ESS of 400."""


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
        What was assumed: emulator, resolving power, continuum.

    Examples
    --------
    See :func:`oracle`.
    """

    labels: Table
    flags: np.ndarray
    diagnostics: Table
    world: fit.World

    def __len__(self) -> int:
        return len(self.labels)

    def spectra(self, star: int) -> np.ndarray:
        """Compute the clean spectra of one star's draws, (n_samples, 3136), float32."""
        columns = [np.asarray(self.labels[name][star]) for name in self.labels.colnames]
        device = self.world.continuum.basis.device
        labels = torch.tensor(np.stack(columns, 1), dtype=torch.float32, device=device)
        spectra, continua = self.world.emulated(labels[:, :6]), self.world.continuum(labels[:, 6:])
        return (spectra * continua).cpu().numpy()

    @property
    def flux(self) -> np.ndarray:
        """Clean spectra of all draws, (n, n_samples, 3136), float32; 6 MB a star at 512 draws, computed at use."""
        return np.stack([self.spectra(i) for i in range(len(self))])

    def mean(self) -> np.ndarray:
        """Compute the posterior mean spectra, (n, 3136), float32: the least mean square error that is possible."""
        means = [self.spectra(i).mean(0, dtype="f8") for i in range(len(self))]
        return np.stack(means).astype("f4")


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

    Examples
    --------
    >>> from specnb import simulate
    >>> stars = simulate(1, seed=1, snr=20)
    >>> posterior = oracle(stars.observed, stars.ivar, n_samples=64)
    >>> posterior.labels["teff"].shape, posterior.flux.shape
    ((1, 64), (1, 64, 3136))
    >>> posterior.flags  # chains that are not to be trusted
    array([False])
    """
    n_samples = validate.integer("n_samples", n_samples, 1, CHAINS * LENGTH)
    seed = validate.integer("seed", seed, 0)
    observed, _ = validate.spectra(flux, ivar)
    posterior = sample(fit.default_world(str(observed.device)), observed, n_samples, seed)
    if posterior.flags.any():
        warnings.warn(
            f"{posterior.flags.sum()} of {len(observed)} stars (first: {int(posterior.flags.argmax())}) have "
            f"R-hat >= {RHAT_MAX} or ESS <= {ESS_MIN:.0f}; see .flags and .diagnostics, and leave them out",
            UnreliablePosterior,
            stacklevel=2,
        )
    return posterior


@torch.no_grad()
def sample(world: fit.World, observed: Observed, n_samples: int = 512, seed: int = 0) -> Posterior:
    """Sample as :func:`oracle` does, in any world (emulator, resolving power, continuum)."""
    from astropy.table import Table  # here, because it takes long to import

    parts = []
    firsts = range(0, len(observed), BATCH)
    for first in tqdm(firsts, desc="oracle", unit="batch", disable=len(firsts) == 1):
        rng = streams.of_batch(seed, first, observed.device)
        parts.append(_sample(world, observed[first : first + BATCH], n_samples, rng))
    labels, rhat, ess, acceptance, modes = (np.concatenate(c) for c in zip(*parts, strict=True))
    table = Table()
    continuum = [f"c{k}" for k in range(labels.shape[2] - len(prior.LABELS))]
    for i, name in enumerate([*prior.LABELS, *continuum]):
        table[name] = labels[:, :, i] * prior.LABELS.get(name, u.dimensionless_unscaled)
    flags = ~((rhat < RHAT_MAX) & (ess > ESS_MIN))
    diagnostics = Table({"rhat": rhat, "ess": ess, "acceptance": acceptance, "modes": modes})
    return Posterior(table, flags, diagnostics, world)


def log_posterior(world: fit.World, z: torch.Tensor, observed: Observed) -> torch.Tensor:
    """Compute ln π up to a constant at points z (n, m, 6) of n spectra; (n, m) float64."""

    rows = []
    for points_of_star, one in zip(z, observed.split(1), strict=True):
        parts = []  # small ones: what fits in a processor's cache is several times as fast
        for points in points_of_star.split(fit.ROWS):
            parts.append(world.log_likelihood(points, one))
        rows.append(torch.cat(parts))
    return torch.stack(rows) - 0.5 * z.square().sum(2)


def start(world: fit.World, observed: Observed) -> tuple[Mixture, torch.Tensor]:
    """Make the first mixture.

    Parameters
    ----------
    world : specnb.world.fit.World
    observed : Observed
        n spectra.

    Returns
    -------
    mixture : Mixture
        A component at each distinct optimum, and wide ones around the best.
    modes : torch.Tensor
        Number of distinct optima, (n,).
    """
    best, every = fit.best(world, observed)
    covariance = torch.linalg.inv(best.curvature)
    root = torch.linalg.cholesky(covariance)
    mean, roots = [best.z], [root]
    modes = torch.ones(len(observed), dtype=torch.long)
    for k, optimum in enumerate(every):
        known = torch.stack(mean, 1)
        away = (optimum.z[:, None] - known)[..., None]
        away = torch.linalg.solve_triangular(root[:, None], away, upper=False)[..., 0]
        nearest = away.norm(dim=2).min(1).values
        other = (nearest > 4) & (optimum.objective - best.objective < 20)
        modes += other.cpu()
        own = torch.linalg.cholesky(torch.linalg.inv(optimum.curvature))
        mean.append(torch.where(other[:, None], optimum.z, best.z))
        roots.append(torch.where(other[:, None, None], own, (1.5 + 0.5 * k) * root))
    mean.append(best.z)
    roots.append(2 * root)
    others = len(mean) - 1
    shares = [0.4, *[0.6 / others] * others]
    weight = torch.tensor(shares, dtype=torch.float64, device=observed.device)
    weight = weight.expand(len(observed), -1).clone()
    return Mixture(weight, torch.stack(mean, 1), torch.stack(roots, 1)), modes


def _sample(
    world: fit.World, observed: Observed, n_samples: int, rng: torch.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sample a batch: labels (n, n_samples, 6 + k); R-hat, ESS, acceptance and modes, (n,) each."""
    extras.need("arviz_stats", extra="train", purpose="The oracle")
    from arviz_stats.base import array_stats  # here, because it takes long to import

    mixture, modes = start(world, observed)
    n = len(observed)
    z = torch.zeros(n, CHAINS, LENGTH, 6, dtype=torch.float64, device=observed.device)
    acceptance = torch.zeros(n, dtype=torch.float64, device=observed.device)
    rhat, ess = np.full(n, np.inf), np.zeros(n)
    left = torch.arange(n, device=observed.device)
    for attempt in range(ATTEMPTS):
        some = observed[left]
        target_of_some = partial(log_posterior, world, observed=some)
        q = adapt(mixture[left], target_of_some, ADAPT * (1 + attempt), ROUNDS, rng)
        thin = 2**attempt
        points = q.draw(CHAINS * (BURN_IN + thin * LENGTH), rng)
        target = log_posterior(world, points, some)
        states, acceptance[left] = independence_chains(
            target, q.log_density(points), points, CHAINS, rng
        )
        z[left] = states[:, :, BURN_IN::thin]
        mixture.weight[left], mixture.mean[left], mixture.root[left] = q.weight, q.mean, q.root
        rows = left.cpu().numpy()
        draws = z[left].permute(1, 2, 0, 3).cpu().numpy()
        rhat[rows] = array_stats.rhat(draws, chain_axis=0, draw_axis=1).max(-1)
        ess[rows] = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk").min(-1)
        again = ~((rhat[rows] < RHAT_MAX) & (ess[rows] > ESS_MIN))
        left = left[torch.tensor(again, device=left.device)]
        if not len(left):
            break
    chosen = ((torch.arange(n_samples) + 0.5) * (CHAINS * LENGTH / n_samples)).long()
    kept = z.flatten(1, 2)[:, chosen]
    labels = []
    for i in range(n):
        spectrum = world.spectrum(kept[i])
        c, root, _ = world.continuum.best(spectrum, observed[i : i + 1])
        drawn = world.continuum.draw(c, root, rng).double()
        labels.append(torch.cat([prior.from_normal(kept[i]), drawn], 1))
    return torch.stack(labels).cpu().numpy(), rhat, ess, acceptance.cpu().numpy(), modes.numpy()
