"""The linear optimum, and the network that starts from it."""

import numpy as np
import pytest
import torch

from specnb.denoising import classical, networks
from specnb.denoising.subspace import LinearDenoiser, LinearPosterior, products
from specnb.observed import Observed
from specnb.world.stars import draw
from specnb.world.streams import generator


def toy(n, pixels=12, k=3, seed=0):
    """A Gaussian prior of rank k plus a diagonal, n draws, and their observations; float64."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    mean, basis, diagonal = normal(pixels), normal(pixels, k), 0.1 * normal(pixels).square()
    ivar = normal(pixels).square().expand(n, -1).clone()
    ivar[:, 2:4] = 0
    x = mean + normal(n, k) @ basis.mT + diagonal.sqrt() * normal(n, pixels)
    y = x + normal(n, pixels) / ivar.sqrt().where(ivar > 0, 1.0)
    return mean, basis, diagonal, ivar, x, y


def linear(y, ivar, *prior, ridge=1.0):
    return LinearDenoiser(*prior, ridge).denoise(Observed(y, ivar))


def test_linear_equals_the_dense_closed_form():
    mean, basis, diagonal, ivar, _, y = toy(5)
    covariance, w = basis @ basis.mT + diagonal.diag(), ivar[0].diag()
    posterior = torch.linalg.inv(torch.linalg.inv(covariance) + w)
    expected = mean + (y - mean) @ w @ posterior
    assert torch.allclose(linear(y, ivar, mean, basis, diagonal), expected, atol=1e-10)


def test_mse_on_gaussian_draws_is_the_trace_of_the_posterior_covariance():
    mean, basis, diagonal, ivar, x, y = toy(20_000)
    posterior = torch.linalg.inv(
        torch.linalg.inv(basis @ basis.mT + diagonal.diag()) + ivar[0].diag()
    )
    error = (linear(y, ivar, mean, basis, diagonal) - x).square().sum(1)
    assert error.mean().item() == pytest.approx(
        posterior.trace().item(), abs=4 * error.std().item() / 20_000**0.5
    )
    for worse in (linear(y, ivar, mean, basis, 0 * diagonal), mean.expand(20_000, -1)):
        assert (worse - x).square().sum(1).mean() > error.mean()


def test_without_a_prior_it_is_weighted_least_squares():
    mean, basis, diagonal, ivar, _, y = toy(1)
    root = ivar[0].sqrt()
    z = np.linalg.lstsq(
        (root[:, None] * basis).numpy(), (root * (y - mean))[0].numpy(), rcond=None
    )[0]
    found = linear(y, ivar, mean, basis, 0 * diagonal, ridge=1e-12)
    assert torch.allclose(found[0], mean + basis @ torch.from_numpy(z), atol=1e-8)


def test_update_is_the_posterior_of_the_local_prior():
    """Observation minus an estimate, for a prior N(0, J Jᵀ + diag v) about it, against the dense closed form."""
    mean, basis, diagonal, ivar, _, u = toy(2, k=5)
    rng = torch.Generator().manual_seed(1)
    directions = torch.randn(2, 5, 2, generator=rng, dtype=torch.float64)
    variance = torch.rand(2, 5, generator=rng, dtype=torch.float64)
    linear = LinearPosterior(u, ivar, mean, basis, diagonal, pairs=products(basis))
    residual = u - mean - 0.3
    found = linear.update(residual, torch.zeros(2, 5), directions, variance)
    for i in range(2):
        prior = directions[i] @ directions[i].mT + variance[i].diag()
        w = (1 / (diagonal + 1 / ivar[i])).diag()
        expected = (
            torch.linalg.inv(torch.linalg.inv(prior) + basis.mT @ w @ basis)
            @ basis.mT
            @ w
            @ residual[i]
        )
        assert torch.allclose(found[i], expected, atol=1e-9)


def test_pairs_change_nothing_but_the_speed():
    mean, basis, diagonal, ivar, _, u = toy(3, k=5)
    slow = LinearPosterior(u, ivar, mean, basis, diagonal)
    fast = LinearPosterior(u, ivar, mean, basis, diagonal, pairs=products(basis))
    assert torch.allclose(slow.normal, fast.normal, atol=1e-12)
    assert torch.allclose(slow.z, fast.z, atol=1e-12)


def test_without_components_every_pixel_stands_alone():
    mean, basis, diagonal, ivar, _, u = toy(2)
    linear = LinearPosterior(u, ivar, mean, basis[:, :0], diagonal)
    gain = diagonal / (diagonal + 1 / ivar)
    assert torch.allclose(linear.spectrum(linear.z), mean + gain * (u - mean))


CONFIG = {
    "kind": "subspace",
    "rank": 20,
    "components": 20,
    "directions": 3,
    "width": 32,
    "blocks": 1,
}


@pytest.fixture(scope="module")
def untrained():
    return networks.fresh(*classical.moments(rank=20), **CONFIG)


def test_an_untrained_network_is_the_linear_optimum(untrained):
    stars = draw(4, generator("validation", 5), snr=(10, 50))
    ivar = stars.good / (stars.level * stars.sigma) ** 2
    observed = Observed(stars.y.where(stars.good, 1.0), ivar)
    assert torch.allclose(
        untrained.denoise(observed), classical.wiener(rank=20).denoise(observed), atol=1e-3
    )


def test_as_the_noise_goes_the_observation_stays(untrained):
    stars = draw(2, generator("validation", 6))
    u = stars.x + 1e-6 * torch.randn(2, 3136, generator=torch.Generator().manual_seed(0))
    assert (untrained(u, torch.full_like(u, 1e-6)) - u).abs().max() < 1e-4


def test_saved_and_read_back(untrained, tmp_path):
    networks.save(untrained, CONFIG, tmp_path / "m.safetensors")
    again = networks.read(tmp_path / "m.safetensors")
    assert torch.equal(
        again.basis, untrained.basis
    )  # moments keep their precision, only weights are halved
    u = torch.rand(1, 3136, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        again(u, torch.full_like(u, 0.1)), untrained(u, torch.full_like(u, 0.1)), atol=1e-3
    )


def test_a_curved_world_is_learnt_where_no_linear_estimate_can():
    """Components t and (t² − 1)/√2 are uncorrelated: no linear estimate can use one for the other."""
    g = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(1024, 2, generator=g)).Q * 4

    def error(model, n):
        t = torch.randn(n, 1, generator=g)
        x = 1 + torch.cat([t, (t**2 - 1) / 2**0.5], 1) @ basis.mT
        m = torch.ones(n, 1024)
        return (model(x + torch.randn(n, 1024, generator=g), m) - x).square().sum(1).mean()

    config = {"kind": "subspace", "rank": 2, "components": 2, "directions": 1, "width": 64}
    model = networks.fresh(torch.ones(1024), basis, torch.full((1024,), 1e-6), **config)
    linear = error(model, 4000).item()  # the network says nothing yet
    assert linear == pytest.approx(2 * 16 / 17, rel=0.05)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(200):
        optimiser.zero_grad()
        error(model, 256).backward()
        optimiser.step()
    assert error(model, 4000).item() < 0.7 * linear


def local_prior(k=5, j=2):
    mean, basis, diagonal, ivar, _, u = toy(1, k=k)
    rng = torch.Generator().manual_seed(1)
    directions = torch.randn(1, k, j, generator=rng, dtype=torch.float64)
    variance = 0.2 + torch.rand(1, k, generator=rng, dtype=torch.float64)
    linear = LinearPosterior(u, ivar, mean, basis, diagonal)
    prior = directions @ directions.mT + torch.diag_embed(variance)
    return (
        linear,
        directions,
        variance,
        torch.linalg.inv(torch.linalg.inv(prior) + linear.information())[0],
    )


def test_deviates_have_the_covariance_of_the_posterior():
    linear, directions, variance, covariance = local_prior()
    n, rng = 20_000, torch.Generator().manual_seed(2)
    many = [t.expand(n, *t.shape[1:]) for t in (directions, variance)]
    linear.normal = linear.normal.expand(n, -1, -1)
    z = linear.deviate(many[0].float(), many[1].float(), rng).double()
    sd = covariance.diagonal().sqrt()
    assert (z.mean(0) / sd).abs().max() < 4 / n**0.5
    assert ((torch.cov(z.mT) - covariance) / (sd[:, None] * sd)).abs().max() < 5 * (2 / n) ** 0.5


def test_other_estimates_of_the_components_count_as_observations():
    """Pseudo-observations of z, each with its own error bar, beside what the pixels say."""
    linear, directions, variance, _ = local_prior()
    rng = torch.Generator().manual_seed(3)
    sd = 0.2 + 0.6 * torch.rand(1, 5, generator=rng, dtype=torch.float64)
    z, estimate = torch.randn(2, 1, 5, generator=rng, dtype=torch.float64)
    data = z / (1 - sd**2)  # the observation whose posterior under N(0, 1) is z ± sd
    before, precision = linear.information(), 1 / sd**2 - 1
    residual = torch.randn(1, 12, generator=rng, dtype=torch.float64)
    found = linear.learn(z, sd).update(residual, estimate, directions, variance)
    prior = torch.linalg.inv(directions @ directions.mT + torch.diag_embed(variance))
    right = (linear.weight * residual) @ linear.basis + precision * (data - estimate)
    expected = torch.linalg.solve(prior + before + torch.diag_embed(precision), right[..., None])[
        ..., 0
    ]
    assert torch.allclose(found, expected, atol=1e-9)


def test_what_has_learnt_is_wholly_new_and_what_it_learnt_from_stays():
    """Both z and covariance of the new one are those of pixels and estimates together, in closed form."""
    linear, _, _, _ = local_prior()
    before = linear.z.clone(), linear.covariance().clone(), linear.information().clone()
    rng = torch.Generator().manual_seed(4)
    sd = 0.2 + 0.6 * torch.rand(1, 5, generator=rng, dtype=torch.float64)
    z = torch.randn(1, 5, generator=rng, dtype=torch.float64)
    both = linear.learn(z, sd)
    information = before[2] + torch.diag_embed(sd**-2)  # the prior's own 1 is in either
    right = (linear.weight * linear.residual) @ linear.basis + z / sd**2
    assert torch.allclose(both.z, torch.linalg.solve(information, right[..., None])[..., 0])
    assert torch.allclose(both.covariance(), torch.linalg.inv(information))
    after = linear.z, linear.covariance(), linear.information()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_draws_of_the_linear_denoiser_have_the_posterior_in_closed_form():
    mean, basis, diagonal, ivar, _, y = toy(1)
    n, rng = 20_000, torch.Generator().manual_seed(6)
    many = Observed(y.expand(n, -1), ivar.expand(n, -1))
    x = LinearDenoiser(mean, basis, diagonal).posterior(many).draw(rng)
    prior = basis @ basis.mT + diagonal.diag()
    expected = torch.linalg.inv(torch.linalg.inv(prior) + ivar[0].diag())
    centre = mean + (y[0] - mean) @ ivar[0].diag() @ expected
    sd = expected.diagonal().sqrt()
    assert ((x.mean(0) - centre) / sd).abs().max() < 4 / n**0.5
    assert ((torch.cov(x.mT) - expected) / (sd[:, None] * sd)).abs().max() < 5 * (2 / n) ** 0.5
