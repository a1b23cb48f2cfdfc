"""The exact posterior, against closed forms and an independent sampler."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from arviz_stats.base import array_stats

import specnb
from specnb.labels import oracle
from specnb.observed import Observed
from specnb.world import fit, prior, stars
from specnb.world.continuum import Continuum

N_PIXELS = 3136


class Toy(fit.World):
    """A world whose spectrum is a function of z that is easy to solve."""

    def __init__(self, function, continuum):
        super().__init__(None, continuum)
        self.function = function

    def emulated(self, labels):
        return 1 + self.function(prior.to_normal(labels.double())).float()

    def stencil(self, labels):
        return self.emulated(labels.flatten(0, 1)).unflatten(0, labels.shape[:2])


def continuum(sigma):
    return Continuum(stars.legendre(), torch.full((5,), float(sigma) ** -2))


def normal(posterior):
    """z of the draws, (n, m, 6)."""
    return prior.to_normal(
        torch.tensor(np.stack([np.asarray(posterior.labels[k]) for k in prior.LABELS], -1))
    )


def noisy(spectrum, sigma, n, seed):
    rng = torch.Generator().manual_seed(seed)
    flux = spectrum + sigma * torch.randn(n, N_PIXELS, generator=rng)
    return Observed(flux, torch.full((n, N_PIXELS), sigma**-2))


def test_linear_gaussian_world_in_closed_form():
    """Mean and covariance of the six labels to 1 % of the standard deviation and of the trace."""
    shapes = 0.02 * torch.randn(
        6, N_PIXELS, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    world, n = Toy(lambda z: z @ shapes, continuum(1e-5)), 48
    truth = 0.5 * torch.ones(1, 6, dtype=torch.float64)
    observed = noisy(1 + (truth @ shapes).float(), 1.0, n, 1)
    draws = normal(oracle.sample(world, observed, 2560))
    covariance = torch.linalg.inv(torch.eye(6) + shapes @ shapes.T)
    mean = (observed.flux.double() - 1) @ shapes.T @ covariance
    sd = covariance.diagonal().sqrt()
    assert ((draws.mean(1) - mean) / sd).mean(0).square().mean().sqrt() < 0.01
    assert (
        (draws.mean(1) - mean) / sd
    ).square().mean().sqrt() < 0.06  # Monte Carlo error of one star
    centred = draws - mean[:, None]
    measured = (centred.mT @ centred).mean(0) / draws.shape[1]
    assert float(measured.trace()) == pytest.approx(float(covariance.trace()), rel=0.01)
    scale = torch.diag(1 / sd)
    assert (scale @ (measured - covariance) @ scale).abs().max() < 0.02


def test_the_continuum_in_closed_form():
    """With a spectrum that says nothing about labels, c is Gaussian and z is the prior."""
    world, n = Toy(lambda z: 0 * z[:, :1].expand(-1, N_PIXELS), continuum(0.02)), 32
    truth = torch.tensor([0.03, -0.02, 0.01, 0.0, 0.02])
    observed = noisy(world.continuum(truth[None]), 0.3, n, 2)
    posterior = oracle.sample(world, observed, 2560)
    basis = stars.legendre().double()
    covariance = torch.linalg.inv(torch.eye(5) * 0.02**-2 + basis @ basis.T / 0.09)
    mean = (observed.flux.double() - 1) @ basis.T @ covariance / 0.09
    c = torch.tensor(np.stack([np.asarray(posterior.labels[k]) for k in prior.CONTINUUM], -1))
    sd = covariance.diagonal().sqrt()
    assert ((c.mean(1) - mean) / sd).mean(0).abs().max() < 0.015
    assert torch.allclose(c.std(1).mean(0), sd, rtol=0.01)
    z = normal(posterior).flatten(0, 1)
    assert z.mean(0).abs().max() < 0.02
    assert (z.std(0) - 1).abs().max() < 0.02


def test_two_modes_share_the_draws():
    """A spectrum that follows the square of one coordinate: both signs, half of the draws each, in every star."""
    shape = 0.05 * torch.randn(
        N_PIXELS, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    world, n = Toy(lambda z: z[:, 4:5].square() * shape, continuum(1e-5)), 24
    observed = noisy(1 + (0.8**2 * shape).float(), 0.3, n, 4)
    posterior = oracle.sample(world, observed, 2560)
    z = normal(posterior)[..., 4]
    assert not posterior.flags.any()
    assert (posterior.diagnostics["modes"] == 2).all()
    positive = (z > 0).double().mean(1)
    assert (z.abs().mean() - 0.8).abs() < 0.1
    assert float(positive.mean()) == pytest.approx(0.5, abs=0.02)
    assert positive.std() < 0.08


@pytest.fixture(scope="module")
def simulated():
    s = specnb.simulate(8, 21, snr=10)
    return s, specnb.oracle(s.observed, s.ivar, n_samples=256)


def test_result_has_the_shapes_and_units_promised(simulated):
    s, posterior = simulated
    assert posterior.flux.shape == (8, 256, N_PIXELS)
    assert posterior.flux.dtype == np.float32
    assert posterior.labels.colnames == s.labels.colnames
    assert all(posterior.labels[k].shape == (8, 256) for k in s.labels.colnames)
    assert all(posterior.labels[k].unit == s.labels[k].unit for k in s.labels.colnames)
    assert posterior.flags.shape == (8,)
    assert np.allclose(posterior.mean(), posterior.flux.mean(1), atol=1e-5)
    low = prior.logg_min(np.asarray(posterior.labels["teff"]))
    assert (np.asarray(posterior.labels["logg"]) >= low - 1e-6).all()


def test_the_mean_is_far_better_than_the_observation_and_the_labels_are_right(simulated):
    s, posterior = simulated
    good = s.ivar > 0
    ratio = ((posterior.mean() - s.flux) ** 2)[good].mean() / ((s.observed - s.flux) ** 2)[
        good
    ].mean()
    assert ratio < 0.01
    for name in ("teff", "m_h", "rv"):
        draws, truth = np.asarray(posterior.labels[name]), np.asarray(s.labels[name])
        assert (np.abs(draws.mean(1) - truth) < 4.5 * draws.std(1)).all()


def test_same_seed_same_draws(simulated):
    s, _ = simulated
    one, again, other = (
        specnb.oracle(s.observed[:2], s.ivar[:2], 64, seed).labels["rv"] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_bad_pixels_say_nothing(simulated):
    s, _ = simulated
    ivar = torch.tensor(s.ivar[:2])
    draws = [
        oracle.sample(
            fit.default_world(),
            Observed(torch.tensor(np.where(ivar > 0, s.observed[:2], hole)), ivar),
            64,
        )
        for hole in (0.0, 1.7)
    ]
    assert np.allclose(*(d.labels["teff"] for d in draws))


def test_other_continua_come_back_too():
    """Any basis of smooth functions, here two, with names of their own."""
    two = Continuum(stars.legendre()[:2], torch.full((2,), 0.02**-2))
    s = specnb.simulate(2, 4, snr=30)
    flux = torch.where(torch.tensor(s.ivar) > 0, torch.tensor(s.observed), 1.0)
    world = fit.World(fit.default_world().emulator, two)
    posterior = oracle.sample(world, Observed(flux, torch.tensor(s.ivar)), 32)
    assert posterior.labels.colnames[6:] == ["c0", "c1"]
    assert posterior.mean().shape == (2, N_PIXELS)


def test_a_star_that_did_not_converge_is_flagged_aloud(monkeypatch):
    s = specnb.simulate(2, 22, snr=10)
    monkeypatch.setattr(oracle, "ESS_MIN", 1e9)
    monkeypatch.setattr(oracle, "ATTEMPTS", 1)
    for _ in range(2):  # not only the first time
        with pytest.warns(oracle.UnreliablePosterior, match="2 of 2 stars") as caught:
            assert specnb.oracle(s.observed, s.ivar, 16).flags.all()
        assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "bad", [{"n_samples": 0}, {"n_samples": 10**6}, {"n_samples": 2.5}, {"seed": -1}, {"seed": "a"}]
)
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .* give an integer of"):
        specnb.oracle(np.ones(N_PIXELS), np.ones(N_PIXELS), **bad)


def slow_rotator():
    """A star of S/N 40 that hardly rotates: its posterior in v sin i leans on the edge at 0."""
    many = specnb.simulate(64, 41, snr=40)
    i = int(np.argmin(many.labels["vsini"]))
    assert many.labels["vsini"][i] < 3
    return (
        many.observed[i : i + 1],
        many.ivar[i : i + 1],
        np.array([np.asarray(many.labels[k])[i] for k in prior.LABELS]),
    )


def at(snr):
    s = specnb.simulate(1, 30 + snr, snr=snr)
    return s.observed, s.ivar, np.array([np.asarray(s.labels[k])[0] for k in prior.LABELS])


@pytest.mark.slow
@pytest.mark.parametrize(
    "star",
    [lambda: at(5), lambda: at(20), lambda: at(80), slow_rotator],
    ids=["5", "20", "80", "slow"],
)
def test_an_independent_sampler_agrees(star):
    """emcee on all eleven coordinates, continuum not integrated out, started from all around the truth."""
    import emcee

    observed, ivar, truth = star()
    posterior = specnb.oracle(observed, ivar, 2560)
    world, ivar = posterior.world, torch.tensor(ivar)
    flux = torch.where(ivar > 0, torch.tensor(observed), 1.0)

    def log_density(x):
        x = torch.tensor(x)
        spectrum = world.spectrum(x[:, :6]) * world.continuum(0.02 * x[:, 6:].float())
        return (
            -0.5 * (ivar * (flux - spectrum) ** 2).sum(1).double() - 0.5 * x.square().sum(1)
        ).numpy()

    rng = np.random.default_rng(0)
    centre = np.r_[
        prior.to_normal(torch.tensor(truth, dtype=torch.float64)).clamp(-2.5, 2.5).numpy(),
        np.zeros(5),
    ]
    sampler = emcee.EnsembleSampler(64, 11, log_density, vectorize=True)
    sampler.random_state = np.random.RandomState(1).get_state()
    sampler.run_mcmc(centre + 0.3 * rng.standard_normal((64, 11)), 3000)
    depth = sampler.get_log_prob(discard=1000).mean(0)
    kept = (
        depth > np.median(depth) - 30
    )  # emcee's walkers do not leave a mode e^-30 as probable, once in it
    assert kept.mean() > 0.9
    chain = sampler.get_chain(discard=1000)[:, kept]
    z = normal(posterior)[0].numpy()
    c = np.stack([np.asarray(posterior.labels[k])[0] for k in prior.CONTINUUM], 1) / 0.02
    ours, theirs = np.concatenate([z, c], 1), chain.reshape(-1, 11)
    ess = array_stats.ess(chain, chain_axis=1, draw_axis=0, method="bulk")
    error = np.sqrt(1 / ess + 1 / posterior.diagnostics["ess"][0])
    assert (np.abs(ours.mean(0) - theirs.mean(0)) / theirs.std(0) < 4 * error).all()
    assert np.allclose(ours.std(0) / theirs.std(0), 1, atol=0.15)


def test_importing_leaves_the_warning_filters_alone():
    code = (
        "import warnings; from specnb.labels.oracle import UnreliablePosterior as ours; "
        "assert not any(issubclass(ours, f[2]) and f[2] is not Warning and f[0] == 'always' "
        "for f in warnings.filters)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
