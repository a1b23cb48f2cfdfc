r"""The scalar by which networks know the level of a noise map m, a standard deviation per pixel."""

import torch

from specnb.observed import MASKED


def coordinate(m: torch.Tensor) -> torch.Tensor:
    """Reduce noise maps to a scalar per spectrum, (n, 3136) → (n,): ln(m/0.05) of the median good pixel."""
    return torch.log(m.where(m < MASKED, torch.nan).nanmedian(1).values / 0.05)


def noise_of(coordinate: torch.Tensor) -> torch.Tensor:
    """Invert :func:`coordinate`: the standard deviation per pixel that a noise coordinate stands for."""
    return 0.05 * torch.exp(coordinate)
