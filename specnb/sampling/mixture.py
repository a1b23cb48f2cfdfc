r"""Adaptive importance sampling by a mixture of Student t densities, for many targets at once.

Population Monte Carlo (Cappé et al. 2008, Stat. Comput. 18, 447): draw from the mixture :math:`q`, weigh by
:math:`W \propto \pi/q`, and move the mixture to the weighted draws by one step of expectation maximisation. With
responsibilities :math:`\rho_k`, Mahalanobis distances :math:`d_k` and :math:`\eta_k = (\nu + D)/(\nu + d_k^2)`,

.. math:: \alpha_k = \sum W \rho_k, \quad \mu_k = \frac{\sum W\rho_k\eta_k z}{\sum W\rho_k\eta_k}, \quad
          \Sigma_k = \frac{\sum W\rho_k\eta_k (z-\mu_k)(z-\mu_k)^T}{\sum W\rho_k} .

One component is not fitted but as wide as the posterior and a little more, and keeps a share of the draws: a mixture
that misses a skewed tail would stick there. The final mixture proposes to independence Metropolis-Hastings chains,
which are exact whatever the mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

NU = 5.0
"""Degrees of freedom: tails heavier than those of a posterior in normal coordinates."""

FLOOR = 0.03
"""Least weight of a component: no mode is given up while adapting."""

SHARE, WIDTH = 0.3, 1.2
"""Weight of the wide component, and its width in units of the posterior's: no weight π/q is far above the others."""

BLOCK = 32
"""Proposals among which a chain chooses at once."""

PRIOR_DRAWS = 20.0
"""Weight, in draws, of the covariance within all components in that of each."""


