r"""Guided denoisers: E[x | u, y] of a diffused state u = x + mε and an observation y = A x + n, from D = E[x | u].

A guided denoiser *is* a denoiser: samplers take either. With the observation's inverse variances W:

- :class:`GaussianProduct`, exact, for A = 1: u and y are two looks at x with independent Gaussian noise, so one look
  with variance :math:`C = (W + 1/m^2)^{-1}` at :math:`\mu = C\,(W y + u/m^2)` knows as much, and
  :math:`E[x | u, y] = D(\mu, \sqrt{C})`.
- :class:`DPS` (Chung et al. 2022, arXiv:2209.14687) puts :math:`p(y | \hat x)` in the place of p(y | u):
  :math:`\hat x - \zeta\,(m^2 + s^2)\,\nabla_u\, \bar\sigma \lVert y - A\hat x \rVert_W`, with the median standard
  deviation of the noise, so that for even noise it is the norm of the paper's code: of one spectrum, not squared. ζ has
  to be tuned.
- :class:`PiGDM` (Song et al. 2023, ICLR): p(x | u) is a Gaussian of variance :math:`r^2 = m^2 s^2/(m^2 + s^2)` in every
  pixel, and so is the weight of the guidance:
  :math:`\hat x + r^2\,\nabla_u \hat x\,A^\top (A r^2 A^\top + W^{-1})^{-1} (y - A\hat x)`.
  With m² in the place of the first r², as Bayes' rule has it, it diverges: pixels of stars vary together.
- :class:`MMPS` (Rozet et al. 2024, arXiv:2405.13712): p(x | u) is a Gaussian of full covariance V,
  :math:`\hat x + V A^\top (A V A^\top + W^{-1})^{-1}(y - A\hat x)`. There :math:`V = m^2\,\partial\hat x/\partial u`
  (Tweedie), which for a network is no covariance, and with which it diverges. Here the network says V itself, its local
  posterior; for a Gaussian prior that is the same.
"""

from collections.abc import Callable

import torch

from specnb.denoising import conjugate_gradients
from specnb.denoising.base import Denoiser, PointEstimate, SpectrumPosterior, StarDenoiser
from specnb.denoising.local_prior import LocalPosterior, SubspaceDenoiser
from specnb.observed import Observed
from specnb.sampling.instruments import Operator, identity

REACH = 10.0
"""Standard deviations of the prior beyond which no estimate goes."""

ITERATIONS, TOLERANCE = 50, 1e-6
"""Of conjugate gradients; the residual relative to the right-hand side."""


