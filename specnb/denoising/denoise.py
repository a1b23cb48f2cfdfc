"""The public door to every denoiser: networks, classical methods and a label fit behind one call."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from specnb import validate
from specnb.denoising import classical, networks
from specnb.world import fit


def _network(name):
    def run(flux, ivar):
        return networks.run(networks.load(name, str(flux.device)), flux, ivar)

    return run


METHODS = {
    **{name: _network(name) for name in networks.SHIPPED},
    "fit": fit.denoise,
    **classical.METHODS,
}
"""Functions of checked flux and ivar, (n, 3136) float32 tensors, that return clean flux."""


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
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method is {method!r}; choose one of {sorted(METHODS)}")
    flux, ivar, restore = validate.spectra(flux, ivar)
    with torch.no_grad():
        return restore(METHODS[method](flux, ivar))
