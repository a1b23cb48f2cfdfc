"""Checks at the public door: an error names the argument, the value and the remedy; nothing is silently repaired."""

import numpy as np
import torch

from specnb.grid import N_PIXELS


def spectra(flux, ivar):
    """Check and convert observed spectra.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance on the native grid, shape (3136,) or (n, 3136), the same for both.
        ``ivar`` = 0 marks a bad pixel, whose flux may be anything.

    Returns
    -------
    flux, ivar : torch.Tensor
        (n, 3136) float32 on the device of ``flux``; flux is 1 where ivar is 0.
    restore : callable
        Takes a (n, …) tensor back to the caller's kind (numpy or torch) and number of dimensions.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity where ivar > 0, negative or NaN ivar, a spectrum with no good pixel.
    """
    numpy_in = not isinstance(flux, torch.Tensor)
    tensors = {}
    for name, value in (("flux", flux), ("ivar", ivar)):
        try:
            tensors[name] = torch.as_tensor(value if isinstance(value, torch.Tensor) else np.asarray(value, dtype="f4"))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} is {type(value).__name__}; give an array or tensor of numbers") from error
    f, w = tensors["flux"].float(), tensors["ivar"].float().to(tensors["flux"].device)
    for name, value in (("flux", f), ("ivar", w)):
        if value.ndim not in (1, 2) or value.shape[-1] != N_PIXELS or value.numel() == 0:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}; give ({N_PIXELS},) or (n, {N_PIXELS}) on the grid specnb.WAVE"
            )
    if f.shape != w.shape:
        raise ValueError(f"ivar has shape {tuple(w.shape)} but flux {tuple(f.shape)}; give one ivar for every flux")
    single = f.ndim == 1
    f, w = torch.atleast_2d(f), torch.atleast_2d(w)
    _refuse("ivar", w, ~(w >= 0) | torch.isinf(w), "give 0 for a bad pixel, else 1/σ²")
    _refuse("flux", f, ~torch.isfinite(f) & (w > 0), "set ivar to 0 there")
    empty = ~(w > 0).any(1)
    if empty.any():
        raise ValueError(f"ivar of spectrum {int(empty.nonzero()[0])} is 0 everywhere; leave that spectrum out")

    def restore(x):
        x = x[0] if single else x
        return x.numpy() if numpy_in else x

    return torch.where(w > 0, f, 1.0), w, restore


def _refuse(name, value, bad, remedy):
    if bad.any():
        row, pixel = (int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"{name} of spectrum {row} is {float(value[row, pixel])} at pixel {pixel} ({int(bad.sum())} such pixels); "
            + remedy
        )
