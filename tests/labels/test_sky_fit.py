"""Fits of simulated skies: pulls, velocities of the arms, errors that files misstate."""

import numpy as np
import pytest
import torch

from specnb import simulate
from specnb.labels import sky_fit
from specnb.observed import Observed
from specnb.world import prior
from specnb.world.instrument import LAMOST
from specnb.world.sky import of_instrument


@pytest.fixture(scope="module")
def stars():
    return simulate(48, 21, snr=60, sky=True)


@pytest.fixture(scope="module")
def found(stars):
    observed = Observed(torch.tensor(stars.observed), torch.tensor(stars.ivar))
    return sky_fit.fit_sky(of_instrument(LAMOST), observed, torch.tensor(truth(stars)))


def truth(stars):
    return np.stack([np.asarray(stars.labels[name], "f8") for name in prior.LABELS], 1)


def test_pulls_of_a_visit_are_about_one(stars, found):
    """Wiggles and misstated errors are drawn otherwise than the likelihood assumes, so about."""
    pull = (found.labels.numpy() - truth(stars)) / found.visit_err.numpy()
    width = 1.4826 * np.median(np.abs(pull), 0)
    assert (width[:5] > 0.5).all()
    assert (width[:5] < 1.7).all()


def test_the_star_is_known_less_than_a_visit(found):
    floors = np.array(sky_fit.FLOORS)
    assert (found.star_err.numpy() >= floors).all()
    assert (found.star_err >= found.visit_err)[:, :5].all()
    assert torch.linalg.eigvalsh(found.star).min() > 0


def test_errors_are_measured_in_each_arm(stars, found):
    assert found.factors.shape == (48, 2)
    expected = [arm.errors for arm in LAMOST.arms]
    assert found.factors.median(0).values.numpy() == pytest.approx(expected, rel=0.25)
    assert 0.4 < float(found.chi2.median()) < 1.1  # the floor is larger than the wiggles


def test_each_arm_shows_its_own_velocity(stars, found):
    expected = np.asarray(stars.labels["rv"])[:, None] + stars.velocity
    pull = (found.arm_rv.numpy() - expected) / found.arm_rv_err.numpy()
    width = 1.4826 * np.median(np.abs(pull - np.median(pull, 0)), 0)
    assert (width > 0.4).all()
    assert (width < 2.5).all()
    assert (np.median(found.arm_rv_err.numpy(), 0) < 8).all()


def test_the_jacobian_is_that_of_the_prior():
    z = torch.tensor([[0.3, -0.5, 0.2, 0.1, -0.4, 0.6]], dtype=torch.float64)
    exact = torch.autograd.functional.jacobian(prior.from_normal, z[0])
    assert torch.allclose(sky_fit.jacobian(z)[0], exact, rtol=1e-5, atol=1e-5)
