r"""Is a posterior what it says? Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788).

If :math:`\theta^\ast` is drawn from the prior, y from the likelihood and :math:`\theta_1 \dots \theta_L` from the
posterior, the rank of :math:`\theta^\ast` among them is uniform on :math:`0 \dots L`.
"""

import numpy as np
from numpy.typing import ArrayLike


def ranks(draws: ArrayLike, truth: ArrayLike, keep: int = 63) -> np.ndarray:
    """Compute the rank of the truth among ``keep`` evenly spaced draws.

    Parameters
    ----------
    draws : numpy.ndarray
        Shape (n, m); spacing them makes a chain's draws nearly independent.
    truth : numpy.ndarray
        Shape (n,).

    Returns
    -------
    numpy.ndarray
        Integers from 0 to ``keep``, shape (n,).

    Raises
    ------
    ValueError
        If there are fewer than ``keep`` draws.
    """
    draws = np.asarray(draws)
    if draws.shape[1] < keep:
        raise ValueError(f"draws has {draws.shape[1]} draws a star; ranks need at least {keep}")
    spaced = np.linspace(0, draws.shape[1] - 1, keep).round().astype(int)
    return (draws[:, spaced] < np.asarray(truth)[:, None]).sum(1)


def uniformity(rank: ArrayLike, keep: int = 63, bins: int = 16) -> float:
    """Compute the p value of a χ² test that ranks are uniform on 0…keep, in ``bins`` equal bins.

    Raises
    ------
    ValueError
        If ``bins`` does not divide ``keep`` + 1.
    """
    from scipy.stats import chisquare  # here, because it takes long to import

    if (keep + 1) % bins:
        raise ValueError(
            f"bins is {bins}; it must divide keep + 1 = {keep + 1}, or equal bins are not equally likely"
        )
    counts = np.bincount(np.asarray(rank) * bins // (keep + 1), minlength=bins)
    return float(chisquare(counts).pvalue)


def nearer(draws: np.ndarray, truth: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Compute the share of draws that are nearer to a reference than the truth is.

    This is the test of accuracy with random points (TARP; Lemos et al. 2023, arXiv:2302.03026).
    Uniform on 0…1 if the draws are calibrated, whatever the reference is that depends on the observation alone. One
    drawn without regard to the observation has no power in many dimensions.

    Parameters
    ----------
    draws, truth, reference : numpy.ndarray
        Shapes (n, m, d), (n, d), (n, d), in units in which a distance means something.

    Returns
    -------
    numpy.ndarray
        Shape (n,).
    """
    distance = np.linalg.norm(draws - reference[:, None], axis=2)
    distance_of_truth = np.linalg.norm(truth - reference, axis=1)
    return (distance < distance_of_truth[:, None]).mean(1)


def expected_error(draws: np.ndarray, truth: np.ndarray, levels: int = 19) -> float:
    """Compute the mean absolute difference of coverage and nominal probability over ``levels`` central intervals.

    Parameters
    ----------
    draws, truth : numpy.ndarray
        Shapes (n, m) and (n,).
    levels : int
        Nominal probabilities 1/(levels + 1), 2/(levels + 1), ….

    Returns
    -------
    float
    """
    from_middle = np.abs((draws < truth[:, None]).mean(1) - 0.5)
    differences = []
    for p in np.arange(1, levels + 1) / (levels + 1):
        coverage = (from_middle <= p / 2).mean()
        differences.append(abs(coverage - p))
    return float(np.mean(differences))


def scale(draws: np.ndarray, truth: np.ndarray, probability: float = 0.68) -> float:
    """Find the factor by which draws must move away from their mean for central intervals to cover the truth.

    Parameters
    ----------
    draws, truth : numpy.ndarray
        Shapes (n, m) and (n,).
    probability : float
        Nominal probability of the intervals.

    Returns
    -------
    float
    """
    mean = draws.mean(1)
    low, high = np.quantile(draws, [(1 - probability) / 2, (1 + probability) / 2], axis=1)
    side, away = np.where(truth > mean, high, low) - mean, truth - mean
    never = np.full(len(truth), np.inf)
    needed = np.divide(away, side, out=never, where=side * away > 0)
    return float(np.quantile(needed, probability, method="higher"))


def widen(draws: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance of draws (n, m) from their mean by ``factor``."""
    mean = draws.mean(1, keepdims=True)
    return mean + factor * (draws - mean)


def recalibrate(draws: np.ndarray, pit: np.ndarray) -> np.ndarray:
    """Move draws to the quantiles that the truth had elsewhere (Kuleshov et al. 2018, arXiv:1807.00263).

    Parameters
    ----------
    draws : numpy.ndarray
        Shape (n, m).
    pit : numpy.ndarray
        Share of draws below the truth, of other stars: the probability integral transform.

    Returns
    -------
    numpy.ndarray
        Shape (n, m), ascending.
    """
    level = np.quantile(pit, (np.arange(draws.shape[1]) + 0.5) / draws.shape[1])
    return np.quantile(draws, level, axis=1).T
