r"""Counted photons and read noise: draws of p(x | N) for :math:`N = \mathrm{Poisson}(e x + b) + N(0, r^2)`.

Here N are the counts of a pixel in electrons, x the clean flux, e the exposure (electrons for x = 1), b the mean
background and r the read noise. The variance of a pixel is that of the clean spectrum's own light,
:math:`(e x + b + r^2)/e^2`, and so it is known only as well as the spectrum is. Taken from the counts themselves it
makes pixels weigh more that happen to be low, and what follows is too faint. Here it is taken from the denoised
spectrum, twice; the draws from there are proposals, and each weighs what the true likelihood says of it beside the
Gaussian one.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from specnb import validate
from specnb.denoising.denoise import denoise
from specnb.sampling.importance import resample
from specnb.sampling.posterior import sample_posterior

PASSES = 2
"""Denoised spectra that the variance is taken from, one after the other."""

OVERSAMPLING = 4
"""Proposals to a draw."""

TAIL = 7
"""Standard deviations of read noise over which photons are summed."""


def inverse_variance(
    flux: np.ndarray,
    exposure: np.ndarray,
    read_noise: float = 0.0,
    background: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Compute the inverse variance of counts over exposure.

    Parameters
    ----------
    flux : numpy.ndarray
        Clean normalised flux.
    exposure : numpy.ndarray
        Electrons for a normalised flux of 1; where it is 0, so is the result.
    read_noise : float
        Standard deviation, electrons.
    background : float or numpy.ndarray
        Mean electrons of sky and dark current.

    Returns
    -------
    numpy.ndarray
        The shape that the arguments broadcast to.
    """
    light = exposure * np.clip(flux, 1e-3, None) + background + read_noise**2
    return exposure**2 / light


def log_likelihood(counts: ArrayLike, expected: np.ndarray, read_noise: float = 0.0) -> np.ndarray:
    """Compute ln p(counts | expected) of every pixel, up to a constant of the counts.

    It is a sum over the photons there may have been, given what the read noise allows.

    Parameters
    ----------
    counts : array
        Electrons, shape (k,) or (m, k).
    expected : numpy.ndarray
        Mean electrons of m spectra, above 0, shape (m, k).
    read_noise : float
        Standard deviation, electrons.

    Returns
    -------
    numpy.ndarray
        Shape (m, k).
    """
    counts = np.asarray(counts, "f8")
    middle, reach = np.clip(np.round(counts), 0, None), int(np.ceil(TAIL * read_noise))
    logs, total = np.log(expected), np.full(np.shape(expected), -np.inf)
    for step in range(-reach, reach + 1):
        photons = middle + step
        rest = -0.5 * ((counts - photons) / read_noise) ** 2 if read_noise else 0.0
        ways = np.where(photons >= 0, rest - gammaln(np.abs(photons) + 1), -np.inf)
        total = np.logaddexp(total, ways + photons * logs)
    return total - expected


def sample_counts(
    counts: ArrayLike,
    exposure: ArrayLike,
    read_noise: float = 0.0,
    background: ArrayLike = 0.0,
    n_samples: int = 64,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw clean spectra that counted photons allow.

    Parameters
    ----------
    counts : array
        Electrons, background and read noise included, shape (n, 3136).
    exposure : array
        Electrons for a normalised flux of 1, shape (n, 3136) or (3136,); 0 = bad pixel.
    read_noise : float
        Standard deviation, electrons.
    background : float or array
        Mean electrons of sky and dark current.
    n_samples, seed : int
        As for :func:`specnb.sample_posterior`.

    Returns
    -------
    flux : numpy.ndarray
        Shape (n, n_samples, 3136).
    share : numpy.ndarray
        Effective share of the proposals, (n,): small if the Gaussian likelihood was far from the true one.

    Raises
    ------
    ValueError
        If read noise, exposure or background are negative; and see :func:`specnb.validate.spectra`.
    """
    n_samples = validate.integer("n_samples", n_samples, 1)
    counts = np.atleast_2d(np.asarray(counts, "f8"))
    exposure = np.broadcast_to(exposure, counts.shape).astype("f8")
    background = np.broadcast_to(background, counts.shape).astype("f8")
    electrons: dict[str, float | np.ndarray] = {
        "read_noise": read_noise,
        "exposure": exposure,
        "background": background,
    }
    for name, value in electrons.items():
        if not (np.isfinite(value).all() and np.min(value) >= 0):
            raise ValueError(
                f"{name} has the value {np.min(value)}; give finite electrons, 0 or more"
            )
    good = exposure > 0
    flux = np.where(good, (counts - background) / np.where(good, exposure, 1), 1.0)
    estimate = np.ones_like(flux)
    for _ in range(1 + PASSES):
        ivar = inverse_variance(estimate, exposure, read_noise, background)
        estimate = np.asarray(denoise(flux, ivar))
    draws = np.asarray(sample_posterior(flux, ivar, OVERSAMPLING * n_samples, seed))
    out = np.empty((len(counts), n_samples, counts.shape[1]), "f4")
    share = np.empty(len(counts))
    for i, x in enumerate(draws.astype("f8")):
        use = good[i]
        expected = exposure[i, use] * np.clip(x[:, use], 1e-3, None) + background[i, use]
        weight = log_likelihood(counts[i, use], expected, read_noise).sum(1)
        weight += 0.5 * ((x[:, use] - flux[i, use]) ** 2 * ivar[i, use]).sum(1)
        at, share[i] = resample(weight, n_samples, np.random.default_rng([seed, i]))
        out[i] = x[at]
    return out, share
