r"""Clean spectra on demand and simulated observations.

Eleven numbers make a star (teff, logg, m_h, alpha_m, rv, vsini and five Legendre coefficients of the continuum
error); the observation is

.. math:: x = \Big(1 + \sum_{k=0}^{4} c_k P_k(u)\Big)\, F(\theta), \qquad y = x + \lambda\,\sigma \odot \epsilon .

Splits are disjoint by construction: every batch has a generator seeded by (split, seed, step), and what a user
simulates is of the test split. Training batches are functions of (seed, step): nothing is stored or repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.grid import FINE_RESOLUTION, N_PIXELS, RESOLUTION
from specnb.world import noise
from specnb.world.emulator import Emulator, load_emulator
from specnb.world.prior import (
    ALPHA_M,
    LABELS,
    LOGG_MAX,
    M_H,
    TEFF,
    draw_labels,
    logg_min,
)
from specnb.world.streams import generator

SNR = (5.0, 100.0)
"""Range of the default S/N, log-uniform."""

TRAINING_SNR = (5.0, 2000.0)
"""The same for training: a deterministic sampler takes a spectrum through every level down to none."""

FLAT_LEVELS = (5e-4, 20.0)
"""For training too: noise that is equal in all pixels, from next to none to where nothing of a star is left."""


@lru_cache(maxsize=4)
def legendre(device: str = "cpu") -> torch.Tensor:
    """Compute the Legendre polynomials P_0…P_4 over the native grid, shape (5, 3136)."""
    columns = np.polynomial.legendre.legvander(np.linspace(-1, 1, N_PIXELS), 4)
    return torch.tensor(columns.T, dtype=torch.float32, device=device)


def normalised(
    labels: torch.Tensor, emulator: Emulator, resolution: float = RESOLUTION
) -> torch.Tensor:
    """Compute spectra without continuum error: labels (n, 6 or more) → (n, 3136), differentiable."""
    r = labels.new_full((1,), resolution)
    return emulator(labels[:, :4], labels[:, 4], labels[:, 5], r)


def clean(labels: torch.Tensor, emulator: Emulator, resolution: float = RESOLUTION) -> torch.Tensor:
    """Compute clean spectra of the 11 labels: (n, 11) → (n, 3136), differentiable."""
    continuum = 1 + labels[:, 6:] @ legendre(str(labels.device))
    return normalised(labels, emulator, resolution) * continuum


@dataclass
class Batch:
    """Simulated stars on one device.

    Attributes
    ----------
    x, y : torch.Tensor
        Clean flux and flux with noise, (n, 3136).
    sigma : torch.Tensor
        Error at unit level, (n, 3136).
    level : torch.Tensor
        Noise level λ, (n, 1): the error of y is λσ.
    good : torch.Tensor
        False at bad pixels, (n, 3136).
    labels : torch.Tensor
        ``LABELS``, then ``CONTINUUM``, (n, 11).
    """

    x: torch.Tensor
    y: torch.Tensor
    sigma: torch.Tensor
    level: torch.Tensor
    good: torch.Tensor
    labels: torch.Tensor

    @property
    def ivar(self) -> torch.Tensor:
        """Inverse variance of y, 0 at bad pixels, (n, 3136)."""
        return self.good / (self.level * self.sigma) ** 2


@dataclass
class DiffusedBatch(Batch):
    """A batch with a state of each star's diffusion beside y: again = x + again_level ε, (n, 3136) and (n, 1)."""

    again: torch.Tensor
    again_level: torch.Tensor


def draw(
    n: int,
    rng: torch.Generator,
    level: ArrayLike | torch.Tensor | None = None,
    snr: tuple[float, float] = SNR,
) -> Batch:
    """Simulate ``n`` stars with generator ``rng`` on its device; ``level`` (n, 1), or S/N log-uniform in ``snr``."""
    emulator = load_emulator(str(rng.device))
    labels = draw_labels(n, rng)
    with torch.no_grad():
        x = clean(labels, emulator)
    sigma, good = noise.draw_sigma(n, rng), noise.draw_mask(n, rng)
    if level is None:
        share = torch.rand(n, 1, generator=rng, device=rng.device)
        level = noise.SNR_AT_UNIT_LEVEL / snr[0] * (snr[0] / snr[1]) ** share
    level = torch.as_tensor(level, dtype=torch.float32, device=rng.device)
    epsilon, hit = torch.randn(2, n, N_PIXELS, generator=rng, device=rng.device)
    # a bad pixel holds anything but the star
    y = torch.where(good, x + level * sigma * epsilon, 2 * hit.abs())
    return Batch(x, y, sigma, level, good, labels)


