r"""Linear operators A by which another instrument sees a native spectrum: y = A x + n.

Each is a sparse matrix with rows that sum to 1, so that a continuum of 1 stays 1. A mask needs none: ivar = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from specnb.grid import DLOGLAM, N_PIXELS, RESOLUTION, SIGMA_PER_FWHM

if TYPE_CHECKING:
    from scipy.sparse import sparray

REACH = 5
"""Standard deviations at which a line-spread function ends."""


class Operator:
    """A matrix and its adjoint on batches of spectra.

    Parameters
    ----------
    matrix : scipy.sparse array or numpy.ndarray
        Shape (k, pixels).
    """

    def __init__(self, matrix: sparray | np.ndarray):
        from scipy.sparse import (
            csr_array,  # here and below: samplers of the native instrument can do without
        )

        self.matrix = csr_array(matrix)
        self._there, self._back = (self._tensor(m) for m in (self.matrix, self.matrix.T))

    @staticmethod
    def _tensor(matrix: sparray) -> torch.Tensor:
        m = matrix.astype("f4").tocoo()
        index = torch.from_numpy(np.stack(m.coords).astype("i8"))
        return torch.sparse_coo_tensor(
            index, torch.from_numpy(m.data), m.shape, check_invariants=True
        ).coalesce()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Compute A x of spectra (n, pixels) → (n, k)."""
        return (self._there.to(x.device) @ x.mT).mT

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Compute Aᵀ y, (n, k) → (n, pixels)."""
        return (self._back.to(y.device) @ y.mT).mT


def identity(pixels: int = N_PIXELS) -> Operator:
    """Make the native instrument."""
    from scipy.sparse import eye_array

    return Operator(eye_array(pixels, format="csr"))


def lower_resolution(resolution: float, pixels: int = N_PIXELS) -> Operator:
    """Smooth from R = 1800 to a lower resolving power, Gaussian, on the same pixels.

    The kernel has the difference of the two variances and is integrated over each pixel.

    Raises
    ------
    ValueError
        If ``resolution`` is not below that of the native spectra.
    """
    if not 0 < resolution < RESOLUTION:
        raise ValueError(
            f"resolution is {resolution}; give one below {RESOLUTION:g}, that of the native spectra"
        )
    from scipy.special import erf

    width = SIGMA_PER_FWHM * np.sqrt(resolution**-2 - RESOLUTION**-2) / (np.log(10) * DLOGLAM)
    away = np.arange(pixels)[None] - np.arange(pixels)[:, None]
    cumulative = [0.5 * (1 + erf((away + side) / (np.sqrt(2) * width))) for side in (-0.5, 0.5)]
    kernel = np.where(np.abs(away) <= REACH * width + 1, cumulative[1] - cumulative[0], 0.0)
    return Operator(kernel / kernel.sum(1, keepdims=True))


def rebin(factor: float, pixels: int = N_PIXELS) -> Operator:
    """Rebin to pixels ``factor`` times as wide in log λ: the mean flux of each; a last part of one is left out.

    Raises
    ------
    ValueError
        If ``factor`` is below 1 or leaves no pixel.
    """
    if not 1 <= factor <= pixels:
        raise ValueError(f"factor is {factor}; give one from 1 to {pixels}")
    low = factor * np.arange(int(pixels / factor))[:, None]
    old = np.arange(pixels)[None]
    overlap = np.clip(np.minimum(low + factor, old + 1) - np.maximum(low, old), 0, None)
    return Operator(overlap / factor)