@dataclass
class Mixture:
    """Mixtures of K densities in D dimensions for n targets, float64.

    Attributes
    ----------
    weight : torch.Tensor
        Shares of the components, (n, K).
    mean : torch.Tensor
        Shape (n, K, D).
    root : torch.Tensor
        Lower Cholesky factors of the scale matrices, (n, K, D, D).
    """

    weight: torch.Tensor
    mean: torch.Tensor
    root: torch.Tensor

    def __getitem__(self, rows: slice | torch.Tensor) -> Mixture:
        """Return the mixtures of some of the targets."""
        return Mixture(self.weight[rows], self.mean[rows], self.root[rows])

    def draw(self, m: int, generator: torch.Generator) -> torch.Tensor:
        """Draw ``m`` points for each of the n targets, (n, m, D)."""
        n, _, dim = self.mean.shape
        k = torch.multinomial(self.weight, m, replacement=True, generator=generator)
        row = torch.arange(n, device=k.device)[:, None]
        normal = torch.randn(
            n, m, dim + int(NU), generator=generator, dtype=torch.float64, device=k.device
        )
        chi2 = normal[..., dim:].square().sum(-1) / NU
        step = (self.root[row, k] @ normal[..., :dim, None])[..., 0]
        return self.mean[row, k] + step / chi2.sqrt()[..., None]

    def _parts(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute ln(α_k t_k) and d_k² of points (n, m, D); both (n, m, K)."""
        dim = z.shape[-1]
        away = (z[:, None] - self.mean[:, :, None]).mT
        d2 = torch.linalg.solve_triangular(self.root, away, upper=False).square().sum(2).mT
        scale = self.root.diagonal(dim1=2, dim2=3).log().sum(2)
        tail = 0.5 * (NU + dim) * torch.log1p(d2 / NU)
        return self.weight.log()[:, None] - tail - scale[:, None], d2

    def log_density(self, z: torch.Tensor) -> torch.Tensor:
        """Compute ln q up to a constant, (n, m, D) → (n, m)."""
        return self._parts(z)[0].logsumexp(2)

    def moved(self, z: torch.Tensor, log_weight: torch.Tensor) -> Mixture:
        """Take one step of expectation maximisation on draws z (n, m, D) of weights (n, m)."""
        dim = z.shape[-1]
        parts, d2 = self._parts(z)
        w = torch.softmax(log_weight, 1)[..., None] * torch.softmax(parts, 2)
        alpha = w.sum(1)
        we = w * (NU + dim) / (NU + d2)
        mean = (we.mT @ z) / we.sum(1).clamp(min=1e-300)[..., None]
        mean = torch.where(alpha[..., None] > 1e-6, mean, self.mean)
        away = z[:, None] - mean[:, :, None]
        scatter = (away * we.mT[..., None]).mT @ away
        pooled = scatter.sum(1)
        effective = (alpha**2 / w.square().sum(1).clamp(min=1e-300))[..., None, None]
        scatter = scatter / alpha.clamp(min=1e-300)[..., None, None]
        scatter = (effective * scatter + PRIOR_DRAWS * pooled[:, None]) / (effective + PRIOR_DRAWS)
        jitter = 1e-8 + 1e-3 * pooled.diagonal(dim1=1, dim2=2)
        weight = alpha.clamp(min=FLOOR)
        return Mixture(
            weight / weight.sum(1, keepdim=True),
            mean,
            torch.linalg.cholesky(scatter + torch.diag_embed(jitter)[:, None]),
        )

    def defended(self, z: torch.Tensor, log_weight: torch.Tensor) -> Mixture:
        """Give the last component, the wide one, the moments of the weighted draws z (n, m, D)."""
        w = torch.softmax(log_weight, 1)[..., None]
        mean = (w * z).sum(1)
        away = z - mean[:, None]
        draws = 1 / w.square().sum(1)[..., None]
        scatter = (w * away).mT @ away
        before = self.root[:, -1] @ self.root[:, -1].mT
        both = draws * scatter * WIDTH**2 + PRIOR_DRAWS * before
        covariance = both / (draws + PRIOR_DRAWS)
        rest = self.weight[:, :-1] * ((1 - SHARE) / self.weight[:, :-1].sum(1, keepdim=True))
        return Mixture(
            torch.cat([rest, torch.full_like(rest[:, :1], SHARE)], 1),
            torch.cat([self.mean[:, :-1], mean[:, None]], 1),
            torch.cat([self.root[:, :-1], torch.linalg.cholesky(covariance)[:, None]], 1),
        )


def adapt(
    mixture: Mixture,
    log_target: Callable[[torch.Tensor], torch.Tensor],
    draws: int,
    rounds: int,
    generator: torch.Generator,
    steps: int = 3,
) -> Mixture:
    """Move a mixture towards a target.

    Every round draws from the mixture of the round before; all draws so far are kept and weighed by the mean of the
    densities they were drawn from (adaptive multiple importance sampling; Cornuet et al. 2012, Scand. J. Stat. 39).

    Parameters
    ----------
    mixture : Mixture
    log_target : callable
        (n, m, D) → ln π, (n, m).
    draws, rounds, steps : int
        Draws a round, rounds, steps of expectation maximisation a round.
    generator : torch.Generator

    Returns
    -------
    Mixture
    """
    z: list[torch.Tensor] = []
    target: list[torch.Tensor] = []
    used: list[Mixture] = []
    for _ in range(rounds):
        used.append(mixture)
        z.append(mixture.draw(draws, generator))
        target.append(log_target(z[-1]))
        points = torch.cat(z, 1)
        density = torch.stack([q.log_density(points) for q in used]).logsumexp(0)
        log_weight = torch.cat(target, 1) - density
        for _ in range(steps):
            mixture = mixture.moved(points, log_weight)
        mixture = mixture.defended(points, log_weight)
    return mixture


def independence_chains(
    log_target: torch.Tensor,
    proposal: torch.Tensor,
    z: torch.Tensor,
    chains: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run Metropolis-Hastings chains whose proposals are independent of their state, ``BLOCK`` at a time.

    A block's states are drawn from its proposals and the state before it with the weights π/q, each with the right
    probability and all together by one systematic resampling; the last of them goes into the next block
    (generalised Metropolis-Hastings, Calderhead 2014, PNAS 111, 17408).

    Parameters
    ----------
    log_target, proposal : torch.Tensor
        ln π and ln q at the proposed points, shape (n, chains × length), cut into ``chains`` runs of ``length``:
        where the chain starts, and whole blocks.
    z : torch.Tensor
        Proposed points, (n, chains × length, D).
    chains : int
    generator : torch.Generator

    Returns
    -------
    z : torch.Tensor
        The chains, (n, chains, length, D).
    acceptance : torch.Tensor
        Share of states that differ from the one before, shape (n,).
    """
    n, total, dim = z.shape
    length = total // chains
    ratio = (log_target - proposal).reshape(n, chains, length)
    index = torch.zeros(n, chains, length, dtype=torch.long, device=z.device)
    state = torch.zeros(n, chains, 1, dtype=torch.long, device=z.device)
    step = torch.arange(BLOCK, dtype=torch.float64, device=z.device)
    for first in range(1, length, BLOCK):
        new = torch.arange(first, first + BLOCK, device=z.device).expand(n, chains, BLOCK)
        candidates = torch.cat([state, new], 2)
        share = torch.softmax(ratio.gather(2, candidates), 2).cumsum(2)
        turn = BLOCK * torch.rand(
            n, chains, 1, generator=generator, dtype=torch.float64, device=z.device
        )
        at = (step + turn) % BLOCK / BLOCK
        chosen = torch.searchsorted(share, at).clamp(max=BLOCK)
        index[:, :, first : first + BLOCK] = candidates.gather(2, chosen)
        state = index[:, :, first + BLOCK - 1 : first + BLOCK]
    moved = (index[:, :, 1:] != index[:, :, :-1]).double().mean((1, 2))
    z = z.reshape(n, chains, length, dim)
    return z.gather(2, index[..., None].expand(-1, -1, -1, dim)), moved
