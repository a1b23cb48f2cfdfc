r"""Do sampled spectra look like stars? Distances between a set of samples and a set of held-out spectra.

A loss says nothing about samples. Every distance here has a reference: what two sets of held-out spectra give.
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from specnb.denoising.emulator_fit import EmulatorFit
from specnb.experiments.results import Record
from specnb.metrics import Interval, share
from specnb.observed import Observed
from specnb.spectral_lines.equivalent_width import strengths

MISFIT_SNR = 100.0


class Misfit(NamedTuple):
    """Quantiles over spectra of :func:`misfit`."""

    median: float
    percentile_95: float


@dataclass(frozen=True)
class Distances(Record):
    """How far a set of samples is from a set of held-out spectra.

    Attributes
    ----------
    two_sample : Interval
        Accuracy of :func:`two_sample`.
    mean : float
        Root mean square difference of the means in units of each pixel's scatter.
    covariance : float
        Frobenius norm of the covariances' difference over that of the held-out spectra.
    misfit : Misfit
        Of the first 64 samples.
    lines : dict
        Line → p of the Kolmogorov-Smirnov test of its equivalent widths.
    """

    two_sample: Interval
    mean: float
    covariance: float
    misfit: Misfit
    lines: dict[str, float]


def two_sample(a: np.ndarray, b: np.ndarray, components: int = 40, seed: int = 0) -> Interval:
    """Return the accuracy of a classifier of two sets, 0.5 if it cannot tell them apart.

    The test of Lopez-Paz & Oquab (2017, arXiv:1610.06545): a multilayer perceptron on the whitened principal components
    of both, five-fold cross-validation.

    Parameters
    ----------
    a, b : numpy.ndarray
        Shape (n, pixels), as many of each.
    components, seed : int

    Returns
    -------
    Interval
        The accuracy with the binomial interval of a share.
    """
    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    network = MLPClassifier(
        (64, 64), alpha=1e-2, early_stopping=True, n_iter_no_change=20, random_state=seed
    )
    pipeline = make_pipeline(PCA(components, whiten=True, random_state=seed), network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        told = cross_val_predict(
            pipeline, x, y, cv=StratifiedKFold(5, shuffle=True, random_state=seed)
        )
    return share(told == y)


def misfit(flux: ArrayLike | torch.Tensor) -> np.ndarray:
    """Return the rms difference of spectra (n, 3136) to the nearest spectrum of the emulator and its continuum, (n,).

    The nearest is the most likely at ``MISFIT_SNR`` in every pixel; held-out spectra show how well the search ends.
    """
    x = torch.as_tensor(flux)
    ivar = torch.full_like(x, MISFIT_SNR**2)
    nearest = EmulatorFit().denoise(Observed(x, ivar))
    return (nearest - x).square().mean(1).sqrt().numpy()


def distances(samples: np.ndarray, held_out: np.ndarray, seed: int = 0) -> Distances:
    """Measure all distances between two sets of spectra, (n, 3136) float32 each."""
    mean, scatter = held_out.mean(0), held_out.std(0)
    covariance = np.cov(held_out.T)
    off = np.linalg.norm(np.cov(samples.T) - covariance) / np.linalg.norm(covariance)
    widths, expected = strengths(samples), strengths(held_out)
    middle, high = np.quantile(misfit(samples[:64]), [0.5, 0.95])
    return Distances(
        two_sample(samples, held_out, seed=seed),
        mean=float(np.sqrt((((samples.mean(0) - mean) / scatter) ** 2).mean())),
        covariance=float(off),
        misfit=Misfit(float(middle), float(high)),
        lines={name: float(ks_2samp(widths[name], expected[name]).pvalue) for name in widths},
    )
