"""Posterior samplers in a Gaussian world, where the posterior is known, before they may use a network."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gaussian_world import gaussian

import specnb
from specnb.denoising import networks
from specnb.observed import Observed
from specnb.sampling import guidance, instruments, posterior


@pytest.fixture(scope="module")
def world():
    """Model, observation, inverse variance with a masked pixel, posterior mean and covariance in closed form."""
    model, mean, covariance = gaussian()
    g = torch.Generator().manual_seed(9)
    x = mean + torch.linalg.cholesky(covariance.double()).float() @ torch.randn(16, generator=g)
    sd = 0.03 + 0.1 * torch.rand(16, generator=g)
    y, ivar = (x + sd * torch.randn(16, generator=g))[None], (sd**-2)[None]
    ivar[:, 3] = 0
    y[:, 3] = 5.0  # says nothing
    w = ivar[0].double()
    left = torch.linalg.inv(torch.linalg.inv(covariance.double()) + w.diag())
    return model, y, ivar, mean.double() + left @ (w * (y[0] - mean).double()), left


def draws(method, world, n, steps, **settings):
    model, y, ivar, _, _ = world
    rng = torch.Generator().manual_seed(1)
    way = posterior.METHODS[method]
    return way.sample(model, Observed(y, ivar), n, steps, rng, **settings).double()


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        ("exact", 1),
        ("exact", 2),
        ("exact", 8),
        ("egpps", 10),
        ("egpps", 40),
        ("mmps", 10),
        ("mmps", 40),
    ],
)
def test_exact_methods_give_the_posterior_in_however_few_steps(world, method, steps):
    *_, mean, covariance = world
    n, sd = 4000, covariance.diagonal().sqrt()
    x = draws(method, world, n, steps)
    assert ((x.mean(0) - mean) / sd).abs().max() < 4 / n**0.5
    error = (torch.cov(x.mT) - covariance) / (sd[:, None] * sd)
    assert error.abs().max() < 5 * (2 / n) ** 0.5
    for nominal, multiple in ((0.68, 0.9945), (0.95, 1.96)):
        inside = ((x - mean) / sd).abs() < multiple
        assert inside.double().mean().item() == pytest.approx(nominal, abs=0.02)


@pytest.mark.parametrize("method", ["ancestral", "heun"])
def test_samplers_by_means_become_exact_with_their_steps(world, method):
    *_, mean, covariance = world
    sd, n = covariance.diagonal().sqrt(), 2000
    few, many = (draws(method, world, n, steps) for steps in (8, 200))
    assert ((many.mean(0) - mean) / sd).abs().max() < 5 / n**0.5
    widths = [(x.std(0) / sd).mean().item() for x in (few, many)]
    assert abs(widths[0] - 1) > 0.1
    assert widths[1] == pytest.approx(1, abs=0.035)


def test_without_noise_there_is_one_spectrum(world):
    x = draws("ddim", world, 3, 10)[
        :, torch.arange(16) != 3
    ]  # at a masked pixel the start is noise
    assert torch.allclose(x[0], x[1], atol=1e-2)


def test_approximate_methods_are_as_good_as_their_approximation(world):
    *_, mean, covariance = world
    sd, n = covariance.diagonal().sqrt(), 400
    pigdm = draws("pigdm", world, n, 100)
    assert ((pigdm.mean(0) - mean) / sd).abs().max() > 0.3
    dps = draws("dps", world, n, 100, scale=3.0)
    assert ((dps.mean(0) - mean) / sd).abs().max() > 1


def test_guided_estimates_are_the_conditional_mean(world):
    """E[x | u, y] in closed form at one level: exact for the product and for moment matching."""
    model, y, ivar, _, _ = world
    _, mean, covariance = gaussian()
    m = torch.full((1, 16), 0.2)
    u = mean + 0.3 * torch.randn(5, 16, generator=torch.Generator().manual_seed(3))
    w, v = ivar[0].double(), (m[0] ** -2).double()
    left = torch.linalg.inv(torch.linalg.inv(covariance.double()) + (w + v).diag())
    right = w * (y[0] - mean).double() + v * (u - mean).double()
    expected = (mean.double() + right @ left).float()
    for way in (guidance.GaussianProduct, guidance.MMPS):
        found = way(model, Observed(y, ivar)).posterior(Observed.state(u, m)).mean
        assert torch.allclose(found, expected, atol=1e-4)


def test_moment_matching_is_exact_with_an_operator(world):
    """A smoothing instrument with pixels twice as wide, against the posterior in closed form."""
    model, _, _, _, _ = world
    _, mean, covariance = gaussian()
    a = instruments.rebin(2, pixels=16)
    dense, g = torch.from_numpy(a.matrix.toarray()), torch.Generator().manual_seed(4)
    sd = 0.05 + 0.1 * torch.rand(8, generator=g)
    y, ivar = (a(mean[None])[0] + sd * torch.randn(8, generator=g))[None], (sd**-2)[None]
    ivar[:, 2] = 0
    w = ivar[0].double()
    left = torch.linalg.inv(torch.linalg.inv(covariance.double()) + dense.mT @ (w[:, None] * dense))
    expected = mean.double() + left @ (dense.mT @ (w * (y[0].double() - dense @ mean.double())))
    n, scale = 4000, left.diagonal().sqrt()
    found = posterior.mmps(
        model, Observed(y, ivar), n, 10, torch.Generator().manual_seed(1), a
    ).double()
    assert ((found.mean(0) - expected) / scale).abs().max() < 5 / n**0.5
    assert ((torch.cov(found.mT) - left) / (scale[:, None] * scale)).abs().max() < 6 * (
        2 / n
    ) ** 0.5


@pytest.mark.parametrize("method", ["dps", "pigdm", "mmps"])
def test_the_native_instrument_as_an_operator_changes_nothing(world, method):
    plain, seen = (
        draws(method, world, 5, 10, **k) for k in ({}, {"operator": instruments.identity(16)})
    )
    assert torch.allclose(plain, seen, atol=1e-5)


def test_draws_of_a_star_do_not_depend_on_the_others():
    s = specnb.simulate(3, 5, snr=20)
    all_three = specnb.sample_posterior(s.observed, s.ivar, n_samples=4, steps=2, seed=3)
    assert all_three.shape == (3, 4, 3136)
    first = specnb.sample_posterior(s.observed[0], s.ivar[0], n_samples=4, steps=2, seed=3)
    assert np.array_equal(all_three[0], first)
    other = specnb.sample_posterior(s.observed[0], s.ivar[0], n_samples=4, steps=2, seed=4)
    assert not np.array_equal(first, other)


def test_another_instrument_has_pixels_of_its_own():
    s, a = specnb.simulate(2, 5, snr=20), instruments.rebin(2)
    sigma = s.level[:, None] * s.sigma[:, :1568]
    y = a(torch.from_numpy(s.flux)).numpy() + sigma * np.random.default_rng(0).standard_normal(
        (2, 1568)
    )
    x = specnb.sample_posterior(y, sigma**-2, n_samples=8, operator=a, steps=15)
    assert x.shape == (2, 8, 3136)
    residual = (a(torch.from_numpy(x.mean(1))).numpy() - y) / sigma
    assert np.mean(residual**2) == pytest.approx(1, abs=0.1)
    with pytest.raises(
        ValueError,
        match=r"flux has shape \(2, 3136\); give \(1568,\) or \(n, 1568\) on the operator's",
    ):
        specnb.sample_posterior(s.observed, s.ivar, operator=a)
    with pytest.raises(
        ValueError, match="those that take an operator are \\['exact', 'dps', 'pigdm', 'mmps'\\]"
    ):
        specnb.sample_posterior(y, sigma**-2, operator=a, method="egpps")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"method": "best"}, "method is 'best'; choose one of"),
        ({"steps": 0}, "steps is 0; give an integer of 1 to 1000"),
        ({"n_samples": 0}, "n_samples is 0; give"),
        ({"seed": -1}, "seed is -1; give"),
    ],
)
def test_bad_arguments_are_named(bad, message):
    s = specnb.simulate(1, 0)
    with pytest.raises(ValueError, match=message):
        specnb.sample_posterior(s.observed, s.ivar, **bad)


def test_guidance_is_that_of_azula():
    """Its answers in a Gaussian world are kept in a file; tools/azula_reference.py wrote it."""
    kept = json.loads((Path(__file__).parent / "azula.json").read_text())
    a = {k: torch.tensor(v, dtype=torch.float32) for k, v in kept.items()}
    config = {
        "kind": "subspace",
        "rank": 3,
        "components": 3,
        "directions": 1,
        "width": 8,
        "blocks": 1,
    }
    model = (
        networks.fresh(a["mean"], a["basis"], a["diagonal"], **config).eval().requires_grad_(False)
    )
    model.net.last.weight.zero_()
    u, m = a["u"], a["m"].expand(1, 16)
    state, x = Observed.state(u, m), model(u, m)
    assert torch.allclose(x, a["denoised"], atol=1e-5)
    see = instruments.Operator(a["operator"].numpy())
    mmps = guidance.MMPS(model, Observed(a["y"], 1 / a["variance"][None]), see)
    assert torch.allclose(mmps.posterior(state).mean, a["mmps"], atol=1e-4)
    dps = guidance.DPS(model, Observed(a["whole"], torch.ones(1, 16)), 0.5).posterior(state).mean
    assert torch.allclose((x - dps) / (0.5 * (m**2 + 0.06)), a["dps"], rtol=1e-3, atol=1e-5)
    noiseless = torch.full((1, 16), 1e6)  # as azula's pseudo-inverse takes it
    pigdm = guidance.PiGDM(model, Observed(a["whole"], noiseless)).posterior(state).mean
    assert torch.allclose(pigdm - x, a["pigdm"], rtol=1e-2, atol=1e-4)
