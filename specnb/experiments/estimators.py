r"""Labels from a spectrum, the ordinary way: regressions that know the noise.

They learn on noisy, denoised or clean spectra. What they see is the linear estimate of a spectrum's components given
its noise map (:mod:`specnb.denoising.subspace`), shrunk where the data say little, and the noise level. They answer
in the prior's normal coordinates, so that every estimate lies in the prior. The third way of estimating, a fit
through the emulator, is :func:`specnb.world.fit.labels`.
"""

import warnings
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
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
INPUTS = ("noisy", "denoised", "clean")
KINDS = ("ridge", "mlp")


def components(flux: torch.Tensor) -> torch.Tensor:
    """Compute the first components of spectra without noise, (n, 3136) → (n, rank)."""
    model = networks.load("bounded")
    return ((flux - model.mean) @ model.first) / model.first.square().sum(0)


def noisy_components(flux: torch.Tensor, ivar: torch.Tensor) -> torch.Tensor:
    """Estimate the components linearly, with the noise level, (n, 3136) each → (n, rank + 1)."""
    return networks.load("bounded").first_look(Observed(flux, ivar))


def seen(
    which: str, flux: ArrayLike | torch.Tensor, ivar: ArrayLike | torch.Tensor | None
) -> np.ndarray:
    """Compute what an estimator for "noisy", "denoised" or "clean" spectra is given of them, (n, ·) numpy.

    ``flux`` is of that kind already; of the first two the noise level of ``ivar`` is seen, too.
    """
    flux = torch.as_tensor(flux, dtype=torch.float32)
    if which == "clean":
        return components(flux).numpy()
    ivar = torch.as_tensor(ivar, dtype=torch.float32)
    if which == "noisy":
        return noisy_components(flux, ivar).numpy()
    return torch.cat([components(flux), coordinate(Observed(flux, ivar).noise)[:, None]], 1).numpy()


@lru_cache(maxsize=2)
def _training(n):
    """Features by kind of input, and targets (n, 6), of stars of the training split with S/N from 5 to 100."""
    batch = draw(n, generator("train", 0, streams.ESTIMATORS))
    flux = torch.where(batch.good, batch.y, 1.0)
    denoised = networks.load("bounded").denoise(Observed(flux, batch.ivar))
    spectra = {"noisy": flux, "denoised": denoised, "clean": batch.x}
    target = prior.to_normal(batch.labels.double()).numpy()
    return {which: seen(which, x, batch.ivar) for which, x in spectra.items()}, target


@lru_cache(maxsize=6)
def fitted(kind: str, which: str, n: int = N_TRAINING) -> Pipeline:
    """Fit a scikit-learn regression of the labels' normal coordinates on ``n`` spectra of a kind.

    Raises
    ------
    ValueError
        If ``kind`` is not in ``KINDS`` or ``which`` not in ``INPUTS``.
    """
    if kind not in KINDS or which not in INPUTS:
        raise ValueError(f"kind is {kind!r} and which {which!r}; choose from {KINDS} and {INPUTS}")
    regression = {
        "ridge": RidgeCV(np.geomspace(1e-3, 1e3, 7)),
        "mlp": MLPRegressor(
            hidden_layer_sizes=(256, 256),
            early_stopping=True,
            n_iter_no_change=15,
            max_iter=200,
            random_state=0,
        ),
    }[kind]
    features, target = _training(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), regression).fit(features[which], target)


def estimate(
    kind: str,
    which: str,
    flux: ArrayLike | torch.Tensor,
    ivar: ArrayLike | torch.Tensor | None = None,
    n_training: int = N_TRAINING,
) -> np.ndarray:
    """Estimate labels of spectra by a regression: teff, logg, m_h, alpha_m, rv, vsini.

    Parameters
    ----------
    kind : str
        ``"ridge"`` or ``"mlp"``.
    which : str
        What ``flux`` holds: ``"noisy"``, ``"denoised"`` (by ``bounded``) or ``"clean"`` spectra.
    flux, ivar : array or torch.Tensor
        Shape (n, 3136); clean spectra need no ``ivar``.
    n_training : int
        Stars that the regression learns on, the first time.

    Returns
    -------
    numpy.ndarray
        Shape (n, 6).
    """
    z = fitted(kind, which, n_training).predict(seen(which, flux, ivar))
    return prior.from_normal(torch.from_numpy(z.clip(-5, 5))).numpy()
