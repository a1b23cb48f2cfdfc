"""Conjugate gradients, many systems side by side (Hestenes & Stiefel 1952, J. Res. NBS 49, 409)."""

from collections.abc import Callable

import torch

Rows = Callable[[torch.Tensor], torch.Tensor]
"""Takes rows (n, k) to rows (n, k)."""


def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply rows with rows, (n, 1)."""
    return (a * b).sum(1, keepdim=True)


def solve(
    matvec: Rows,
    right: torch.Tensor,
    enough: torch.Tensor | float,
    iterations: int,
    precondition: Rows = lambda r: r,
) -> torch.Tensor:
    """Solve ``matvec(x) = right``, row by row, for a positive definite matrix.

    Parameters
    ----------
    matvec : callable
        The matrix, on rows (n, k).
    right : torch.Tensor
        Shape (n, k).
    enough : float or torch.Tensor
        Squared residual, one for all or (n, 1), at which a row is solved; it ends when all are.
    iterations : int
        At most.
    precondition : callable
        Something near the inverse of ``matvec``, positive definite.

    Returns
    -------
    torch.Tensor
        Shape (n, k).
    """
    x, r = torch.zeros_like(right), right
    q = p = precondition(r)
    product = inner(r, q)
    for _ in range(iterations):
        if (inner(r, r) <= enough).all():
            break
        ap = matvec(p)
        step = product / inner(p, ap).clamp(min=1e-30)
        x, r = x + step * p, r - step * ap
        q, before = precondition(r), product
        product = inner(r, q)
        p = q + product / before.clamp(min=1e-30) * p
    return x
