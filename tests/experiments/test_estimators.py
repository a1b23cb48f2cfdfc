"""Ordinary estimators: what they see against closed forms, and that they learn."""

import numpy as np
import torch

from specnb import simulate
from specnb.denoising import networks
from specnb.experiments import estimators
from specnb.world import prior


def test_components_of_a_spectrum_are_those_it_was_made_of():
    model = networks.load("bounded")
    z = torch.randn(4, model.rank, generator=torch.Generator().manual_seed(0))
    x = model.mean + z @ model.first.mT
    assert torch.allclose(estimators.components(x), z, atol=1e-3)
    noisy = estimators.noisy(x, torch.full_like(x, 1e8))
    assert torch.allclose(noisy[:, :20], z[:, :20], atol=0.02)
    assert torch.allclose(noisy[:, -1], torch.log(torch.tensor(1e-4 / 0.05)))


def test_estimates_are_near_and_nearer_with_less_noise():
    stars = simulate(64, 93, snr=20)
    truth = np.stack([np.asarray(stars.labels[name]) for name in prior.LABELS], 1)
    error = {}
    for see, flux in ((estimators.noisy, stars.observed), (estimators.clean, stars.flux)):
        found = estimators.estimate(estimators.ridge, see, flux, stars.ivar, n_training=1024)
        assert found.shape == (64, 6)
        assert prior.TEFF[0] <= found[:, 0].min() <= found[:, 0].max() <= prior.TEFF[1]
        error[see] = np.median(np.abs(found - truth), 0)
    assert (error[estimators.clean][:5] < error[estimators.noisy][:5]).all()
    assert error[estimators.clean][0] < 120
    assert error[estimators.clean][4] < 20
