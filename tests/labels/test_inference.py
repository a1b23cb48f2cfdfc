"""The flow over labels against its own density, and refinement against the exact posterior."""

import numpy as np
import pytest
import torch

from specnb import simulate
from specnb.labels import flows, inference, oracle
from specnb.observed import Observed
from specnb.sampling import importance
from specnb.world import fit, prior
from specnb.world.instrument import LAMOST
from specnb.world.sky import of_instrument

SMALL = {"width": 32, "blocks": 1, "hidden": 16, "transforms": 2, "bins": 4}


@pytest.fixture(scope="module")
def flow():
    made = flows.fresh(seed=3, **SMALL)
    torch.nn.init.normal_(
        made.net.last.weight, std=0.05, generator=torch.Generator().manual_seed(1)
    )
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def stars():
    return simulate(3, 31, snr=30)


def test_draws_have_the_density_that_is_said(flow, stars):
    observed = Observed(torch.from_numpy(stars.observed), torch.from_numpy(stars.ivar))
    noise = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0))
    z, log_density = flow.draw(noise, observed)
    density = log_density()
    assert z.shape == (3, 20, 6)
    for k in (0, 7, 19):
        assert torch.allclose(flow.log_prob(z[:, k], observed), density[:, k], atol=1e-3)


def test_a_flow_of_a_sky_follows_its_likelihood(stars):
    """Where arms meet nothing counts; draws have the density that is said; refinement takes the sky's evidence."""
    sky = flows.fresh(seed=3, world=of_instrument(LAMOST), **SMALL).eval().requires_grad_(False)
    seen = simulate(2, 5, snr=40, sky=True)
    table = inference.infer(seen.observed, seen.ivar, 30, seed=1, flow=sky)
    changed = np.where(LAMOST.good, seen.observed, 0.5)
    again = inference.infer(changed, seen.ivar, 30, seed=1, flow=sky)
    for name in prior.LABELS:
        assert np.isfinite(table[name]).all()
        assert np.allclose(table[name], again[name], rtol=1e-4)
    weighed = sky.world.weigh(
        Observed(torch.from_numpy(seen.observed), torch.from_numpy(seen.ivar))
    )
    noise = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    z, log_density = sky.draw(noise, weighed)
    assert torch.allclose(sky.log_prob(z[:, 3], weighed), log_density()[:, 3], atol=2e-3)
    refined = inference.infer(seen.observed, seen.ivar, 20, seed=1, flow=sky, refine=True)
    assert ((refined["share"] > 0) & (refined["share"] <= 1)).all()


def test_the_density_is_one(flow, stars):
    """Importance sampling of the integral of q with a wide normal density, at a S/N where q is as wide."""
    observed = Observed(
        torch.from_numpy(stars.observed[:1]), torch.from_numpy(stars.ivar[:1]) / 300**2
    )
    g = torch.Generator().manual_seed(2)
    z = 2 * torch.randn(40000, 6, generator=g)
    wide = torch.distributions.Normal(0.0, 2.0).log_prob(z).sum(1)
    _, at, root, (shift, inner, dist) = flow._given(observed)
    away = (z.double() - at) @ root[0]
    t = torch.linalg.solve_triangular(inner[0], (away.float() - shift).mT, upper=False).mT
    ln_q = dist.log_prob(t[:, None])[:, 0] + (
        root[0].diagonal().log().sum() - inner[0].diagonal().log().sum()
    )
    weight = (ln_q - wide).exp()
    assert weight.mean().item() == pytest.approx(1, abs=5 * weight.std().item() / 200)


def test_the_table_has_a_column_a_label(flow, stars):
    table = inference.infer(stars.observed, stars.ivar, 50, seed=4, flow=flow)
    assert table.colnames == list(prior.LABELS)
    assert table["teff"].shape == (3, 50)
    assert str(table["rv"].unit) == "km / s"
    again = inference.infer(stars.observed[0], stars.ivar[0], 50, seed=4, flow=flow)
    assert np.allclose(again["teff"][0], table["teff"][0], rtol=1e-5)
    other = inference.infer(stars.observed[0], stars.ivar[0], 50, seed=5, flow=flow)
    assert not np.allclose(again["teff"], other["teff"])


def test_an_untrained_flow_is_refined_to_the_exact_posterior():
    """At a S/N so low that draws of the prior cover the posterior."""
    star = simulate(1, 32, snr=30)
    ivar = star.ivar / 300**2
    flow = flows.fresh(seed=3, **SMALL).eval().requires_grad_(False)
    found = inference.infer(star.observed, ivar, 400, refine=True, flow=flow)
    assert found["share"][0] > 0.05
    world = fit.default_world()
    observed = Observed(*(torch.from_numpy(v) for v in (star.observed, ivar)))
    z = torch.randn(1, 4000, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    weight = torch.softmax(
        oracle.log_posterior(world, z, observed)[0] + 0.5 * z[0].square().sum(1), 0
    )
    labels = prior.from_normal(z[0])
    for i, name in enumerate(prior.LABELS):
        mean = (weight * labels[:, i]).sum()
        sd = (weight * (labels[:, i] - mean) ** 2).sum().sqrt()
        assert abs(np.mean(found[name]) - mean.item()) < 0.3 * sd.item()


def test_resampling_follows_the_weights():
    rng = np.random.default_rng(0)
    chosen, share = importance.resample(np.log([0.1, 0.2, 0.7]), 1000, rng)
    assert np.abs(np.bincount(chosen) - [100, 200, 700]).max() <= 1
    assert share == pytest.approx(1 / (3 * (0.01 + 0.04 + 0.49)))
    _, even = importance.resample(np.zeros(8), 3, rng)
    assert even == pytest.approx(1)


def test_bad_arguments_are_named(flow, stars):
    with pytest.raises(ValueError, match="n_samples is 0; give"):
        inference.infer(stars.observed, stars.ivar, 0, flow=flow)
