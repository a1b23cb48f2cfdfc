"""The judge of posteriors over labels passes exact ones and sees others."""

import numpy as np
import pytest
from scipy.stats import kstest

from specnb.experiments import parameters
from specnb.world.prior import LABELS

CENTRE = np.array([5600.0, 3.5, -1.0, 0.2, 0.0, 20.0])


@pytest.fixture(scope="module")
def world():
    """Truths, exact draws and others, in a world where θ | y is N(y, SCALE²)."""
    rng = np.random.default_rng(0)
    y = CENTRE + 2 * parameters.SCALE * rng.standard_normal((60, 6))
    truth = y + parameters.SCALE * rng.standard_normal(y.shape)
    one, other = (
        y[:, None] + parameters.SCALE * rng.standard_normal((60, 64, 6)) for _ in range(2)
    )
    return y, truth, one, other


def test_exact_draws_pass(world):
    _, truth, one, other = world
    found = parameters.judge(one, truth, other)
    for region, labels in found.coverage.items():
        for name in LABELS:
            assert (
                labels[name].coverage_68.low - 0.03 <= 0.68 <= labels[name].coverage_68.high + 0.03
            ), (
                region,
                name,
            )
    assert max(found.expected_error.values()) < 0.09
    assert kstest(found.nearer, "uniform").pvalue > 0.01
    assert found.two_sample.value == pytest.approx(0.5, abs=0.03)


def test_draws_that_are_too_narrow_or_shifted_are_seen(world):
    y, truth, one, other = world
    narrow = parameters.judge(y[:, None] + 0.5 * (one - y[:, None]), truth, other)
    assert all(narrow.coverage["all"][name].coverage_68.high < 0.66 for name in LABELS)
    assert kstest(narrow.nearer, "uniform").pvalue < 1e-3
    assert narrow.two_sample.value > 0.6
    shifted = parameters.judge(one + parameters.SCALE, truth, other)
    assert shifted.two_sample.value > 0.6


def test_regions_are_parts_of_the_prior(world):
    _, truth, _, _ = world
    inside = {name: which(truth) for name, which in parameters.REGIONS.items()}
    assert inside["all"].all()
    assert np.array_equal(inside["giants"], ~inside["dwarfs"])
    assert np.array_equal(inside["metal-poor"], ~inside["metal-rich"])


def test_errors_are_bias_and_scatter(world):
    y, truth, _, _ = world
    found = parameters.errors(truth + 0.3 * parameters.SCALE, truth)
    assert found["teff"].bias.value == pytest.approx(150)
    assert found["teff"].scatter.value == pytest.approx(0, abs=1e-6)
    spread = parameters.errors(y, truth)["rv"].scatter
    assert spread[1] < 30 < spread[2] * 1.05
