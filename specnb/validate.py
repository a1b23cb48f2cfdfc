"""Checks at the public door: an error names the argument, the value and the remedy; nothing is silently repaired."""

from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import torch

from specnb.grid import N_PIXELS
from specnb.observed import Observed

Restore = Callable[[torch.Tensor], Any]
"""Takes a (n, …) tensor back to the caller's kind (numpy or torch) and number of dimensions."""


def numbers(name: str, value: Any, unit: u.UnitBase | None = None) -> torch.Tensor:
    """Convert ``value`` to a real tensor: tensors as they are, else float64; quantities in ``unit``.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    value : array, torch.Tensor, astropy.units.Quantity or number
    unit : astropy.units.UnitBase, optional
        That quantities are converted to.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    ValueError
        Text, None, complex or boolean values, ragged lists, masked arrays, units that do not fit.
    """
    if isinstance(value, u.Quantity):
        try:
            value = value.to_value(u.dimensionless_unscaled if unit is None else unit)
        except u.UnitConversionError as error:
            raise ValueError(
                f"{name} has unit {value.unit}; give {unit or 'a number without unit'}"
            ) from error
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"{name} is a masked array; give a plain array and mark bad pixels by ivar = 0"
        )
    if not isinstance(value, torch.Tensor):
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{name} is {value!r:.60}; give an array or tensor of real numbers")
        value = torch.from_numpy(array.astype("f8"))
    if value.is_complex() or value.dtype == torch.bool:
        raise ValueError(f"{name} is a {value.dtype} tensor; give real numbers")
    return value


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Check that ``value`` is an int from ``least`` to ``most``; anything else, booleans too, is a ValueError."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= (most or value):
        span = f"to {most}" if most else "or more"
        raise ValueError(f"{name} is {value!r}; give an integer of {least} {span}")
    return int(value)


def spectra(flux: Any, ivar: Any, pixels: int = N_PIXELS) -> tuple[Observed, Restore]:
    """Check and convert observed spectra.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance on the native grid, shape (3136,) or (n, 3136), the same for both.
        ``ivar`` = 0 marks a bad pixel, whose flux may be anything.
    pixels : int
        Pixels of a spectrum, where another instrument has another number.

    Returns
    -------
    observed : Observed
        (n, 3136) float32 on the device of ``flux``; flux is 1 where ivar is 0.
    restore : callable
        Takes a (n, …) tensor back to the caller's kind (numpy or torch) and number of dimensions.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity where ivar > 0, negative or NaN ivar, a spectrum with no good pixel, or one that
        is not normalised by its continuum (median of the good flux outside 0.2 … 2).
    """
    numpy_in = not isinstance(flux, torch.Tensor)
    f, w = numbers("flux", flux).float(), numbers("ivar", ivar).float()
    w = w.to(f.device)
    for name, value in (("flux", f), ("ivar", w)):
        if value.ndim not in (1, 2) or value.shape[-1] != pixels or value.numel() == 0:
            grid = "the grid specnb.WAVE" if pixels == N_PIXELS else "the operator's pixels"
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}; give ({pixels},) or (n, {pixels}) on {grid}"
            )
    if f.shape != w.shape:
        raise ValueError(
            f"ivar has shape {tuple(w.shape)} but flux {tuple(f.shape)}; give one ivar for every flux"
        )
    single = f.ndim == 1
    f, w = torch.atleast_2d(f), torch.atleast_2d(w)
    _refuse("ivar", w, ~(w >= 0) | torch.isinf(w), "give 0 for a bad pixel, else 1/σ²")
    _refuse("flux", f, ~torch.isfinite(f) & (w > 0), "set ivar to 0 there")
    empty = ~(w > 0).any(1)
    if empty.any():
        raise ValueError(
            f"ivar of spectrum {int(empty.nonzero()[0])} is 0 everywhere; leave that spectrum out"
        )

    level = f.where(w > 0, torch.nan).nanmedian(1).values
    if (far := (level < 0.2) | (level > 2)).any():
        row = int(far.nonzero()[0])
        raise ValueError(
            f"flux of spectrum {row} has a median of {float(level[row]):.4g}; divide it by its continuum"
        )

    def restore(x: torch.Tensor) -> Any:
        x = x[0] if single else x
        return x.numpy() if numpy_in else x

    return Observed(torch.where(w > 0, f, 1.0), w), restore


def _refuse(name: str, value: torch.Tensor, bad: torch.Tensor, remedy: str) -> None:
    """Raise a ValueError that shows the first bad value, if there is any."""
    if bad.any():
        row, pixel = (int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"{name} of spectrum {row} is {float(value[row, pixel])} at pixel {pixel} ({int(bad.sum())} such pixels); "
            + remedy
        )
