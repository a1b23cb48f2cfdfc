"""The comparison of samplers must pass what is right and see what is wrong."""

import numpy as np
import pytest

from specnb.experiments import comparison
from specnb.labels.oracle import oracle
from specnb.sampling import instruments
from specnb.world.simulate import simulate


@pytest.fixture(scope="module")
def world():
    stars = simulate(3, 91, snr=20)
    return comparison.reference(
        stars, oracle(stars.observed, stars.ivar, n_samples=512, seed=1), 100
    )


def test_exact_draws_pass(world):
    found = comparison.scores(world.other, world)
    assert found.rho.value == pytest.approx(1, abs=0.05)
    assert found.spread.value == pytest.approx(1, abs=0.1)
    assert found.two_sample.value == pytest.approx(0.5, abs=0.1)
    for label, unit in (("teff", 300), ("logg", 0.6), ("m_h", 0.5)):
        assert abs(found.bias[label].value) < unit


def test_draws_that_are_wide_or_shifted_are_seen(world):
    draws = world.other
    mean = draws.mean(1, keepdims=True)
    wide = comparison.scores(mean + 2 * (draws - mean), world)
    assert wide.spread.value == pytest.approx(2, abs=0.2)
    assert wide.coverage_68.value > 0.85
    assert wide.two_sample.value > 0.65
    shifted = comparison.scores(draws + 3 * draws.std(1, keepdims=True), world)
    assert shifted.rho.value > 2
    assert shifted.coverage_68.value < 0.3


def test_the_gaussian_world_tells_an_exact_sampler_from_another():
    ways = {"exact": {"steps": 2}, "ancestral": {"method": "ancestral", "steps": 4}}
    found = comparison.gaussian_world(ways, 10, 3, 100, seed=3)
    assert found["exact"].spread == pytest.approx(1, abs=0.06)
    assert found["exact"].shift == pytest.approx(0.1, abs=0.03)
    assert found["exact"].coverage_68.value == pytest.approx(0.68, abs=0.1)
    assert found["ancestral"].spread < 0.8


def test_a_guidance_that_is_too_strong_is_seen_and_does_not_run_away():
    (row,) = comparison.sweep([1e5], 50, n=1, n_samples=6, steps=15)
    assert 5 < row.rho < 1000


def test_through_an_instrument_the_mean_fits_the_observation():
    found = comparison.through(
        instruments.rebin(3), {"mmps": {"method": "mmps", "steps": 8}}, 20, 2, 40
    )["mmps"]
    assert found.chi2 == pytest.approx(1, abs=0.12)
    assert found.rmse.value < 0.02
    assert 0.4 < found.coverage_68.value < 0.9


def test_summaries_are_eleven_numbers_a_spectrum():
    stars = simulate(40, 92)
    found = comparison.summaries(stars.flux[:, None])
    assert found.shape == (40, 1, 11)
    teff = np.asarray(stars.labels["teff"])
    assert np.corrcoef(found[:, 0, 5], teff)[0, 1] > 0.98
