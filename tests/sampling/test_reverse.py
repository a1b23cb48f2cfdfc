"""Samplers against priors with a closed form, before they may use a network."""

import numpy as np
import pytest
import torch
from gaussian_world import gaussian

from specnb.denoising import networks
from specnb.denoising.base import by_mean
from specnb.sampling import reverse


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_samples_of_a_gaussian_prior_have_its_mean_and_covariance(eta, monkeypatch):
    monkeypatch.setattr(reverse, "BATCH", 3000)
    model, mean, covariance = gaussian()
    x = reverse.sample_prior(3000, steps=1000, eta=eta, denoiser=model)
    sd = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean) / sd).abs().max() < 4 / 3000**0.5
    error = (torch.cov(x.mT) - covariance) / (sd[:, None] * sd)
    assert error.abs().max() < 5 * (2 / 3000) ** 0.5


def test_one_point_has_one_sample():
    """T = 1 and 2, the plan's toy: a prior without scatter comes back whatever the noise."""
    g = torch.Generator().manual_seed(0)
    mean, nothing = torch.rand(16, generator=g), torch.full((16,), 1e-6)
    model = networks.PixelDenoiser(
        lambda channels, level: torch.zeros_like(channels[:, 0]), mean, nothing
    )
    for steps in (1, 2):
        ms = reverse.levels(0.1, steps)
        assert len(ms) == steps + 1
        u = mean + float(ms[0]) * torch.randn(4, 16, generator=g)
        found = reverse.reverse(by_mean(model), u, ms, 1.0, g)
        assert torch.allclose(found, mean.expand(4, -1), atol=1e-4)


def test_levels_are_those_of_ddpm():
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    assert np.allclose(reverse.levels(0.1)[:-1], 0.1 * np.sqrt(1 / kept[::-1] - 1))
    few = reverse.levels(0.1, 50)
    assert few[0] == reverse.levels(0.1)[0]
    assert few[-1] == 0
    assert (few.diff() < 0).all()


def test_same_seed_same_spectra():
    model, _, _ = gaussian()
    one, again, other = (reverse.sample_prior(3, 20, 1.0, seed, model) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    "bad", [{"n": 0}, {"steps": 0}, {"steps": 1001}, {"eta": 1.5}, {"seed": -1}]
)
def test_bad_arguments_are_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .*; give"):
        reverse.sample_prior(**{"n": 1, **bad})
