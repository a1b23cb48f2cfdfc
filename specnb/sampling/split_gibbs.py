r"""Draws of p(x | y) for y = A x + n with any linear A, by Gibbs sampling between x and a noisy copy of it.

With a copy :math:`z = x + R\epsilon`, R diagonal, and the likelihood of z narrowed to :math:`\Sigma - AR^2A^\top`,

.. math:: p(x)\; N(z;\, x, R^2)\; N(y;\, Az,\, \Sigma - AR^2A^\top)

has the marginal p(x | y), whatever R is. (Split Gibbs samplers leave the likelihood as it is and are exact as R → 0
only: Vono et al. 2019; Xu & Chi 2024, arXiv:2403.17042.) The steps are x from z, which is what the reverse SDE does
from its own noise level, and z from x and y, a Gaussian of mean :math:`x + R^2A^\top\Sigma^{-1}(y - Ax)` and covariance
:math:`R^2 - R^2A^\top\Sigma^{-1}AR^2`.
"""

from collections.abc import Callable

import torch

from specnb.observed import Observed
from specnb.sampling.instruments import Operator

MARGIN = 0.9
"""Share of the largest R² for which the narrowed likelihood is one."""


def copy_variance(a: torch.Tensor, ivar: torch.Tensor) -> torch.Tensor:
    """Find a diagonal R² with :math:`AR^2A^\\top < \\Sigma`, (pixels,), of A (k, pixels) and ivar (k,), float64.

    For A without negative entries, :math:`AR^2A^\\top` is at most the diagonal matrix of its row sums.
    """
    good = ivar > 0
    a, variance = a * good[:, None], (1 / ivar).where(good, 0.0)
    touched = a > 1e-6 * a.max()
    least = torch.where(touched, variance[:, None], torch.inf).amin(
        0
    )  # of the pixels of y that see this one of x
    seen = torch.isfinite(least)
    r2 = torch.where(seen, least, least[seen].median())
    rows = a @ (r2 * a.sum(0))
    return MARGIN * r2 * (variance[good] / rows[good]).min().clamp(max=1.0)


@torch.no_grad()
def sample(
    draw: Callable[[Observed], torch.Tensor],
    operator: Operator,
    observed: Observed,
    start: torch.Tensor,
    sweeps: int,
    rng: torch.Generator,
) -> torch.Tensor:
    """Run chains side by side.

    Parameters
    ----------
    draw : callable
        States z of noise R → x, a draw of p(x | z), (n, pixels).
    operator : specnb.sampling.instruments.Operator
    observed : Observed
        One observation, in the operator's k pixels.
    start : torch.Tensor
        x of every chain, (n, pixels).
    sweeps : int
    rng : torch.Generator

    Returns
    -------
    torch.Tensor
        x of every chain after the last sweep, (n, pixels).
    """
    y, ivar = observed.flux, observed.ivar
    x, weight = start, ivar[0].double()
    a = torch.from_numpy(operator.matrix.toarray()).to(weight)
    r2 = copy_variance(a, weight)
    inner = torch.diag_embed(r2) - (r2[:, None] * a.mT * weight) @ (a * r2)
    root = torch.linalg.cholesky(inner).float()
    r2, m = r2.float(), r2.sqrt().float()[None]
    for _ in range(sweeps):
        toward = r2 * operator.adjoint(ivar * (y - operator(x)))
        z = x + toward + torch.randn(x.shape, generator=rng, device=x.device) @ root.mT
        x = draw(Observed.state(z, m))
    return x
