"""Chains with independent proposals and the mixture that proposes, against closed forms."""

import torch

from specnb.sampling import mixture
from specnb.sampling.mixture import BLOCK, Mixture


def test_chains_keep_the_target_at_every_step():
    """Chains that start in N(0, 1) stay in it, step by step, though proposals come from N(0.7, 0.95²)."""
    rng = torch.Generator().manual_seed(0)
    n, chains, length = 4000, 4, 1 + 3 * BLOCK
    z = 0.7 + 0.95 * torch.randn(n, chains * length, 1, generator=rng, dtype=torch.float64)
    starts = z.reshape(n, chains, length)[:, :, 0]
    starts.copy_(torch.randn(starts.shape, generator=rng, dtype=torch.float64))
    target, proposal = -0.5 * z[..., 0] ** 2, -0.5 * ((z[..., 0] - 0.7) / 0.95) ** 2
    states, acceptance = mixture.independence_chains(target, proposal, z, chains, rng)
    mean, square = states[..., 0].mean((0, 1)), states[..., 0].square().mean((0, 1))
    assert mean.abs().max() < 4 / (n * chains) ** 0.5
    assert (square - 1).abs().max() < 4 * (2 / (n * chains)) ** 0.5
    differ = (states[:, :, 1:] != states[:, :, :-1]).double().mean((1, 2, 3))
    assert torch.allclose(acceptance, differ)
    assert 0.4 < acceptance.mean() < 0.95


def test_chains_that_are_proposed_their_target_accept_everything():
    rng = torch.Generator().manual_seed(1)
    z = torch.randn(8, 4 * (1 + 2 * BLOCK), 2, generator=rng, dtype=torch.float64)
    same = torch.zeros(8, 4 * (1 + 2 * BLOCK), dtype=torch.float64)
    states, acceptance = mixture.independence_chains(same, same, z, 4, rng)
    assert acceptance.min() > 0.9
    assert states.flatten(1, 2).unique(dim=1).shape[1] > 0.9 * 4 * 2 * BLOCK


def test_the_wide_component_has_the_moments_of_the_draws():
    rng = torch.Generator().manual_seed(2)
    root = torch.tensor([[2.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    z = 3 + torch.randn(1, 200_000, 2, generator=rng, dtype=torch.float64) @ root.T
    narrow = torch.eye(2, dtype=torch.float64).expand(1, 2, 2, 2).clone()
    before = Mixture(torch.tensor([[0.5, 0.5]]).double(), torch.zeros(1, 2, 2).double(), narrow)
    after = before.defended(z, torch.zeros(1, 200_000).double())
    assert torch.allclose(after.mean[0, 1], torch.tensor([3.0, 3.0]).double(), atol=0.02)
    covariance = after.root[0, 1] @ after.root[0, 1].T
    assert torch.allclose(covariance, mixture.WIDTH**2 * root @ root.T, rtol=0.02)
    assert torch.allclose(after.weight, torch.tensor([[1 - mixture.SHARE, mixture.SHARE]]).double())
    assert torch.equal(after.mean[0, 0], before.mean[0, 0])
