r"""One value for an observation: spectra with what is known of their noise.

A spectrum x seen with independent Gaussian noise of standard deviation m in each pixel,

.. math:: u = x + m \odot \epsilon .

It is the same for what a telescope saw, where the inverse variances 1/m² are given and 0 marks a bad pixel, and for a
state of a diffusion, where m is given. :func:`specnb.validate.spectra` makes one of what a user hands in; nothing
below the public functions checks it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

MASKED = 30.0
"""Standard deviation that stands for a bad pixel (normalised flux lies in 0…1.2)."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Spectra and their noise.

    Attributes
    ----------
    flux : torch.Tensor
        Shape (n, pixels), finite everywhere; at bad pixels it says nothing.
    ivar : torch.Tensor
        Inverse variance, same shape or (1, pixels) for all; 0 = bad pixel.
    """

    flux: torch.Tensor
    ivar: torch.Tensor

    @classmethod
    def state(cls, flux: torch.Tensor, noise: torch.Tensor) -> Observed:
        """Make a state of a diffusion: spectra of known noise map (n or 1, pixels), ``MASKED`` at bad pixels."""
        state = cls(flux, torch.where(noise < MASKED, noise**-2, 0.0))
        state.__dict__["noise"] = noise
        return state

    @cached_property
    def noise(self) -> torch.Tensor:
        """Standard deviation in every pixel, the shape of ``ivar``; ``MASKED`` at bad pixels."""
        return torch.where(self.ivar > MASKED**-2, self.ivar.rsqrt(), MASKED)

    @property
    def good(self) -> torch.Tensor:
        """True where there is an observation, the shape of ``ivar``."""
        return self.ivar > 0

    @property
    def snr(self) -> torch.Tensor:
        """Median of √ivar over good pixels, the S/N of a continuum at 1; (n,)."""
        return self.ivar.where(self.good, torch.nan).nanmedian(1).values.sqrt()

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.flux.device

    def __len__(self) -> int:
        return len(self.flux)

    def __getitem__(self, rows: slice | torch.Tensor) -> Observed:
        """Take some of the spectra, each with an ``ivar`` of its own."""
        return Observed(self.flux[rows], self.ivar[rows])

    def split(self, size: int) -> Iterator[Observed]:
        """Cut into parts of ``size`` spectra, so that memory stays bounded whatever their number."""
        for flux, ivar in zip(self.flux.split(size), self.ivar.split(size), strict=True):
            yield Observed(flux, ivar)

    def to(self, device: torch.device | str) -> Observed:
        """Move to another device."""
        return Observed(self.flux.to(device), self.ivar.to(device))

    def filled(self, value: torch.Tensor | float) -> Observed:
        """Put ``value`` at bad pixels: nothing that stands there can matter then."""
        return Observed(torch.where(self.good, self.flux, value), self.ivar)
