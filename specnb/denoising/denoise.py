"""The public door to every denoiser: networks, classical methods and a label fit behind one call."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.denoising import classical, networks
from specnb.denoising.base import Denoiser
from specnb.denoising.emulator_fit import EmulatorFit


def _anywhere(make: Callable[[], Denoiser]) -> Callable[[str], Denoiser]:
    """Make a denoiser that computes on the device of what it is given."""
    return lambda device: make()


METHODS: dict[str, Callable[[str], Denoiser]] = {
    **{name: partial(networks.load, name) for name in networks.SHIPPED},
    "fit": _anywhere(EmulatorFit),
    **{name: _anywhere(make) for name, make in classical.METHODS.items()},
    "wiener": classical.wiener,
}
"""Name → what makes the denoiser, on a device; below :func:`denoise` there are no names."""


def named(method: str, device: torch.device | str = "cpu") -> Denoiser:
    """Make the denoiser of a name, one of ``METHODS``; ValueError if it is none."""
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {sorted(METHODS)}")
    return METHODS[method](str(device))


def denoise(
    flux: ArrayLike | torch.Tensor, ivar: ArrayLike | torch.Tensor, method: str = "bounded"
) -> np.ndarray | torch.Tensor:
    """Denoise spectra on the native grid.

    Parameters
    ----------
    flux, ivar : array or torch.Tensor
        Normalised flux and its inverse variance (0 = bad pixel), shape (3136,) or (n, 3136).
    method : str
        ``"bounded"``: the posterior mean in one pass, by the network that ships with the package; trained at
        R = 1800, S/N of 5 and more, LAMOST-like error vectors and about 1 % of bad pixels in short runs.
        ``"wmae"``: the same, changing less the less noise there is; trained on the mean absolute error.
        ``"supervised"``: the one-pass answer of the conditional diffusion of :func:`specnb.sample_posterior`.
        ``"dncnn"``: a plain stack of convolutions that sees a line and its neighbours, trained on the same stars.
        ``"fit"``: the spectrum of the most likely labels (:mod:`specnb.world.fit`). ``"wiener"``, ``"pca"``, ``"gp"``,
        ``"wavelet"``, ``"savgol"``, ``"none"``: see :mod:`specnb.denoising.classical`.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Clean flux, float32, the kind and shape of ``flux``. Bad pixels are filled in.

    Raises
    ------
    ValueError
        See :func:`specnb.validate.spectra`; and if ``method`` is unknown.

    Examples
    --------
    >>> from specnb import simulate
    >>> stars = simulate(2, seed=1, snr=10)
    >>> clean = denoise(stars.observed, stars.ivar)
    >>> clean.shape
    (2, 3136)
    >>> bool(abs(clean - stars.flux).mean() < 0.2 * abs(stars.observed - stars.flux).mean())
    True
    """
    observed, restore = validate.spectra(flux, ivar)
    return restore(named(method, observed.device).denoise(observed))
