import numpy as np
import pytest
from scipy.stats import kstest, norm

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


def test_shares_nearer_to_a_reference_are_uniform_if_and_only_if_calibrated():
    rng = np.random.default_rng(3)
    y = rng.standard_normal((600, 2))  # truth | y is N(y, 1) in two dimensions
    truth, draws = (y[:, None] + rng.standard_normal((600, k, 2)) for k in (1, 200))
    truth, reference = truth[:, 0], y + rng.standard_normal((600, 2))
    assert kstest(calibration.nearer(draws, truth, reference), "uniform").pvalue > 0.01
    narrow = y[:, None] + 0.6 * (draws - y[:, None])
    assert kstest(calibration.nearer(narrow, truth, reference), "uniform").pvalue < 1e-4


def test_expected_error_is_that_of_the_coverage():
    rng = np.random.default_rng(4)
    truth, draws = rng.standard_normal(4000), rng.standard_normal((4000, 400))
    assert calibration.expected_error(draws, truth) < 0.02
    levels = np.arange(1, 20) / 20
    half = [
        2 * norm.cdf(0.5 * norm.ppf(0.5 + p / 2)) - 1 for p in levels
    ]  # intervals half as wide as they should be
    assert calibration.expected_error(0.5 * draws, truth) == pytest.approx(
        np.mean(levels - half), abs=0.02
    )
