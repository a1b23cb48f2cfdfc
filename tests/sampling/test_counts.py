"""The likelihood of counted photons against sums and simulation; draws against the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from specnb import simulate
from specnb.sampling import counts


@given(st.floats(0.1, 500), st.floats(-4, 4), st.floats(0.8, 6))
def test_the_likelihood_is_a_convolution(expected, away, read_noise):
    seen = expected + away * np.sqrt(expected + read_noise**2)
    k = np.arange(0, 1400)
    direct = (poisson.pmf(k, expected) * norm.pdf(seen, k, read_noise)).sum()
    near = (poisson.pmf(k, 0.9 * expected) * norm.pdf(seen, k, read_noise)).sum()
    found = counts.log_likelihood([seen], np.array([[expected], [0.9 * expected]]), read_noise)
    assert found[0, 0] - found[1, 0] == pytest.approx(np.log(direct / near), abs=1e-3)


def test_without_read_noise_it_is_poissons():
    k = np.array([0, 1, 7, 200])
    found = counts.log_likelihood(k, np.full((1, 4), 5.5))
    assert np.allclose(found[0], poisson.logpmf(k, 5.5))


def test_many_photons_are_gaussian():
    """Per pixel, the curvature of ln p at its maximum is the inverse variance."""
    e, r, b = 2000.0, 4.0, 50.0
    at = np.array([[0.999], [1.0], [1.001]])
    low, middle, high = counts.log_likelihood([e + b], e * at + b, r)[:, 0]
    ivar = counts.inverse_variance(1.0, e, r, b)
    assert -(low + high - 2 * middle) / 1e-6 == pytest.approx(ivar, rel=0.01)


@pytest.fixture(scope="module")
def observed():
    stars, rng = simulate(3, 71, level=0.5), np.random.default_rng(5)
    exposure = np.full(3136, 60.0)
    exposure[100:110] = 0
    electrons = rng.poisson(exposure * stars.flux + 5.0) + 3.0 * rng.standard_normal(
        stars.flux.shape
    )
    return stars, electrons, exposure


def test_draws_follow_the_true_likelihood(observed):
    stars, electrons, exposure = observed
    x, share = counts.sample_counts(electrons, exposure, 3.0, 5.0, n_samples=48, seed=2)
    assert x.shape == (3, 48, 3136)
    assert (share > 0.2).all()
    again, _ = counts.sample_counts(electrons, exposure, 3.0, 5.0, n_samples=48, seed=2)
    assert np.array_equal(x, again)
    z = (x.mean((1, 2)) - stars.flux.mean(1)) / x.mean(2).std(1)
    assert (np.abs(z) < 4.5).all()
    expected = exposure * x.mean(1) + 5.0
    good = exposure > 0
    chi2 = ((electrons - expected) ** 2 / (expected + 9.0))[:, good].mean(1)
    assert np.allclose(chi2, 1, atol=0.12)


def test_variances_from_the_counts_themselves_make_spectra_too_faint(observed):
    stars, electrons, exposure = observed
    good = exposure > 0
    y = (electrons - 5.0)[:, good] / exposure[good]
    own = counts.inverse_variance(y, exposure[good], 3.0, 5.0)
    true = counts.inverse_variance(stars.flux[:, good], exposure[good], 3.0, 5.0)
    faint, fair = (((y - stars.flux[:, good]) * w).sum(1) / w.sum(1) for w in (own, true))
    assert (faint < -0.005).all()
    assert np.abs(fair).max() < 0.01


@pytest.mark.parametrize(
    ("name", "value"), [("exposure", -1.0), ("read_noise", -1.0), ("background", np.nan)]
)
def test_bad_arguments_are_named(name, value):
    settings = {"exposure": np.ones(3136), name: value}
    with pytest.raises(ValueError, match=f"{name} has the value"):
        counts.sample_counts(np.ones((1, 3136)), **settings)