def _flat(x: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Add noise that is equal in all pixels to ``x`` (n, 3136); with its levels (n, 1), log-uniform."""
    low, high = FLAT_LEVELS
    level = low * (high / low) ** torch.rand(len(x), 1, generator=rng, device=x.device)
    return x + level * torch.randn(x.shape, generator=rng, device=x.device), level


def stream(
    batch_size: int,
    seed: int = 0,
    split: str = "train",
    device: str | torch.device = "cpu",
    start: int = 0,
    flat: float = 0.0,
    diffused: bool = False,
    draw: Callable[..., Batch] = draw,
) -> Iterator[Batch]:
    """Yield batches without end; batch ``i`` depends only on (split, seed, i), so a run resumes exactly anywhere.

    Parameters
    ----------
    batch_size, seed : int
    split : {"train", "validation", "test"}
        Splits never share a star.
    device : str or torch.device
        Where batches are drawn. Processors and GPUs draw different stars from the same seed.
    start : int
        Number of the first batch.
    flat : float
        Share of each batch whose noise is equal in all pixels, of a level log-uniform in ``FLAT_LEVELS``.
    diffused : bool
        Yield :class:`DiffusedBatch`, which has a second state of each star.
    draw : callable
        Makes the stars of a batch, as :func:`draw` does; :func:`specnb.world.telescope.draw` those of a sky.
    """
    step, n = start, round(flat * batch_size)
    while True:
        rng = generator(split, seed, step, device)
        batch = draw(batch_size, rng, snr=TRAINING_SNR)
        if n:
            batch.y[:n], batch.level[:n] = _flat(batch.x[:n], rng)
            batch.sigma[:n], batch.good[:n] = 1.0, True
        if diffused:
            again, again_level = _flat(batch.x, rng)
            own = {field.name: getattr(batch, field.name) for field in fields(Batch)}
            batch = DiffusedBatch(**own, again=again, again_level=again_level)
        yield batch
        step += 1


def synthesize(
    teff: ArrayLike | torch.Tensor,
    logg: ArrayLike | torch.Tensor,
    m_h: ArrayLike | torch.Tensor,
    alpha_m: ArrayLike | torch.Tensor,
    rv: ArrayLike | torch.Tensor = 0.0,
    vsini: ArrayLike | torch.Tensor = 0.0,
    resolution: ArrayLike | torch.Tensor = RESOLUTION,
) -> np.ndarray | torch.Tensor:
    """Compute clean normalised LTE spectra on the native grid.

    Parameters
    ----------
    teff, logg, m_h, alpha_m : float, array or torch.Tensor
        Effective temperature [K], surface gravity [log cm/s²], metallicity and alpha enhancement [dex]; scalars or
        shape (n,), broadcast against each other.
    rv, vsini : float, array or torch.Tensor
        Radial velocity (z = rv/c) and projected rotation [km/s].
    resolution : float, array or torch.Tensor
        Resolving power λ/FWHM of the Gaussian line-spread function, 500 to below 10,000.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Flux, shape (n, 3136), float32; a tensor, differentiable, if any argument is a tensor.

    Raises
    ------
    ValueError
        If an argument is not finite or lies outside the emulator's domain.

    Notes
    -----
    An emulator after The Payne (Ting et al. 2019, ApJ 879, 69); rotation after Gray, eq. 18.14, with a limb darkening
    of 0.6; see :mod:`specnb.world.emulator` and :mod:`specnb.world.operators`.

    Examples
    --------
    >>> synthesize(5777, 4.44, 0.0, 0.0).shape
    (1, 3136)
    >>> synthesize([4800, 5777], [2.5, 4.44], [-1, 0], [0.3, 0], vsini=5).shape
    (2, 3136)
    """
    arguments = dict(
        teff=teff, logg=logg, m_h=m_h, alpha_m=alpha_m, rv=rv, vsini=vsini, resolution=resolution
    )
    tensors = [v for v in arguments.values() if isinstance(v, torch.Tensor)]
    device = tensors[0].device if tensors else torch.device("cpu")
    columns = {}
    for name, value in arguments.items():
        column = validate.numbers(name, value, LABELS.get(name)).float().to(device)
        columns[name] = torch.atleast_1d(column)
    for name, column in columns.items():
        if column.ndim > 1 or not len(column):
            shape = tuple(column.shape)
            raise ValueError(f"{name} has shape {shape}; give a number or a list of numbers")
    try:
        of_one_length = torch.broadcast_tensors(*columns.values())
    except RuntimeError:
        shapes = {name: tuple(column.shape) for name, column in columns.items()}
        raise ValueError(
            f"the arguments have shapes {shapes}; give scalars or arrays of one length"
        ) from None
    columns = dict(zip(columns, of_one_length, strict=True))
    _refuse_outside(columns)
    labels = torch.stack([columns[name] for name in ("teff", "logg", "m_h", "alpha_m")], 1)
    emulator = load_emulator(str(device))
    flux = emulator(labels, columns["rv"], columns["vsini"], columns["resolution"])
    return flux if tensors else flux.numpy()


def _refuse_outside(columns: dict[str, torch.Tensor]) -> None:
    """Raise a ValueError at the first argument, each (n,), that lies outside of the emulator's domain."""
    domain: dict[str, tuple[float | torch.Tensor, float]] = {
        "teff": TEFF,
        "logg": (logg_min(columns["teff"]), LOGG_MAX),
        "m_h": M_H,
        "alpha_m": ALPHA_M,
        "rv": (-1000.0, 1000.0),
        "vsini": (0.0, 300.0),
        "resolution": (500.0, FINE_RESOLUTION - 1),
    }
    for name, (low, high) in domain.items():
        value = columns[name]
        bad = ~((value >= low - 1e-4) & (value <= high + 1e-4))
        if bad.any():
            lowest = torch.as_tensor(low, device=value.device).expand_as(value)[bad][0]
            raise ValueError(
                f"{name} is {value[bad][0]:.6g}; the emulator's domain is {lowest:.6g} to {high:.6g}"
                + (" at this teff" if name == "logg" else "")
            )
