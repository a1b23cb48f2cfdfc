r"""The linear optimum: posterior of a Gaussian prior of low rank plus a diagonal, and what it lets a network do.

For :math:`x \sim N(\mu, BB^\top/\gamma + D)` and the observation u with inverse variances W,

.. math:: z = (\gamma + B^\top \tilde W B)^{-1} B^\top \tilde W (u - \mu), \qquad \tilde W = W (1 + D W)^{-1}, \qquad
          \hat x(z) = \mu + Bz + D \tilde W (u - \mu - Bz).

Stars are no Gaussian: they lie on a curved surface of eleven dimensions, and :math:`\hat x` is their best estimate
among linear ones only. But of what the pixels say, the k numbers z keep nearly all.
"""

from __future__ import annotations

import copy
from functools import cached_property

import torch

from specnb.denoising.base import SpectrumPosterior, StarDenoiser
from specnb.observed import Observed


def products(basis: torch.Tensor) -> torch.Tensor:
    """Multiply every pair of columns of ``basis``, (pixels, k (k + 1)/2): a normal matrix is linear in these."""
    i, j = torch.triu_indices(basis.shape[1], basis.shape[1])
    return basis[:, i] * basis[:, j]


class LinearPosterior(SpectrumPosterior):
    """z, its covariance, and the spectrum that belongs to any z.

    Parameters
    ----------
    flux, ivar : torch.Tensor
        Shape (n, pixels); ``ivar`` may be one row, (1, pixels), for all.
    centre, basis, diagonal : torch.Tensor
        μ, B, D, of shapes (pixels,), (pixels, k), (pixels,); k may be 0.
    ridge : float
        γ, precision of the components; 1 is the prior's own, towards 0 is weighted least squares.
    pairs : torch.Tensor, optional
        :func:`products` of ``basis``: several times as fast for whoever keeps them.
    """

    def __init__(
        self,
        flux: torch.Tensor,
        ivar: torch.Tensor,
        centre: torch.Tensor,
        basis: torch.Tensor,
        diagonal: torch.Tensor,
        ridge: float = 1.0,
        pairs: torch.Tensor | None = None,
    ):
        self.centre, self.basis, self.diagonal, self.ridge = centre, basis, diagonal, ridge
        self.weight, self.residual = ivar / (1 + diagonal * ivar), flux - centre
        if pairs is None:
            normal = (basis.mT * self.weight[:, None]) @ basis
        else:
            k = basis.shape[1]
            i, j = torch.triu_indices(k, k, device=flux.device)
            normal = basis.new_empty(len(ivar), k, k)
            normal[:, i, j] = normal[:, j, i] = self.weight @ pairs
        self.normal = normal.double()  # entries are good to 1e-7 each; their inverse needs more
        self.normal.diagonal(dim1=1, dim2=2).add_(ridge)
        self.precision = self.pull = torch.zeros((), dtype=basis.dtype, device=flux.device)

    @cached_property
    def root(self) -> torch.Tensor:
        """Cholesky factor of the posterior precision of z, (n, k, k), float64."""
        return torch.linalg.cholesky(self.normal)

    @cached_property
    def z(self) -> torch.Tensor:
        """Posterior mean of the components, (n, k)."""
        right = ((self.weight * self.residual) @ self.basis + self.pull).double()
        return torch.cholesky_solve(right[..., None], self.root)[..., 0].to(self.basis.dtype)

    @property
    def mean(self) -> torch.Tensor:
        """Posterior mean of the spectra, (n, pixels)."""
        return self.spectrum(self.z)

    def draw(self, rng: torch.Generator) -> torch.Tensor:
        """Draw clean spectra: components of their posterior, and of each pixel what they leave open; (n, pixels)."""

        def normal(like):
            return torch.randn(like.shape, generator=rng, device=like.device, dtype=like.dtype)

        steps = normal(self.z)[..., None].double()
        away = torch.linalg.solve_triangular(self.root.mT, steps, upper=True)[..., 0]
        x = self.spectrum(self.z + away.to(self.z.dtype))
        own = self.diagonal * (1 - self.diagonal * self.weight)
        return x + own.clamp(min=0).sqrt() * normal(self.residual)

    def spectrum(self, z: torch.Tensor) -> torch.Tensor:
        """Compute x̂(z), shape (n, pixels), of ``z`` (n, k)."""
        fit = z @ self.basis.mT
        return self.centre + fit + self.diagonal * self.weight * (self.residual - fit)

    def covariance(self) -> torch.Tensor:
        """Compute the posterior covariance of z, (n, k, k), of as many rows as ``ivar``."""
        return torch.cholesky_inverse(self.root).to(self.basis.dtype)

    def information(self) -> torch.Tensor:
        """Compute A = BᵀW̃B, what the pixels say of z, float64; of as many rows as ``ivar``."""
        one = torch.eye(self.normal.shape[1], dtype=torch.float64, device=self.normal.device)
        return self.normal - self.ridge * one

    def learn(self, z: torch.Tensor, sd: torch.Tensor) -> LinearPosterior:
        """Take account of independent estimates of the components, posteriors z ± sd under the prior N(0, 1).

        Returns
        -------
        LinearPosterior
            A new one, of which everything is what both the pixels and the estimates say.
        """
        both = copy.copy(self)
        for derived in ("root", "z"):
            both.__dict__.pop(derived, None)
        precision = (sd**-2 - 1).clamp(min=0)
        both.precision, both.pull = self.precision + precision, self.pull + z / sd**2
        both.normal = self.normal + torch.diag_embed(precision.double())
        return both

    def gain(
        self, right: torch.Tensor, directions: torch.Tensor, variance: torch.Tensor
    ) -> torch.Tensor:
        """Compute (1/P + A)⁻¹ times ``right`` (n, k) for the prior P = J Jᵀ + diag v of z, float64.

        Parameters
        ----------
        directions, variance : torch.Tensor
            J and v, of shapes (n, k, ·) and (n, k).
        """
        prior = (directions @ directions.mT + torch.diag_embed(variance)).double()
        one = torch.eye(prior.shape[1], dtype=prior.dtype, device=prior.device)
        solved = torch.linalg.solve(one + self.information() @ prior, right[..., None])
        return (prior @ solved)[..., 0]

    def left(self, directions: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Compute the posterior covariance (1/P + A)⁻¹ of z for that prior, (n, k, k), float64."""
        prior = (directions @ directions.mT + torch.diag_embed(variance)).double()
        one = torch.eye(prior.shape[1], dtype=prior.dtype, device=prior.device)
        covariance = prior @ torch.linalg.inv(one + self.information() @ prior)
        return 0.5 * (covariance + covariance.mT)

    def update(
        self,
        residual: torch.Tensor,
        estimate: torch.Tensor,
        directions: torch.Tensor,
        variance: torch.Tensor,
    ) -> torch.Tensor:
        """Find the components to add to an estimate for a prior N(0, J Jᵀ + diag v) about it.

        Parameters
        ----------
        residual : torch.Tensor
            Observation minus estimate, shape (n, pixels).
        estimate : torch.Tensor
            The estimate's components, shape (n, k).
        directions, variance : torch.Tensor
            J and v, of shapes (n, k, ·) and (n, k).

        Returns
        -------
        torch.Tensor
            Shape (n, k).
        """
        right = (self.weight * residual) @ self.basis + (self.pull - self.precision * estimate)
        return self.gain(right.double(), directions, variance).to(residual.dtype)

    def deviate(
        self, directions: torch.Tensor, variance: torch.Tensor, rng: torch.Generator
    ) -> torch.Tensor:
        """Draw z about its posterior mean for the prior N(0, J Jᵀ + diag v); arguments and result as above.

        A draw of the prior and one of the noise, seen through the same gain (Papandreou & Yuille 2010).
        """
        n, k, j = directions.shape

        def normal(*shape):
            return torch.randn(*shape, generator=rng, device=variance.device)

        drawn = (directions @ normal(n, j, 1))[..., 0] + variance.sqrt() * normal(n, k)
        a = self.information()
        typical = a.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        root = torch.linalg.cholesky(a + 1e-10 * typical * torch.eye(k, device=a.device))
        noise = (root @ normal(n, k, 1).double())[..., 0]
        right = noise - (a @ drawn.double()[..., None])[..., 0]
        return drawn + self.gain(right, directions, variance).to(drawn.dtype)


class LinearDenoiser(StarDenoiser):
    """The best linear denoiser: a Gaussian prior of low rank plus a diagonal, in closed form.

    Parameters
    ----------
    mean, basis, diagonal : torch.Tensor
        μ, B, D, of shapes (pixels,), (pixels, k), (pixels,).
    ridge : float
        γ, precision of the components.
    """

    AT_ONCE = 16

    def __init__(
        self, mean: torch.Tensor, basis: torch.Tensor, diagonal: torch.Tensor, ridge: float = 1.0
    ):
        self.mean, self.basis, self.diagonal, self.ridge = mean, basis, diagonal, ridge

    def scatter(self) -> torch.Tensor:
        """Standard deviation of every pixel over the prior, shape (pixels,)."""
        return (self.diagonal + self.basis.square().sum(1) / self.ridge).sqrt()

    def posterior(self, observed: Observed) -> LinearPosterior:
        """Compute the posterior of n spectra, in closed form."""
        return LinearPosterior(
            observed.flux, observed.ivar, self.mean, self.basis, self.diagonal, self.ridge
        )
