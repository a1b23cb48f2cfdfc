r"""Labels from a spectrum, the ordinary way: regressions that know the noise.

They learn on noisy, denoised or clean spectra. What they see is the linear estimate of a spectrum's components given
its noise map (:mod:`specnb.denoising.subspace`), shrunk where the data say little, and the noise level. They answer
in the prior's normal coordinates, so that every estimate lies in the prior. The third way of estimating, a fit
through the emulator, is :func:`specnb.world.fit.labels`.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from specnb.denoising import networks
from specnb.denoising.noisemaps import coordinate
from specnb.observed import Observed
from specnb.world import prior, streams
from specnb.world.stars import draw
from specnb.world.streams import generator

N_TRAINING = 8192


def components(flux: torch.Tensor) -> torch.Tensor:
    """Compute the first components of spectra without noise, (n, 3136) → (n, rank)."""
    model = networks.load("bounded")
    return ((flux - model.mean) @ model.first) / model.first.square().sum(0)


def clean(flux: torch.Tensor, ivar: torch.Tensor | None = None) -> torch.Tensor:
    """Compute what an estimator for clean spectra sees of them, (n, 3136) → (n, rank)."""
    return components(flux)


def noisy(flux: torch.Tensor, ivar: torch.Tensor) -> torch.Tensor:
    """Compute what an estimator for noisy spectra sees of them, (n, 3136) each → (n, rank + 1)."""
    return networks.load("bounded").first_look(Observed(flux, ivar))


def denoised(flux: torch.Tensor, ivar: torch.Tensor) -> torch.Tensor:
    """Compute what an estimator for spectra that ``bounded`` denoised sees of them, (n, 3136) each → (n, rank + 1)."""
    return torch.cat([components(flux), coordinate(Observed(flux, ivar).noise)[:, None]], 1)


def ridge() -> RidgeCV:
    """Make a ridge regression."""
    return RidgeCV(np.geomspace(1e-3, 1e3, 7))


def perceptron() -> MLPRegressor:
    """Make a perceptron with two hidden layers."""
    return MLPRegressor(
        hidden_layer_sizes=(256, 256),
        early_stopping=True,
        n_iter_no_change=15,
        max_iter=200,
        random_state=0,
    )


@lru_cache(maxsize=2)
def _training(n):
    """Features by what sees them, and targets (n, 6), of stars of the training split with S/N from 5 to 100."""
    batch = draw(n, generator("train", 0, streams.ESTIMATORS))
    flux = torch.where(batch.good, batch.y, 1.0)
    smooth = networks.load("bounded").denoise(Observed(flux, batch.ivar))
    features = {
        see: see(x, batch.ivar).numpy()
        for see, x in ((noisy, flux), (denoised, smooth), (clean, batch.x))
    }
    return features, prior.to_normal(batch.labels.double()).numpy()


@lru_cache(maxsize=6)
def fitted(
    regression: Callable[[], RegressorMixin],
    see: Callable[..., torch.Tensor],
    n: int = N_TRAINING,
) -> Pipeline:
    """Fit a regression of the labels' normal coordinates on ``n`` spectra; arguments as of :func:`estimate`."""
    features, target = _training(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), regression()).fit(features[see], target)


def estimate(
    regression: Callable[[], RegressorMixin],
    see: Callable[..., torch.Tensor],
    flux: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor | None = None,
    n_training: int = N_TRAINING,
) -> np.ndarray:
    """Estimate labels of spectra by a regression: teff, logg, m_h, alpha_m, rv, vsini.

    Parameters
    ----------
    regression : callable
        :func:`ridge` or :func:`perceptron`.
    see : callable
        What ``flux`` holds: :func:`noisy`, :func:`denoised` or :func:`clean` spectra.
    flux, ivar : array or torch.Tensor
        Shape (n, 3136); clean spectra need no ``ivar``.
    n_training : int
        Stars that the regression learns on, the first time.

    Returns
    -------
    numpy.ndarray
        Shape (n, 6).
    """
    flux = torch.as_tensor(flux, dtype=torch.float32)
    ivar = None if ivar is None else torch.as_tensor(ivar, dtype=torch.float32)
    z = fitted(regression, see, n_training).predict(see(flux, ivar).numpy())
    return prior.from_normal(torch.from_numpy(z.clip(-5, 5))).numpy()
