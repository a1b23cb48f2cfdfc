"""Every objective on an estimate whose error is known."""

import math

import pytest
import torch

from specnb.training import objectives
from specnb.world import stars


class Observation(torch.nn.Module):
    """The "denoiser" that returns what it is given."""

    mean = torch.ones(3136)

    def look(self, state):
        return None, (state.flux, state.noise)

    def forward(self, u, m, seen=None):
        self.seen = seen
        return u


@pytest.fixture(scope="module")
def batch():
    return next(stars.stream(16, seed=4, split="validation", diffused=True))


def test_mean_square_error_of_the_observation_is_its_variance(batch):
    error, coordinate = objectives.mse(Observation(), batch)
    expected = ((batch.level * batch.sigma) ** 2 * batch.good).sum(1) / batch.good.sum(1)
    assert torch.allclose(error, expected, rtol=0.3)
    assert (error / expected).mean() == pytest.approx(1, abs=0.05)
    assert torch.allclose(torch.exp(coordinate) * 0.05, 0.2 * batch.level[:, 0], rtol=0.02)


def test_weighted_absolute_error_of_the_observation_is_that_of_a_normal_deviate(batch):
    error, _ = objectives.wmae(Observation(), batch)
    assert torch.allclose(error, math.sqrt(2 / math.pi) * batch.level[:, 0], rtol=0.06)


def test_diffused_judges_the_state_and_shows_the_observation(batch):
    model = Observation()
    error, coordinate = objectives.diffused(model, batch)
    assert torch.allclose(error, batch.again_level[:, 0] ** 2, rtol=0.15)
    assert torch.equal(model.seen[0], torch.where(batch.good, batch.y, 1.0))
    both = (1 / (0.2 * batch.level[:, 0]) ** 2 + 1 / batch.again_level[:, 0] ** 2).rsqrt()
    assert torch.allclose(torch.exp(coordinate) * 0.05, both, rtol=0.02)


def test_an_objective_trains_its_part_of_a_network_and_nothing_else():
    net = torch.nn.Module()
    net.answer, net.spread = torch.nn.Linear(2, 3), torch.nn.Linear(2, 4)
    model = torch.nn.Module()
    model.net = net
    trained = {name: made.part(model) for name, made in objectives.OBJECTIVES.items()}
    assert trained.pop("spread") == set(net.spread.parameters())
    assert all(part == set(net.answer.parameters()) for part in trained.values())
    model.net = net.answer  # a network on pixels has no spread
    assert objectives.the_spread(model) == set()
    assert objectives.the_answer(model) == set(net.answer.parameters())


def test_a_diffused_batch_is_the_same_stars_with_noise_of_its_own(batch):
    plain = next(stars.stream(16, seed=4, split="validation"))
    assert torch.equal(plain.y, batch.y)
    own, of_y = (
        (batch.again - batch.x) / batch.again_level,
        (batch.y - batch.x) / (batch.level * batch.sigma),
    )
    assert own.std() == pytest.approx(1, abs=0.02)
    assert (own * of_y)[batch.good].mean().abs() < 0.03
