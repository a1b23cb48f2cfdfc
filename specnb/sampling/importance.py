"""From draws of one distribution to draws of another by their weights."""

import numpy as np


def resample(log_weight: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Choose ``n`` of m proposals by their weights, as evenly as these allow (systematic resampling; Kitagawa 1996).

    Parameters
    ----------
    log_weight : numpy.ndarray
        ln of target over proposal density, up to a constant, shape (m,).
    n : int
        How many to choose.
    rng : numpy.random.Generator

    Returns
    -------
    chosen : numpy.ndarray
        Their numbers, (n,).
    share : float
        Effective number of proposals over m: 1 if all weigh the same, 1/m if one has all the weight.
    """
    from scipy.special import softmax  # here, because scipy.special takes long to import

    weight = softmax(log_weight)
    at = np.searchsorted(weight.cumsum(), (rng.random() + np.arange(n)) / n)
    return at.clip(max=len(weight) - 1), float(1 / (len(weight) * (weight**2).sum()))
