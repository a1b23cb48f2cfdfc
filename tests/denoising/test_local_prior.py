"""Denoisers on the local prior against closed forms: an untrained network is the Gaussian prior of its moments."""

import pytest
import torch

from specnb import sample_posterior
from specnb.denoising import networks
from specnb.denoising.subspace import LinearPosterior
from specnb.observed import MASKED, Observed

PIXELS = 3136


def fresh(kind, k=1, trained=False, seed=0):
    g = torch.Generator().manual_seed(seed)
    mean = 1 + 0.1 * torch.randn(PIXELS, generator=g)
    basis = (
        2.8 * torch.linalg.qr(torch.randn(PIXELS, k, generator=g))[0]
    )  # orthogonal, as principal components are
    torch.manual_seed(seed)
    model = networks.fresh(
        mean,
        basis,
        torch.zeros(PIXELS),
        kind=kind,
        rank=k,
        components=k,
        directions=1,
        width=8,
        blocks=1,
    ).requires_grad_(False)
    if trained:
        torch.nn.init.normal_(model.net.last.weight, std=0.1)
    else:
        model.net.last.weight.zero_()
    return model.eval()


def observation(model, n, low, high, seed=1):
    g = torch.Generator().manual_seed(seed)
    m = low * (high / low) ** torch.rand(n, PIXELS, generator=g)
    x = model.draw_gaussian(n, g)
    return x + m * torch.randn(x.shape, generator=g), m


def test_one_noise_map_serves_many_spectra():
    model = fresh("subspace", k=5, trained=True)
    u, m = observation(model, 4, 0.01, 1.0)
    one = m[:1]
    assert torch.allclose(model(u, one), model(u, one.repeat(4, 1)), atol=1e-5)


def test_residual_is_the_denoiser_where_there_is_noise_and_the_identity_where_there_is_none():
    plain, residual = fresh("subspace", 5, trained=True), fresh("residual", 5, trained=True)
    u, m = observation(plain, 3, 0.01, 1.0)
    m[:, 100:200] = 0
    out = residual(u, m)
    assert torch.equal(out[:, 100:200], u[:, 100:200])
    assert torch.equal(residual(u, torch.zeros_like(u)), u)
    assert not torch.equal(out, u)
    m = m.clamp(min=0.01)
    assert torch.allclose(residual(u, m), plain(u, m), atol=1e-5)


def test_blind_knows_the_median_and_the_mask_alone():
    blind, plain = fresh("blind", 5, trained=True), fresh("subspace", 5, trained=True)
    u, m = observation(blind, 2, 0.1, 0.3)
    m[:, 7] = MASKED
    shuffled = m.clone()
    good = [i for i in range(PIXELS) if i != 7]
    shuffled[:, good] = m[:, good].flip(1)
    assert torch.equal(blind(u, m), blind(u, shuffled))
    assert not torch.allclose(plain(u, m), plain(u, shuffled), atol=1e-5)
    u[:, 7] += 0.5
    assert torch.allclose(blind(u, m), blind(u - 0.0, shuffled))
    moved = u.clone()
    moved[:, 7] -= 0.5
    assert (blind(moved, m) - blind(u, m))[:, good].abs().max() < 1e-4


@pytest.mark.parametrize("level", [0.05, 0.3, 20.0])
def test_before_training_supervised_knows_what_state_and_observation_say_together(level):
    """One component: the prior given y is a Gaussian of one number, and so is that given u too."""
    model = fresh("supervised")
    y, m = observation(model, 4, 2.0, 5.0)
    g = torch.Generator().manual_seed(2)
    u = model.draw_gaussian(4, g) + level * torch.randn(4, PIXELS, generator=g)
    ivar = m**-2 + level**-2
    both = LinearPosterior(
        (y * m**-2 + u * level**-2) / ivar, ivar, model.mean, model.basis, model.diagonal
    )
    _, seen = model.look(Observed.state(y, m))
    found = model(u, torch.full_like(u[:1], level), seen)
    assert torch.allclose(found, both.spectrum(both.z), atol=2e-4)


def test_of_an_observation_alone_supervised_starts_as_the_linear_optimum():
    model = fresh("supervised")
    y, m = observation(model, 4, 2.0, 5.0)
    linear = LinearPosterior(y, m**-2, model.mean, model.basis, model.diagonal)
    assert torch.allclose(model(y, m), linear.spectrum(linear.z), atol=5e-3)


def test_supervised_samples_follow_the_posterior_in_closed_form():
    model = fresh("supervised")
    y, m = observation(model, 2, 2.0, 5.0)
    linear = LinearPosterior(y, m**-2, model.mean, model.basis, model.diagonal)
    draws = sample_posterior(y, m**-2, 400, 5, "supervised", steps=100, model=model)
    assert draws.shape == (2, 400, PIXELS)
    z = (draws - model.mean) @ model.basis / model.basis.square().sum()
    sd = linear.covariance()[:, 0, 0].sqrt()
    assert ((z.mean((1, 2)) - linear.z[:, 0]).abs() < 4 * sd / 20).all()
    assert torch.allclose(z.std((1, 2)), sd, rtol=0.15)
    again = sample_posterior(y, m**-2, 400, 5, "supervised", steps=100, model=model)
    assert torch.equal(draws, again)


def test_draws_follow_the_gaussian_posterior_and_surprise_is_its_density():
    model = fresh("subspace", k=3)
    model.diagonal += 0.01**2
    u, m = observation(model, 1, 2.0, 5.0)
    linear = LinearPosterior(u, m**-2, model.mean, model.basis, model.diagonal)
    state = Observed.state(u, m)
    many = Observed.state(u.expand(2000, -1), m)
    draws = model.posterior(many).draw(torch.Generator().manual_seed(5))
    scale = model.basis.square().sum(0)
    z = (draws - model.mean) @ model.basis / scale
    covariance = linear.covariance()[0]
    assert torch.allclose(z.mean(0), linear.z[0], atol=0.1)
    assert torch.allclose(torch.cov(z.mT), covariance, atol=0.08)
    left = draws - model.mean - z @ model.basis.mT
    assert left.std() == pytest.approx(0.01, rel=0.02)

    near, far = (
        model.mean + (linear.z + d) @ model.basis.mT for d in (0.0, torch.tensor([0.5, -0.4, 0.8]))
    )
    d = ((far - near) @ model.basis / scale).double()
    expected = 0.5 * (d @ torch.linalg.inv(covariance.double()) @ d.mT)[0, 0]
    found = model.surprise(far, state) - model.surprise(near, state)
    assert found.item() == pytest.approx(expected.item(), rel=0.02)
