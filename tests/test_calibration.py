import numpy as np
import pytest

from specnb import calibration


def gaussian(n, width, seed=0):
    """Posterior draws of a Gaussian mean with known answer, ``width`` times too wide."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    y = truth + rng.normal(size=n)
    return 0.5 * y[:, None] + width * np.sqrt(0.5) * rng.normal(size=(n, 500)), truth


def test_exact_posteriors_have_uniform_ranks_and_others_do_not():
    assert calibration.uniformity(calibration.ranks(*gaussian(2000, 1.0))) > 0.01
    assert calibration.uniformity(calibration.ranks(*gaussian(2000, 0.8))) < 1e-4
    draws, truth = gaussian(2000, 1.0)
    assert calibration.uniformity(calibration.ranks(draws + 0.15, truth)) < 1e-3


def test_ranks_by_hand():
    draws = np.tile(np.arange(63.0), (3, 1))
    assert calibration.ranks(draws, np.array([-1.0, 31.5, 100.0])).tolist() == [0, 32, 63]


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="draws has 10 draws a star"):
        calibration.ranks(np.zeros((2, 10)), np.zeros(2))


def test_bins_that_do_not_divide_the_ranks_are_refused():
    with pytest.raises(ValueError, match="bins is 10"):
        calibration.uniformity(np.zeros(5, dtype=int), bins=10)
