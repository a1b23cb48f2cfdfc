r"""The world model: labels → normalised LTE spectrum at R = 10,000 → native pixels.

After The Payne (Ting et al. 2019, ApJ 879, 69), with a linear basis at the end:

.. math:: F_\lambda(\theta) = 1 + \mu_\lambda + \sum_k c_k(\theta)\, B_{k\lambda},
          \qquad c = \frac{1}{8} \sum_{j=1}^{8} \mathrm{MLP}_j(\theta)

The basis is linear and the operators are filters, so the Fourier transform of the basis is taken once and a
spectrum costs one matrix product, one transfer function and one short inverse transform. Its components are the
principal ones of the spectra as a survey sees them (R = 1800, native pixels), not of the fine spectra: detail that no
user sees is not worth a component.
"""

from copy import copy
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import gelu, linear

from specnb.grid import FINE_RESOLUTION, OVERSAMPLING, RESOLUTION
from specnb.world.operators import (
    N_FFT,
    as_complex,
    at_pixels,
    fourier_length,
    frequencies,
    native_to_fourier,
    shifting,
    slopes,
    to_fourier,
    to_native,
    transfer,
)
from specnb.world.prior import VMIC

N_TERMS = 7
"""Curves of a correction, one for each of :func:`correction_terms`."""


