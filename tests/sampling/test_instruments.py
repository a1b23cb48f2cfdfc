import numpy as np
import pytest
import torch
from gaussian_world import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st

import specnb
from specnb.denoising.base import by_draw
from specnb.observed import Observed
from specnb.sampling import instruments, split_gibbs

OPERATORS = {
    "identity": instruments.identity(),
    "lower resolution": instruments.lower_resolution(1000),
    "rebin": instruments.rebin(2.5),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint(name):
    a = OPERATORS[name]
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(3, 3136, generator=g), torch.randn(3, a.matrix.shape[0], generator=g)
    assert torch.allclose((a(x) * y).sum(1), (x * a.adjoint(y)).sum(1), atol=1e-3)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_flat_continuum_stays(name):
    assert torch.allclose(OPERATORS[name](torch.ones(2, 3136)), torch.ones(1), atol=1e-5)


def test_lower_resolution_is_what_synthesis_gives():
    star = dict(teff=5000, logg=3.0, m_h=-0.5, alpha_m=0.1, rv=30, vsini=5)
    native, low = (torch.from_numpy(specnb.synthesize(**star, resolution=r)) for r in (1800, 1000))
    found = instruments.lower_resolution(1000)(native)
    inner = slice(20, -20)
    assert (found - low)[:, inner].abs().max() < 0.01
    assert (found - low)[:, inner].square().mean().sqrt() < 0.002
    assert (native - low)[:, inner].square().mean().sqrt() > 0.01


@settings(max_examples=25, deadline=None)
@given(st.floats(1, 50))
def test_rebinning_keeps_the_flux(factor):
    a = instruments.rebin(factor)
    x = torch.rand(1, 3136, generator=torch.Generator().manual_seed(0))
    covered = a.matrix.sum(0) * factor
    assert (a(x).sum() * factor).item() == pytest.approx(
        (x[0].double() @ torch.from_numpy(covered)).item(), rel=1e-4
    )
    assert covered.max() == pytest.approx(1)


@pytest.mark.parametrize(
    "call", [lambda: instruments.lower_resolution(1800), lambda: instruments.rebin(0.5)]
)
def test_an_instrument_that_sees_more_than_there_is_is_refused(call):
    with pytest.raises(ValueError, match="; give one"):
        call()


@pytest.mark.parametrize("masked", [False, True])
def test_split_gibbs_is_exact_with_a_wide_copy(masked):
    """A smoothing instrument in a Gaussian world, against the posterior in closed form."""
    model, mean, covariance = gaussian()
    a = instruments.lower_resolution(500, pixels=16)
    dense = torch.from_numpy(a.matrix.toarray())
    g = torch.Generator().manual_seed(4)
    sd = 0.05 + 0.1 * torch.rand(16, generator=g)
    x = mean + torch.linalg.cholesky(covariance.double()).float() @ torch.randn(16, generator=g)
    y, ivar = (a(x[None])[0] + sd * torch.randn(16, generator=g))[None], (sd**-2)[None]
    if masked:
        ivar[:, 5] = 0
    w = ivar[0].double()
    left = torch.linalg.inv(torch.linalg.inv(covariance.double()) + dense.mT @ (w[:, None] * dense))
    expected = mean.double() + left @ (dense.mT @ (w * (y[0].double() - dense @ mean.double())))
    n, rng = 3000, torch.Generator().manual_seed(1)
    start = mean.expand(n, -1)
    observed = Observed(y, ivar)
    found = split_gibbs.sample(by_draw(model, rng), a, observed, start, 200, rng).double()
    scale = left.diagonal().sqrt()
    assert ((found.mean(0) - expected) / scale).abs().max() < 5 / n**0.5
    assert ((torch.cov(found.mT) - left) / (scale[:, None] * scale)).abs().max() < 6 * (
        2 / n
    ) ** 0.5


def test_the_copy_leaves_room_for_the_likelihood():
    a = instruments.lower_resolution(1000, pixels=200)
    ivar = torch.from_numpy(np.random.default_rng(0).uniform(10, 1000, (1, 200)))
    dense = torch.from_numpy(a.matrix.toarray())
    r2 = split_gibbs.copy_variance(dense, ivar[0])
    assert torch.linalg.eigvalsh((1 / ivar[0]).diag() - dense @ (r2[:, None] * dense.mT)).min() > 0


def test_the_native_instrument_is_sparse():
    """The identity holds a number a pixel, not a matrix of them."""
    assert instruments.identity().matrix.nnz == 3136
    x = torch.rand(2, 3136)
    assert torch.equal(instruments.identity()(x), x)
