r"""Do sampled spectra look like stars? Distances between a set of samples and a set of held-out spectra.

A loss says nothing about samples. Every distance here has a reference: what two sets of held-out spectra give.
"""

import warnings

import numpy as np
import torch
from scipy.stats import binomtest, ks_2samp
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from specnb.spectral_lines.windows import strengths
from specnb.world import fit

MISFIT_SNR = 100.0


def two_sample(a, b, components=40, seed=0):
    """Accuracy of a classifier that tells two sets apart, 0.5 if it cannot (Lopez-Paz & Oquab 2017, arXiv:1610.06545).

    A multilayer perceptron on the whitened principal components of both, five-fold cross-validation.

    Parameters
    ----------
    a, b : numpy.ndarray
        Shape (n, pixels), as many of each.
    components, seed : int

    Returns
    -------
    (accuracy, low, high)
        With the 95 % interval of a binomial share.
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
    right = int((told == y).sum())
    interval = binomtest(right, len(y)).proportion_ci(method="wilson")
    return right / len(y), float(interval.low), float(interval.high)


def misfit(flux):
    """Root mean square difference of spectra (n, 3136) to the nearest spectrum of the emulator and its continuum, (n,).

    The nearest is the most likely at ``MISFIT_SNR`` in every pixel; held-out spectra show how well the search ends.
    """
    x = torch.as_tensor(flux)
    ivar = torch.full_like(x, MISFIT_SNR**2)
    nearest = torch.cat(
        [fit.denoise(*rows) for rows in zip(x.split(64), ivar.split(64), strict=True)]
    )
    return (nearest - x).square().mean(1).sqrt().numpy()


def distances(samples, held_out, seed=0):
    """All distances between two sets of spectra, (n, 3136) float32 each.

    Returns
    -------
    dict
        - ``two_sample``: accuracy, low, high.
        - ``mean``: root mean square difference of the means in units of each pixel's scatter.
        - ``covariance``: Frobenius norm of the covariances' difference over that of ``held_out``.
        - ``misfit``: median and 95th percentile of :func:`misfit` of the first 64 samples.
        - ``lines``: p of the Kolmogorov-Smirnov test of each line's equivalent widths.
    """
    mean, scatter = held_out.mean(0), held_out.std(0)
    covariance = np.cov(held_out.T)
    widths, expected = strengths(samples), strengths(held_out)
    return {
        "two_sample": list(two_sample(samples, held_out, seed=seed)),
        "mean": float(np.sqrt((((samples.mean(0) - mean) / scatter) ** 2).mean())),
        "covariance": float(
            np.linalg.norm(np.cov(samples.T) - covariance) / np.linalg.norm(covariance)
        ),
        "misfit": [float(v) for v in np.quantile(misfit(samples[:64]), [0.5, 0.95])],
        "lines": {name: float(ks_2samp(widths[name], expected[name]).pvalue) for name in widths},
    }