class Guided(Denoiser):
    """An observation beside a denoiser.

    Parameters
    ----------
    denoiser : StarDenoiser
    observed : Observed
        One observation, in the operator's pixels.
    operator : instruments.Operator, optional
        A; by default the native instrument.
    """

    def __init__(
        self, denoiser: StarDenoiser, observed: Observed, operator: Operator | None = None
    ):
        self.denoiser, self.ivar = denoiser, observed.ivar
        self.see = operator or identity(len(denoiser.mean))
        self.y = observed.filled(self.see(denoiser.mean[None])).flux

    def _clip(self, x: torch.Tensor) -> torch.Tensor:
        """Keep within what spectra can be, as the papers' codes do: a guidance too strong would else run away."""
        far = REACH * self.denoiser.scatter()
        return x.clamp(self.denoiser.mean - far, self.denoiser.mean + far)

    def _differentiable(self, state: Observed) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            u = state.flux.detach().requires_grad_()
            return u, self.denoiser.posterior(Observed.state(u, state.noise)).mean

    def _whiten(self, variance: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Make the function W½ (1 + W½ A diag(variance) Aᵀ W½)⁻¹ of rows (n, k)."""
        root = self.ivar.sqrt()

        def matvec(v):
            return v + root * self.see(variance * self.see.adjoint(root * v))

        def apply(right):
            enough = TOLERANCE**2 * conjugate_gradients.inner(right, right).clamp(min=1e-30)
            return root * conjugate_gradients.solve(matvec, right, enough, ITERATIONS)

        return apply


class GaussianProduct(Guided):
    """Exact for A = 1: what state and observation say together, seen by the same denoiser."""

    def posterior(self, observed: Observed) -> SpectrumPosterior:
        """Look at both as at one observation."""
        u, m = observed.flux, observed.noise
        precision = m**-2 + self.ivar
        together = (u * m**-2 + self.y * self.ivar) / precision
        return self.denoiser.posterior(Observed.state(together, precision.rsqrt()))


class DPS(Guided):
    """Diffusion posterior sampling; ``scale`` is ζ."""

    def __init__(
        self,
        denoiser: StarDenoiser,
        observed: Observed,
        scale: float,
        operator: Operator | None = None,
    ):
        super().__init__(denoiser, observed, operator)
        self.scale = scale * float(self.ivar[self.ivar > 0].median()) ** -0.5
        self.variance = float(denoiser.scatter().square().mean())

    def posterior(self, observed: Observed) -> PointEstimate:
        """Move the estimate down the gradient of the misfit."""
        u, x = self._differentiable(observed)
        with torch.enable_grad():
            norm = (self.ivar * (self.y - self.see(x)).square()).sum(1).sqrt()
            (slope,) = torch.autograd.grad(norm.sum(), u)
        moved = self.scale * (observed.noise**2 + self.variance) * slope
        return PointEstimate(self._clip(x.detach() - moved))


class PiGDM(Guided):
    """Pseudo-inverse guidance."""

    def posterior(self, observed: Observed) -> PointEstimate:
        """Move the estimate by what a Gaussian of even variance would learn."""
        u, x = self._differentiable(observed)
        spread, m = self.denoiser.scatter() ** 2, observed.noise
        r2 = m**2 * spread / (m**2 + spread)
        away = self.ivar.sqrt() * (self.y - self.see(x.detach()))
        (moved,) = torch.autograd.grad(x, u, self.see.adjoint(self._whiten(r2)(away)))
        return PointEstimate(self._clip(x.detach() + r2 * moved))


class MMPS(Guided):
    """Moment matching with the covariance that the network itself says.

    Parameters
    ----------
    denoiser : SubspaceDenoiser
    observed, operator
        As of :class:`Guided`.
    """

    denoiser: SubspaceDenoiser

    def posterior(self, observed: Observed) -> SpectrumPosterior:
        """Condition the network's local posterior on the observation."""
        return _Conditioned(self, LocalPosterior(self.denoiser, observed))


class _Conditioned(SpectrumPosterior):
    """A local posterior p(x | u), a Gaussian, and what an observation adds to it."""

    def __init__(self, guided: MMPS, local: LocalPosterior):
        self._guided = guided
        self._x, self._covariance, self._basis, self._own = local.gaussian()

    @property
    def mean(self) -> torch.Tensor:
        """E[x | u, y], shape (n, pixels)."""
        return self._learn(self._x, 0.0)

    def draw(self, rng: torch.Generator) -> torch.Tensor:
        """Draw p(x | u), and condition it (Papandreou & Yuille 2010)."""
        x, seen = self._x, self._guided.ivar.shape[1]

        def noise(*shape):
            return torch.randn(*shape, generator=rng, device=x.device)

        root = torch.linalg.cholesky(self._covariance).float()
        components = (root @ noise(*root.shape[:2], 1))[..., 0]
        x = x + components @ self._basis.mT + self._own.sqrt() * noise(*x.shape)
        return self._learn(x, noise(len(x), seen))

    def _learn(self, x: torch.Tensor, noise: torch.Tensor | float) -> torch.Tensor:
        """Condition spectra on the observation, of which each sees one with some (whitened) noise."""
        guided, basis, own = self._guided, self._basis, self._own
        see, root = guided.see, guided.ivar.sqrt()
        weigh, seen = guided._whiten(own), see(basis.mT).mT
        away = root * (guided.y - see(x)) - noise
        information = (weigh(root * seen.mT) @ seen).double()
        right = (weigh(away) @ seen).double()
        one = torch.eye(len(information), dtype=torch.float64, device=x.device)
        solved = torch.linalg.solve(one + information @ self._covariance, right[..., None])
        z = (self._covariance @ solved)[..., 0].float()
        left = away - root * (z @ seen.mT)
        return x + z @ basis.mT + own * see.adjoint(weigh(left))
