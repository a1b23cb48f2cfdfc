r"""The noise map m, a standard deviation per pixel, and the scalar by which networks know its level."""

import torch

MASKED = 30.0
"""Standard deviation that stands for a masked pixel (normalised flux lies in 0…1.2)."""


def noise_map(ivar):
    """Standard deviation per pixel, ``ivar`` (n, 3136) → (n, 3136); masked pixels get ``MASKED``."""
    return torch.where(ivar > MASKED**-2, ivar.rsqrt(), MASKED)


def coordinate(m):
    """A scalar noise level per spectrum for networks, (n, 3136) → (n,): ln(m/0.05) of its median good pixel."""
    return torch.log(m.where(m < MASKED, torch.nan).nanmedian(1).values / 0.05)


def noise_of(coordinate):
    """The standard deviation per pixel that a noise coordinate stands for."""
    return 0.05 * torch.exp(coordinate)
