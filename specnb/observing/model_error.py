"""How wrong the emulator is of real stars: the curves that :mod:`specnb.training.real_stars` measured, and where they
apply."""

from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch

from specnb.grid import N_PIXELS
from specnb.world.operators import velocity_shift


def observed_frame(rest, rv):
    """Rest-frame curves (n or 1, 3136) as seen at radial velocities ``rv`` (n,) km/s; the ends are held."""
    pixel, shift = np.arange(N_PIXELS), velocity_shift(torch.tensor(np.asarray(rv, "f8"))).numpy()
    rest = np.broadcast_to(rest, (len(shift), N_PIXELS))
    return np.stack([np.interp(pixel - s, pixel, row) for s, row in zip(shift, rest, strict=True)])


@lru_cache(maxsize=1)
def curves():
    """The curves that ship: a dict of arrays (3136,), ``model_error`` first; rest frame, normalised flux."""
    with np.load(files("specnb") / "assets" / "realstars.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def model_error(rv=0.0):
    """σ_model in the observed frame at radial velocities ``rv`` (n,) km/s: what to add in quadrature, (n, 3136)."""
    return observed_frame(curves()["model_error"], np.atleast_1d(rv))
