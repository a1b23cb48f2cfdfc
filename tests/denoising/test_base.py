"""Whatever denoises answers the same question in the same way."""

import pytest
import torch

import specnb
from specnb import validate
from specnb.denoising.base import Denoiser, PointEstimate, SpectrumPosterior, by_draw, by_mean
from specnb.denoising.denoise import METHODS, named
from specnb.denoising.local_prior import LocalPosterior
from specnb.denoising.networks import load
from specnb.denoising.subspace import LinearPosterior
from specnb.observed import Observed
from specnb.sampling import guidance

DRAWS = {"bounded": LocalPosterior, "supervised": LocalPosterior, "wiener": LinearPosterior}
"""Methods whose posterior can be drawn from; the others give a mean."""


@pytest.fixture(scope="module")
def observed():
    s = specnb.simulate(3, 17, snr=20)
    return validate.spectra(s.observed, s.ivar)[0]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_a_denoiser(method, observed):
    denoiser = named(method)
    assert isinstance(denoiser, Denoiser)
    clean = denoiser.denoise(observed)
    assert clean.shape == observed.flux.shape
    with torch.no_grad():
        posterior = denoiser.posterior(observed.filled(1.0))
    assert isinstance(posterior, SpectrumPosterior)
    rng = torch.Generator().manual_seed(0)
    if method in DRAWS:
        assert isinstance(posterior, DRAWS[method])
        assert posterior.draw(rng).shape == clean.shape
    else:
        with pytest.raises(NotImplementedError, match="has a mean and no draws"):
            posterior.draw(rng)


def test_what_is_guided_is_a_denoiser_too(observed):
    model, one = load("bounded"), observed[:1]
    state = Observed.state(model.mean.repeat(2, 1), torch.full((1, 3136), 0.5))
    rng = torch.Generator().manual_seed(0)
    ways = (
        guidance.GaussianProduct(model, one),
        guidance.DPS(model, one, 1.0),
        guidance.PiGDM(model, one),
        guidance.MMPS(model, one),
    )
    for guided in ways:
        assert isinstance(guided, Denoiser)
        assert by_mean(guided)(state).shape == (2, 3136)
    assert by_draw(ways[0], rng)(state).shape == (2, 3136)


def test_a_supervised_denoiser_is_one_once_it_has_seen_an_observation(observed):
    model = load("supervised")
    _, seen = model.look(observed[:1].filled(model.mean))
    state = Observed.state(model.mean.repeat(2, 1), torch.full((1, 3136), 0.5))
    given = model.given(seen)
    assert isinstance(given, Denoiser)
    assert given.posterior(state).mean.shape == (2, 3136)


def test_a_denoiser_must_answer():
    class Silent(Denoiser):
        pass

    with pytest.raises(TypeError, match="abstract method"):
        Silent()


def test_a_point_is_its_own_mean():
    x = torch.rand(2, 5)
    assert torch.equal(PointEstimate(x).mean, x)