class Emulator(nn.Module):
    """Differentiable spectra from labels.

    Parameters
    ----------
    mean : torch.Tensor
        Mean of flux − 1 on the fine grid, shape (16151,).
    basis : torch.Tensor
        Rows of components, shape (k, 16151).
    hidden, members : int
        Width of the two hidden layers; number of networks that are averaged.
    resolution : float
        Resolving power of the spectra on the fine grid.
    inputs : int
        Labels of a star: 4, or 5 with microturbulence.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    scale: torch.Tensor
    resolution: torch.Tensor
    correction: torch.Tensor | None
    fourier: torch.Tensor
    first: torch.Tensor
    first_bias: torch.Tensor
    second: torch.Tensor
    second_bias: torch.Tensor
    last: torch.Tensor
    last_bias: torch.Tensor

    def __init__(
        self,
        mean: torch.Tensor,
        basis: torch.Tensor,
        hidden: int = 128,
        members: int = 8,
        resolution: float = FINE_RESOLUTION,
        inputs: int = 4,
    ):
        super().__init__()
        self.inputs = inputs
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("resolution", torch.tensor(float(resolution)))
        self.register_buffer("correction", None)
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs, hidden),
                nn.GELU(),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.Linear(hidden, len(basis)),
            )
            for _ in range(members)
        )

    def prepare(self) -> "Emulator":
        """Transform the basis and lay the networks side by side; call it when the weights are final."""
        first, _, second, _, last = zip(*self.nets, strict=True)
        ready = {
            "fourier": to_fourier(torch.cat([self.mean[None], self.basis])),
            "first": torch.cat([layer.weight for layer in first]),
            "first_bias": torch.cat([layer.bias for layer in first]),
            "second": torch.stack([layer.weight.T for layer in second]),
            "second_bias": torch.stack([layer.bias[None] for layer in second]),
            "last": torch.cat([layer.weight for layer in last], 1) * (self.scale / len(last)),
            "last_bias": torch.stack([layer.bias for layer in last]).mean(0) * self.scale,
        }
        for name, value in ready.items():
            self.register_buffer(name, value.detach().contiguous(), persistent=False)
        return self.eval().requires_grad_(False)

    def corrected(self, curves: torch.Tensor) -> "Emulator":
        """Make an emulator with a correction added, which a star takes along when it moves.

        Parameters
        ----------
        curves : torch.Tensor
            One for each of :func:`correction_terms`, in the rest frame at native pixels, shape (``N_TERMS``, 3136).
        """
        other = copy(self)
        other._buffers = dict(self._buffers)
        other.correction = native_to_fourier(curves)
        return other

    def _observe(
        self, lines: torch.Tensor, ways: torch.Tensor, labels: torch.Tensor, rv: torch.Tensor
    ) -> torch.Tensor:
        """Multiply Fourier coefficients by transfer functions, (…, m) both, and add the correction, if there is one."""
        seen = lines * ways
        if self.correction is None:
            return seen
        extra = correction_terms(labels).to(self.correction.dtype) @ self.correction
        frequency = torch.arange(extra.shape[-1], device=rv.device) * (OVERSAMPLING / N_FFT)
        moved = extra * shifting(frequency, rv.flatten()).unflatten(0, rv.shape)
        return seen + nn.functional.pad(moved, (0, seen.shape[-1] - moved.shape[-1]))

    @staticmethod
    def features(labels: torch.Tensor) -> torch.Tensor:
        """Scale labels (n, 4 or 5) to what the networks see: about ±1 over the prior; lines follow 1/T, not T."""
        teff, logg, m_h, alpha_m, *vmic = labels.unbind(-1)
        columns = [
            (5040 / teff - 0.946) / 0.226,
            (logg - 2.9) / 2.1,
            (m_h + 1) / 1.5,
            (alpha_m - 0.2) / 0.3,
            *(difference / VMIC for difference in vmic),
        ]
        return torch.stack(columns, -1)

    def coefficients(self, labels: torch.Tensor) -> torch.Tensor:
        """Compute basis coefficients, (n, k), of labels (n, 4): teff [K], logg [log cm/s²], m_h, alpha_m [dex].

        A fifth label is microturbulence less :func:`specnb.world.prior.microturbulence` [km/s]; without it, 0.
        """
        if labels.shape[-1] < self.inputs:
            labels = nn.functional.pad(labels, (0, self.inputs - labels.shape[-1]))
        x = gelu(linear(self.features(labels), self.first, self.first_bias))
        x = x.unflatten(1, (len(self.nets), -1)).transpose(0, 1)
        x = gelu(torch.baddbmm(self.second_bias, x, self.second)).transpose(0, 1).flatten(1)
        return linear(x, self.last, self.last_bias)

    def fine(self, labels: torch.Tensor) -> torch.Tensor:
        """Compute flux on the fine grid, (n, 16151), without radial velocity or rotation; labels as above."""
        return 1 + self.mean + self.coefficients(labels) @ self.basis

    def forward(
        self,
        labels: torch.Tensor,
        rv: torch.Tensor,
        vsini: torch.Tensor,
        resolution: torch.Tensor,
    ) -> torch.Tensor:
        """Compute flux on the native grid.

        Parameters
        ----------
        labels : torch.Tensor
            teff [K], logg [log cm/s²], m_h [dex], alpha_m [dex], shape (n, 4).
        rv, vsini : torch.Tensor
            km/s, shape (n,).
        resolution : torch.Tensor
            Resolving power, shape (n,), or (1,) for all.

        Returns
        -------
        torch.Tensor
            Normalised flux, shape (n, 3136).
        """
        frequency = frequencies(resolution)
        lines = as_complex(self._mixed(labels, resolution), len(frequency))
        ways = transfer(frequency, rv, vsini, resolution, self.resolution)
        return 1 + at_pixels(self._observe(lines, ways, labels, rv))

    def _mixed(self, labels: torch.Tensor, resolution: torch.Tensor) -> torch.Tensor:
        """Compute the Fourier coefficients that spectra of these resolving powers need, (n, ·)."""
        columns = fourier_length(resolution) + 2
        mean, basis = self.fourier[0, :columns], self.fourier[1:, :columns]
        return torch.addmm(mean, self.coefficients(labels), basis)

    def stencil(self, labels: torch.Tensor, resolution: torch.Tensor) -> torch.Tensor:
        """Compute flux of stars and of their six neighbours, each of which differs in one label; as :meth:`forward`.

        What they share is computed once: four of them have the star's velocities, the other two its lines.

        Parameters
        ----------
        labels : torch.Tensor
            teff, logg, m_h, alpha_m, rv, vsini of a star and its neighbours in this order, shape (n, 7, 6).
        resolution : torch.Tensor
            Resolving power, shape (1,).

        Returns
        -------
        torch.Tensor
            Normalised flux, shape (n, 7, 3136).
        """
        frequency = frequencies(resolution)
        mixed = self._mixed(labels[:, :5, :4].flatten(0, 1), resolution)
        lines = as_complex(mixed, len(frequency)).unflatten(0, (-1, 5))
        rv, vsini = labels[:, [0, 5, 6], 4:].flatten(0, 1).unbind(-1)
        ways = transfer(frequency, rv, vsini, resolution, self.resolution).unflatten(0, (-1, 3))
        both = torch.cat([lines, lines[:, :1].expand(-1, 2, -1)], 1)
        each = torch.cat([ways[:, :1].expand(-1, 5, -1), ways[:, 1:]], 1)
        return 1 + at_pixels(self._observe(both, each, labels[..., :4], labels[..., 4]))

    def instrumental(self, labels: torch.Tensor, resolution: torch.Tensor) -> torch.Tensor:
        """Compute how flux changes with a velocity [1/(km/s)] and with ln R, of labels (n, 6); (n, 2, 3136)."""
        frequency = frequencies(resolution)
        rv, vsini = labels[:, 4], labels[:, 5]
        lines = as_complex(self._mixed(labels[:, :4], resolution), len(frequency))
        seen = lines * transfer(frequency, rv, vsini, resolution, self.resolution)
        return at_pixels(
            torch.stack([seen * slope for slope in slopes(frequency, rv, resolution)], 1)
        )


def correction_terms(labels: torch.Tensor) -> torch.Tensor:
    """Compute what a correction is linear in, of teff, logg, m_h, alpha_m: (…, 4) → (…, ``N_TERMS``).

    Temperature t, gravity g, and the strength s of lines, which grows with about the square root of abundances, so
    that what was learnt near the Sun's fades in poor stars: 1, t, g, s, t², ts, g².
    """
    teff, logg, m_h = labels[..., :3].unbind(-1)
    t, g, s = (5040 / teff - 0.946) / 0.226, (logg - 2.9) / 2.1, 10 ** (m_h / 2)
    return torch.stack([torch.ones_like(t), t, g, s, t * t, t * s, g * g], -1)


def from_state(state: dict[str, torch.Tensor]) -> Emulator:
    """Build an :class:`Emulator` from its ``state_dict``."""
    members = sum(name.endswith(".0.bias") for name in state)
    hidden, inputs = state["nets.0.0.weight"].shape
    with torch.random.fork_rng(devices=[]):  # leave the caller's stream of random numbers alone
        emulator = Emulator(state["mean"], state["basis"], hidden, members, inputs=inputs)
    emulator.load_state_dict(state)
    return emulator.prepare()


def read(path: Path | str) -> Emulator:
    """Read an :class:`Emulator` from the ``.safetensors`` file that ``specnb emulator train`` wrote."""
    return from_state(load_file(str(path)))


@lru_cache(maxsize=4)
def load_emulator(device: str) -> Emulator:
    """Load the emulator that ships, on ``device``, in evaluation mode without gradients of its weights."""
    path = files("specnb") / "assets" / "emulator.safetensors"
    return read(str(path)).to(device)


def native(lines: torch.Tensor, base: torch.Tensor, resolution: float = RESOLUTION) -> torch.Tensor:
    """Take fine flux − 1 (n, 16151) of resolving power ``base`` to native pixels at ``resolution``, (n, 3136)."""
    zero, r = torch.zeros(len(lines)), torch.full((len(lines),), float(resolution))
    return to_native(to_fourier(lines), zero, zero, r, base)


def residuals(
    emulator: Emulator,
    labels: np.ndarray,
    flux: np.ndarray,
    resolution: float = RESOLUTION,
    base: float | None = None,
) -> np.ndarray:
    """Compute emulator minus spectrum in native pixels, both at ``resolution``.

    Parameters
    ----------
    emulator : Emulator
    labels : numpy.ndarray
        As for :func:`fit`.
    flux : numpy.ndarray
        Normalised, on the fine grid, shape (n, 16151).
    resolution : float
        Resolving power to compare at.
    base : float, optional
        Resolving power of ``flux``, where it is not that of the emulator's own grid.

    Returns
    -------
    numpy.ndarray
        Shape (n, 3136).
    """
    zero, r = torch.zeros(len(labels)), torch.full((len(labels),), float(resolution))
    predicted = emulator(torch.as_tensor(labels, dtype=torch.float32), zero, zero, r)
    own = emulator.resolution if base is None else torch.tensor(float(base))
    seen = native(torch.as_tensor(flux) - 1, own, resolution)
    return (predicted - 1 - seen).numpy()
