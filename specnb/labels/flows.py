r"""p(θ | y) of the six labels, amortised: a normalising flow about where two Gauss-Newton steps lead.

In the prior's normal coordinates z (:mod:`specnb.world.prior`) the labels have no bounds. A network looks at a spectrum
through the denoiser: the linear estimate of its components with their standard deviations, the noise level, and
what the denoiser makes of them (:mod:`specnb.denoising.local_prior`), numbers that know the noise map. It guesses z.
From there two Gauss-Newton steps of the emulator's likelihood (:mod:`specnb.world.fit`) lead to :math:`\hat z` with
the curvature :math:`C C^T`, and the flow draws

.. math:: z = \hat z + C^{-T}\,\big(d(h) + R(h)\,t\big), \qquad t \sim \text{neural spline flow given } h ,

h being what the network and the steps found, so that the splines (Durkan et al. 2019, arXiv:1906.04032; by Zuko)
shape a density of about unit width at any S/N, and errors of the guess are theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from specnb import storage
from specnb.denoising import networks
from specnb.denoising.local_prior import LocalPosterior, SubspaceDenoiser
from specnb.observed import Observed
from specnb.world import fit

if TYPE_CHECKING:
    from zuko.distributions import NormalizingFlow

N_LABELS, N_FOUND = 6, 25
"""Labels; numbers that the Gauss-Newton steps find, which the network sees."""

STEPS, REACH = 2, 4.0
"""Gauss-Newton steps; how far from 0 they may lead."""


class LabelNet(nn.Module):
    """A residual multilayer perceptron that guesses labels, and one that shapes the flow about what the guess led to.

    Parameters
    ----------
    rank : int
        Components of the denoiser that are looked at.
    width, blocks : int
        Width of the guess's hidden layers; residual blocks of two.
    hidden, transforms, bins : int
        Width of the flow's layers; spline transforms, and bins of each.
    """

    def __init__(
        self,
        rank: int = 100,
        width: int = 512,
        blocks: int = 4,
        hidden: int = 64,
        transforms: int = 3,
        bins: int = 8,
    ):
        import zuko  # here, because it takes long to import

        super().__init__()
        self.first = nn.Linear(4 * rank + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.guess = nn.Linear(width, 2 * N_LABELS)
        self.context = nn.Sequential(
            nn.Linear(width + N_FOUND, 2 * hidden),
            nn.GELU(),
            nn.Linear(2 * hidden, 2 * hidden),
            nn.GELU(),
        )
        self.last = nn.Linear(2 * hidden, N_LABELS + N_LABELS * (N_LABELS + 1) // 2)
        for layer in (self.guess, self.last):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.flow = zuko.flows.NSF(
            N_LABELS,
            2 * hidden,
            bins=bins,
            transforms=transforms,
            hidden_features=(hidden, hidden),
            passes=2,
        )

    def look(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Guess labels: hidden state (n, width), and mean and ln of the standard deviation (n, 6) of the guess."""
        h = self.first(seen)
        for block in self.blocks:
            h = h + block(h)
        mean, log_sd = self.guess(h).chunk(2, 1)
        return h, mean, log_sd

    def forward(
        self, h: torch.Tensor, found: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, NormalizingFlow]:
        """Shape the flow by the hidden state (n, width) and what the steps found (n, 25).

        Returns
        -------
        shift : torch.Tensor
            d, shape (n, 6).
        root : torch.Tensor
            R, lower triangular, shape (n, 6, 6).
        flow : zuko.distributions.NormalizingFlow
            The distribution of t.
        """
        context = self.context(torch.cat([h, found], 1))
        shift, rest = self.last(context).split([N_LABELS, N_LABELS * (N_LABELS + 1) // 2], 1)
        root = rest.new_zeros(len(rest), N_LABELS, N_LABELS)
        i, j = torch.tril_indices(N_LABELS, N_LABELS, device=rest.device)
        root[:, i, j] = rest
        root = root.tril(-1) + torch.diag_embed(root.diagonal(dim1=1, dim2=2).exp())
        return shift, root, self.flow(context)


class LabelFlow(nn.Module):
    """q(z | y), with the denoiser ``bounded`` that ships before it.

    Parameters
    ----------
    net : LabelNet
    world : specnb.world.fit.World, optional
        Whose likelihood the Gauss-Newton steps follow; by default that of the simulator.
    """

    def __init__(self, net: LabelNet, world: fit.World | None = None):
        super().__init__()
        self.net, self._world = net, world

    @property
    def world(self) -> fit.World:
        """Whose likelihood the Gauss-Newton steps follow."""
        return self._world or fit.default_world(str(self.net.first.weight.device))

    @property
    def denoiser(self) -> SubspaceDenoiser:
        """The denoiser whose components are the features."""
        return networks.load("bounded", str(self.net.first.weight.device))

    @torch.no_grad()
    def features(self, observed: Observed, local: LocalPosterior | None = None) -> torch.Tensor:
        """Compute what the net sees of n spectra, (n, 4 rank + 1); ``local`` is their posterior if it is known."""
        local = local or LocalPosterior(self.denoiser, observed)
        x, covariance = local.of_components()
        sd = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt().to(x.dtype)
        z, before, level = local.seen
        return torch.cat([z, before.log(), x, sd.log(), level[:, None]], 1)

    @torch.no_grad()
    def approach(
        self, z: torch.Tensor, observed: Observed
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Take Gauss-Newton steps from z (n, 6).

        Returns
        -------
        torch.Tensor
            Where they lead, (n, 6) float64; C of the curvature there, lower triangular (n, 6, 6) float64; and for the
            network what was found on the way, (n, 25) float32: where, scale of C, last step, the whole way, χ².
        """
        seen = Observed.state(observed.flux, observed.noise)
        at = begin = z.double().clamp(-REACH, REACH)
        for _ in range(STEPS):
            curvature, gradient, chi2 = self.world.normal_equations(at, seen, 1.0)
            root = torch.linalg.cholesky(curvature)
            step = torch.cholesky_solve(gradient[..., None], root)[..., 0].clamp(-1, 1)
            at = (at + step).clamp(-REACH, REACH)
        ways = [(root.mT @ v[..., None])[..., 0].asinh() for v in (step, at - begin)]
        n = seen.good.sum(1, keepdim=True)
        misfit = ((chi2[:, None] - n) * (2 * n).clamp(min=1).rsqrt()).asinh()
        found = torch.cat([at, root.diagonal(dim1=1, dim2=2).log(), *ways, misfit], 1)
        return at, root, found.float()

    def _given(self, observed: Observed, local: LocalPosterior | None = None) -> tuple[Any, ...]:
        """Return the guess, where the steps lead, C, and d, R and the flow there."""
        h, mean, log_sd = self.net.look(self.features(observed, local))
        at, root, found = self.approach(mean.detach(), observed)
        return (mean, log_sd), at, root, self.net(h, found)

    def surprise(self, z: torch.Tensor, observed: Observed) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute -ln q of normal coordinates (n, 6), (n,); and that of the guess, a density that training needs."""
        (mean, log_sd), at, root, (shift, inner, flow) = self._given(observed)
        away = (root.mT @ (z.double() - at)[..., None])[..., 0].to(shift.dtype)
        t = torch.linalg.solve_triangular(inner, (away - shift)[..., None], upper=False)[..., 0]
        guess = 0.5 * ((z - mean) * (-log_sd).exp()).square() + log_sd
        return -flow.log_prob(t) - _stretch(root, inner), guess.sum(1)

    def log_prob(self, z: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Compute ln q of normal coordinates (n, 6), (n,)."""
        return -self.surprise(z, observed)[0]

    def draw(
        self, noise: torch.Tensor, observed: Observed, local: LocalPosterior | None = None
    ) -> tuple[torch.Tensor, Callable[[], torch.Tensor]]:
        """Draw z.

        Parameters
        ----------
        noise : torch.Tensor
            Standard normal numbers, (n, k, 6).
        observed : Observed
            n spectra.
        local : LocalPosterior, optional
            What :attr:`denoiser` says of them, if it is known.

        Returns
        -------
        z : torch.Tensor
            Shape (n, k, 6), float64.
        log_density : callable
            Computes ln q of them, (n, k).
        """
        _, at, root, (shift, inner, flow) = self._given(observed, local)
        noise = noise.transpose(0, 1)
        t = flow.transform.inv(noise)
        away = (shift + (inner @ t[..., None])[..., 0]).double()
        z = at + torch.linalg.solve_triangular(root.mT, away[..., None], upper=True)[..., 0]

        def log_density() -> torch.Tensor:
            _, stretch = flow.transform.inv.call_and_ladj(noise)
            return (flow.base.log_prob(noise) - stretch + _stretch(root, inner)).T

        return z.transpose(0, 1), log_density


def _stretch(root: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """Compute ln of the density that C and R⁻¹ give to a unit of z, (n,)."""
    outer, own = (part.diagonal(dim1=1, dim2=2).log().sum(1) for part in (root, inner))
    return outer.to(inner.dtype) - own


def fresh(seed: int = 0, world: fit.World | None = None, **config: int) -> LabelFlow:
    """Make a new flow; ``config`` goes to :class:`LabelNet`. Its weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LabelFlow(LabelNet(**config), world)


def read(path: Path | str, world: fit.World | None = None) -> LabelFlow:
    """Read a flow that :func:`specnb.denoising.networks.save` wrote, float32, in evaluation mode."""
    halves, notes = storage.read_tensors(path)
    flow = fresh(world=world, **notes["config"])
    flow.load_state_dict({k: v.float() for k, v in halves.items()}, strict=False)
    return flow.eval().requires_grad_(False)


@lru_cache(maxsize=2)
def load(device: str = "cpu") -> LabelFlow:
    """Load the flow that ships; see ``specnb/assets/labels.md``."""
    path = files("specnb") / "assets" / "labels.safetensors"
    return read(str(path)).to(device)
