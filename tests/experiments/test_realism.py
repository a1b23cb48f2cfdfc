"""Distances between samples and stars: nothing found where there is nothing, and what is wrong is found."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

import specnb
from specnb.denoising import networks
from specnb.experiments import realism
from specnb.spectral_lines.equivalent_width import strengths
from specnb.spectral_lines.line_table import LINES


@pytest.fixture(scope="module")
def held_out():
    return specnb.simulate(160, 31).flux


def test_two_sets_of_stars_cannot_be_told_apart(held_out):
    accuracy, low, high = realism.two_sample(specnb.simulate(160, 32).flux, held_out)
    assert low < 0.5 < high + 0.03
    assert low < accuracy < high


def test_a_shift_or_a_lost_line_is_found(held_out):
    other = specnb.simulate(160, 32).flux
    assert realism.two_sample(other + 0.3 * held_out.std(), held_out)[0] > 0.6
    inside = np.abs(specnb.WAVE - 6564.6) < 12
    filled = np.where(inside, 0.5 * (other + 1), other)
    found = ks_2samp(strengths(filled)["Hα"], strengths(held_out)["Hα"])
    assert found.pvalue < 1e-3


def test_misfit_is_nothing_for_a_star_and_the_added_noise_for_a_noisy_one(held_out):
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal(held_out[:8].shape).astype("f4")
    assert np.median(realism.misfit(held_out[:8])) < 5e-4
    assert np.median(realism.misfit(held_out[:8] + noise)) == pytest.approx(0.01, rel=0.1)


def test_draws_of_the_moments_are_no_stars():
    model = networks.load("bounded", "cpu")
    draws = model.draw_gaussian(4096, torch.Generator().manual_seed(0)).numpy()
    assert np.allclose(draws.std(0), model.scatter(), rtol=0.1)
    assert np.median(realism.misfit(draws[:16])) > 5e-3


def test_lines_are_where_their_windows_are(held_out):
    """A Gaussian line of known equivalent width at any radial velocity of the prior."""
    for name, line in LINES.items():
        if line.wide is None:
            continue
        low, high = line.wide.window
        centre = (low + high) / 2
        for shift in (-300, 0, 300):
            at = centre * (1 + shift / 299_792.458)
            flux = 1 - 0.3 * np.exp(-0.5 * ((specnb.WAVE - at) / 1.5) ** 2)
            ew = strengths(flux[None])[name][0]
            assert ew == pytest.approx(0.3 * 1.5 * (2 * np.pi) ** 0.5, rel=0.02)
