r"""Is a posterior what it says? Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788).

If :math:`\theta^\ast` is drawn from the prior, y from the likelihood and :math:`\theta_1 \dots \theta_L` from the
posterior, the rank of :math:`\theta^\ast` among them is uniform on :math:`0 \dots L`.
"""

import numpy as np
from scipy.stats import chisquare


def ranks(draws, truth, keep=63):
    """Rank of the truth among ``keep`` evenly spaced draws.

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
    """
    draws = np.asarray(draws)
    if draws.shape[1] < keep:
        raise ValueError(f"draws has {draws.shape[1]} draws a star; ranks need at least {keep}")
    chosen = draws[:, np.linspace(0, draws.shape[1] - 1, keep).round().astype(int)]
    return (chosen < np.asarray(truth)[:, None]).sum(1)


def uniformity(rank, keep=63, bins=16):
    """p value of a χ² test that ranks are uniform on 0…keep, in ``bins`` equal bins."""
    if (keep + 1) % bins:
        raise ValueError(
            f"bins is {bins}; it must divide keep + 1 = {keep + 1}, or equal bins are not equally likely"
        )
    counts = np.bincount(np.asarray(rank) * bins // (keep + 1), minlength=bins)
    return float(chisquare(counts).pvalue)


def nearer(draws, truth, reference):
    """Share of draws that are nearer to a reference than the truth is (TARP; Lemos et al. 2023, arXiv:2302.03026).

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
    return (distance < np.linalg.norm(truth - reference, axis=1)[:, None]).mean(1)


def expected_error(draws, truth, levels=19):
    """Mean difference of coverage and nominal probability, without sign, over ``levels`` central intervals.

    Parameters
    ----------
    draws, truth : numpy.ndarray
        Shapes (n, m) and (n,).
    """
    order = (draws < truth[:, None]).mean(1)
    nominal = np.arange(1, levels + 1) / (levels + 1)
    return float(np.mean([abs((np.abs(order - 0.5) <= p / 2).mean() - p) for p in nominal]))


def scale(draws, truth, probability=0.68):
    """By what the draws' distance from their mean must grow for central intervals of ``probability`` to cover it.

    Parameters
    ----------
    draws, truth : numpy.ndarray
        Shapes (n, m) and (n,).
    """
    mean = draws.mean(1)
    low, high = np.quantile(draws, [(1 - probability) / 2, (1 + probability) / 2], axis=1)
    side = np.where(truth > mean, high, low) - mean
    needed = np.divide(
        truth - mean, side, out=np.full(len(truth), np.inf), where=side * (truth - mean) > 0
    )
    return float(np.quantile(needed, probability, method="higher"))


def widen(draws, factor):
    """Draws (n, m) with their distance from the mean multiplied by ``factor``."""
    mean = draws.mean(1, keepdims=True)
    return mean + factor * (draws - mean)


def recalibrate(draws, pit):
    """Draws (n, m) moved to the quantiles that the truth had elsewhere (Kuleshov et al. 2018, arXiv:1807.00263).

    Parameters
    ----------
    draws : numpy.ndarray
        Shape (n, m).
    pit : numpy.ndarray
        Share of draws below the truth, of other stars.
    """
    level = np.quantile(pit, (np.arange(draws.shape[1]) + 0.5) / draws.shape[1])
    return np.quantile(draws, level, axis=1).T
