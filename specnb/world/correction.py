r"""What real stars have beside the model: a mean that follows the labels, and components with a scatter.

.. math:: \Delta_\lambda(\theta) = d_{0\lambda} + \sum_j d_{j\lambda}\, x_j(\theta) + \sum_k a_k C_{k\lambda},
          \qquad a_k \sim N(0, 1),

in the rest frame, at the native pixels and resolving power, x the terms of
:func:`specnb.world.emulator.correction_terms`. It was learnt on
one half of real stars of known labels (:mod:`specnb.training.correction`) and knows of no cause: lines that lists lack
or have too strong, departures from local thermodynamic equilibrium, chromospheres.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch

from specnb.grid import OVERSAMPLING
from specnb.world.emulator import Emulator, load_emulator
from specnb.world.operators import N_FFT, at_pixels, native_to_fourier, shifting


class Components:
    """Shapes of what differs from star to star, each of unit variance.

    Parameters
    ----------
    curves : torch.Tensor
        In the rest frame, shape (k, 3136).
    """

    def __init__(self, curves: torch.Tensor):
        self.curves = curves
        self._fourier = native_to_fourier(curves)

    def __len__(self) -> int:
        return len(self.curves)

    def at(self, rv: torch.Tensor) -> torch.Tensor:
        """Move the components to radial velocities (n,) km/s: (n, k, 3136)."""
        bins = self._fourier.shape[1]
        frequency = torch.arange(bins, device=rv.device) * (OVERSAMPLING / N_FFT)
        return at_pixels(shifting(frequency, rv)[:, None] * self._fourier)


@lru_cache(maxsize=1)
def curves() -> dict[str, np.ndarray]:
    """Load what ships: ``mean``, a curve a term, and ``components``, (k, 3136) each."""
    path = files("specnb") / "assets" / "correction.npz"
    with np.load(str(path), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@lru_cache(maxsize=2)
def load_corrected(device: str) -> tuple[Emulator, Components]:
    """Load the emulator with the correction that ships, and its components, on ``device``."""
    mean, components = (
        torch.tensor(curves()[name], dtype=torch.float32, device=device)
        for name in ("mean", "components")
    )
    return load_emulator(device).corrected(mean), Components(components)
