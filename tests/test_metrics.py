"""Each metric on a case computed by hand."""

import numpy as np
import pytest

from specnb import metrics

TRUTH = np.zeros((2, 4))
ESTIMATE = np.array([[1.0, -1.0, 2.0, 99.0], [0.0, 2.0, 0.0, 0.0]])
GOOD = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=bool)
SIGMA = np.array([[1.0, 2.0, 2.0, 0.0], [1.0, 4.0, 1.0, 1.0]])


def test_by_hand():
    assert metrics.per_spectrum("mse", ESTIMATE, TRUTH, GOOD).tolist() == [2.0, 2.0]
    assert metrics.per_spectrum("wmse", ESTIMATE, TRUTH, GOOD, SIGMA).tolist() == [(1 + 0.25 + 1) / 3, 0.125]
    assert metrics.per_spectrum("wmae", ESTIMATE, TRUTH, GOOD, SIGMA).tolist() == [(1 + 0.5 + 1) / 3, 0.25]


def test_wmae_of_pure_noise_is_0798_s():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 2, (50, 3136))
    noisy = 0.2 * sigma * rng.standard_normal(sigma.shape)
    value = metrics.per_spectrum("wmae", noisy, 0 * sigma, sigma > 0, sigma).mean()
    assert value == pytest.approx(0.798 * 0.2, rel=0.005)


def test_improvement_and_its_interval():
    rng = np.random.default_rng(1)
    truth, good = np.zeros((200, 50)), np.ones((200, 50), dtype=bool)
    observed = rng.standard_normal((200, 50))
    value, low, high = metrics.improvement("mse", 0.5 * observed, observed, truth, good)
    assert value == pytest.approx(0.75)
    assert low == pytest.approx(0.75)
    assert high == pytest.approx(0.75)


def test_bootstrap_interval_of_a_mean_matches_theory():
    x = np.random.default_rng(2).standard_normal(400)
    value, low, high = metrics.bootstrap(np.mean, x)
    assert value == pytest.approx(x.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.per_spectrum("rmse", ESTIMATE, TRUTH, GOOD), "kind is 'rmse'"),
        (lambda: metrics.per_spectrum("wmse", ESTIMATE, TRUTH, GOOD), "sigma is None"),
        (lambda: metrics.per_spectrum("mse", ESTIMATE, TRUTH, GOOD & False), "good of spectrum 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
