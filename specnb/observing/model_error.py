"""How wrong the emulator is about real stars: the curves that :mod:`specnb.training.real_stars` measured."""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb.grid import N_PIXELS
from specnb.world.operators import velocity_shift


def observed_frame(rest: np.ndarray, rv: ArrayLike) -> np.ndarray:
    """Shift rest-frame curves (n or 1, 3136) to radial velocities ``rv`` (n,) km/s, (n, 3136); the ends are held."""
    pixel = np.arange(N_PIXELS)
    shift = velocity_shift(torch.tensor(np.asarray(rv, "f8"))).numpy()
    rest = np.broadcast_to(rest, (len(shift), N_PIXELS))
    return np.stack([np.interp(pixel - s, pixel, row) for s, row in zip(shift, rest, strict=True)])


@lru_cache(maxsize=1)
def curves() -> dict[str, np.ndarray]:
    """Load the curves that ship, each (3136,), ``model_error`` first; rest frame, normalised flux."""
    path = files("specnb") / "assets" / "realstars.npz"
    with np.load(str(path), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def model_error(rv: ArrayLike = 0.0) -> np.ndarray:
    """Compute σ_model, to be added in quadrature, as seen at radial velocities ``rv`` (n,) km/s: (n, 3136)."""
    return observed_frame(curves()["model_error"], np.atleast_1d(rv))
