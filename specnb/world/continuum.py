r"""The linear part of an observation: a spectrum times a continuum that is a sum of smooth functions.

.. math:: y = \Big(1 + \sum_k c_k B_k\Big) F + n, \qquad c \sim N(0, P^{-1})

Given the normalised spectrum F everything about c is Gaussian. With :math:`w` = ivar,

.. math:: A_{kl} = P_{kl} + \sum w F^2 B_k B_l, \qquad \hat c = A^{-1} \sum w F B_k (y - F),

and the likelihood with c integrated out is

.. math:: -2 \ln L = \sum w\,\big(y - (1 + \hat c B) F\big)^2 + \hat c^T P \hat c + \ln |A| - \ln |P| .
"""

import numpy as np
import torch

from specnb.grid import N_PIXELS
from specnb.observed import Observed

KNOT_EVERY = 300
"""Pixels between two knots of a spline that follows a continuum and no line."""

LOOSE = 1e-2
"""Precision of the splines' coefficients, which are of order one."""


class Continuum:
    """Smooth functions and the prior of their coefficients.

    Parameters
    ----------
    basis : torch.Tensor
        B, shape (k, 3136).
    precision : torch.Tensor
        Diagonal of P, shape (k,); 0 = nothing known about a coefficient.
    """

    def __init__(self, basis: torch.Tensor, precision: torch.Tensor):
        self.basis, self.precision = basis, precision.double()
        self._pairs = torch.triu_indices(len(basis), len(basis))
        self._products = basis[self._pairs[0]] * basis[self._pairs[1]]

    def __call__(self, c: torch.Tensor) -> torch.Tensor:
        """Compute 1 + Σ c_k B_k, (n, k) → (n, 3136)."""
        return 1 + c @ self.basis

    def curvature(self, weight: torch.Tensor) -> torch.Tensor:
        """Compute A for weights w F², (n, 3136) → (n, k, k), float64."""
        k = len(self.basis)
        matrix = torch.zeros(len(weight), k, k, dtype=torch.float64, device=weight.device)
        matrix[:, self._pairs[0], self._pairs[1]] = matrix[:, self._pairs[1], self._pairs[0]] = (
            weight @ self._products.T
        ).double()
        return matrix + torch.diag(self.precision)

    def best(
        self, spectrum: torch.Tensor, observed: Observed
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find the best coefficients for given spectra.

        Parameters
        ----------
        spectrum : torch.Tensor
            F, shape (n, 3136).
        observed : Observed
            y and w of n spectra, or of one for all.

        Returns
        -------
        c : torch.Tensor
            ĉ, shape (n, k), float32.
        root : torch.Tensor
            Cholesky factor of A, shape (n, k, k), float64.
        chi2 : torch.Tensor
            Σ w r² + ĉᵀPĉ at ĉ, shape (n,), float64.
        """
        flux, ivar = observed.flux, observed.ivar
        weighted = ivar * spectrum
        root = torch.linalg.cholesky(self.curvature(weighted * spectrum))
        right = ((weighted * (flux - spectrum)) @ self.basis.T).double()
        c = torch.cholesky_solve(right[..., None], root)[..., 0]
        residual = flux - self(c.float()) * spectrum
        chi2 = (ivar * residual.square()).sum(1).double() + (self.precision * c.square()).sum(1)
        return c.float(), root, chi2

    def log_likelihood(self, spectrum: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Compute ln L with the coefficients integrated out, up to a constant: (n,) float64."""
        _, root, chi2 = self.best(spectrum, observed)
        return -0.5 * chi2 - root.diagonal(dim1=1, dim2=2).log().sum(1)

    def draw(self, c: torch.Tensor, root: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw the coefficients given a spectrum, from what :meth:`best` returned; (n, k) float32."""
        normal = torch.randn(c.shape, generator=generator, dtype=torch.float64, device=c.device)
        return (
            c
            + torch.linalg.solve_triangular(root.mT, normal[..., None], upper=True)[..., 0].float()
        )


def splines(every: int = KNOT_EVERY, device: str = "cpu") -> Continuum:
    """Make smooth continua: cubic B-splines of nearly free coefficients."""
    from scipy.interpolate import BSpline  # here, because it takes long to import

    inner = np.linspace(0, N_PIXELS - 1, round(N_PIXELS / every) + 1)
    knots = np.r_[[inner[0]] * 3, inner, [inner[-1]] * 3]
    basis = BSpline.design_matrix(np.arange(N_PIXELS), knots, 3).toarray().T
    loose = torch.full((len(basis),), LOOSE, device=device)
    return Continuum(torch.tensor(basis, dtype=torch.float32, device=device), loose)
