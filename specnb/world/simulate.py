"""Simulated observations for users: of the plan's world, in which everything is known, or of a sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.world import noise, stars, telescope
from specnb.world.prior import CONTINUUM, LABELS
from specnb.world.streams import generator

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass
class Stars:
    """Simulated observations; arrays are numpy float32.

    Attributes
    ----------
    flux : (n, 3136)
        Clean normalised flux.
    observed : (n, 3136)
        Flux with noise.
    ivar : (n, 3136)
        Inverse variance of ``observed``; 0 = bad pixel.
    sigma : (n, 3136)
        Error at unit level.
    level : (n,)
        Noise level λ; median continuum S/N = 5/λ.
    labels : astropy.table.Table
        teff, logg, m_h, alpha_m, rv, vsini with units, and c0…c4, the coefficients of the continuum error.

    Examples
    --------
    >>> from specnb import simulate
    >>> stars = simulate(3, seed=1, snr=20)
    >>> len(stars), stars.flux.shape
    (3, (3, 3136))
    >>> stars.labels["teff"].unit
    Unit("K")
    """

    flux: np.ndarray
    observed: np.ndarray
    ivar: np.ndarray
    sigma: np.ndarray
    level: np.ndarray
    labels: Table

    def __len__(self) -> int:
        return len(self.flux)


@dataclass
class SkyStars(Stars):
    """Simulated observations of a sky: ``flux`` is the star as the instrument shows it, without noise or gas before it.

    Attributes
    ----------
    transmission : (n, 3136)
        Of the gas between the stars and of the air.
    velocity, ln_resolution : (n, arms)
        Zero-point of every arm in km/s, and logarithm of its resolving power over 1800.
    amplitudes : (n, k)
        Of what real stars have beside the model (:mod:`specnb.world.correction`).
    """

    transmission: np.ndarray
    velocity: np.ndarray
    ln_resolution: np.ndarray
    amplitudes: np.ndarray


def _level(n: int, snr: ArrayLike | None, level: ArrayLike | None) -> torch.Tensor | None:
    """Convert S/N or level, one of the two, to levels (n, 1); None if neither is given."""
    name, value = ("snr", snr) if level is None else ("level", level)
    if value is None:
        return None
    value = validate.numbers(name, value).numpy()
    if value.ndim > 1 or value.size not in (1, n) or not np.all(np.isfinite(value) & (value > 0)):
        raise ValueError(f"{name} is {value!r}; give one positive number or {n} of them")
    value = np.broadcast_to(value.reshape(-1), (n,))
    levels = noise.SNR_AT_UNIT_LEVEL / value if name == "snr" else value.copy()
    return torch.tensor(levels)[:, None]


def simulate(
    n: int,
    seed: int,
    snr: ArrayLike | None = None,
    level: ArrayLike | None = None,
    sky: bool = False,
) -> Stars:
    """Simulate observations of stars drawn from the prior.

    Parameters
    ----------
    n : int
        Number of stars.
    seed : int
        Same seed, same stars. They belong to the test split: no model of this project was trained on them.
    snr, level : float or array of shape (n,), optional
        Median S/N of the continuum per pixel, or noise level λ = 5/snr; one of the two. By default S/N is
        log-uniform in 5…100.
    sky : bool
        Draw real stars' spectra as LAMOST sees them (:mod:`specnb.world.telescope`): the corrected emulator, arms with
        zero-points of their own, wiggles, correlated noise that files misstate, interstellar lines, oxygen. The plan's
        experiments are defined without.

    Returns
    -------
    Stars
        Of a sky :class:`SkyStars`, which says what was done.

    Raises
    ------
    ValueError
        If ``n`` or ``seed`` is not a non-negative integer, or both or non-positive noise levels are given.

    Notes
    -----
    The noise model is :mod:`specnb.world.noise`: shapes set by eye against LAMOST DR10 error vectors. Bad pixels,
    about 1 %, hold garbage and have ``ivar`` 0.

    Examples
    --------
    >>> stars = simulate(2, seed=1, snr=[10, 50])
    >>> stars.observed.shape
    (2, 3136)
    >>> stars.level  # 5 / snr
    array([0.5, 0.1], dtype=float32)
    >>> simulate(2, seed=1, snr=10, sky=True).velocity.shape  # two arms
    (2, 2)
    """
    from astropy.table import Table  # here, because it takes long to import

    n, seed = validate.integer("n", n, 1), validate.integer("seed", seed, 0)
    if snr is not None and level is not None:
        raise ValueError(f"snr is {snr!r} and level is {level!r}; give one of them (level = 5/snr)")
    draw = telescope.draw if sky else stars.draw
    batch = draw(n, generator("test", seed), _level(n, snr, level))
    table = Table()
    for column, values in zip([*LABELS, *CONTINUUM], batch.labels.numpy().T, strict=True):
        table[column] = values * LABELS.get(column, u.dimensionless_unscaled)
    common = {
        "flux": batch.x.numpy(),
        "observed": batch.y.numpy(),
        "ivar": batch.ivar.numpy(),
        "sigma": batch.sigma.numpy(),
        "level": batch.level[:, 0].numpy(),
        "labels": table,
    }
    if not isinstance(batch, telescope.SkyBatch):
        return Stars(**common)
    own = ("transmission", "velocity", "ln_resolution", "amplitudes")
    return SkyStars(**common, **{name: getattr(batch, name).numpy() for name in own})
