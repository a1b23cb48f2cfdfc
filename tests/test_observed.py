"""The value that every inner function takes: flux with what is known of its noise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specnb.observed import MASKED, Observed


def observed(n=5, pixels=7, seed=0):
    g = torch.Generator().manual_seed(seed)
    ivar = 100 * torch.rand(n, pixels, generator=g)
    ivar[:, 2] = 0
    return Observed(1 + 0.1 * torch.randn(n, pixels, generator=g), ivar)


def test_noise_is_the_root_of_the_variance_and_large_where_there_is_nothing():
    o = observed()
    good = o.good
    assert torch.allclose(o.noise[good], o.ivar[good] ** -0.5)
    assert (o.noise[~good] == MASKED).all()
    assert not o.good[:, 2].any()


@given(st.lists(st.floats(1e-4, 20.0), min_size=1, max_size=20))
def test_a_state_keeps_its_noise_bit_for_bit(noise):
    m = torch.tensor([noise])
    state = Observed.state(torch.ones(3, len(noise)), m)
    assert torch.equal(state.noise, m)
    assert torch.allclose(state.ivar, m**-2)
    assert state.good.all()


def test_a_masked_pixel_of_a_state_is_bad():
    state = Observed.state(torch.ones(1, 2), torch.tensor([[0.1, MASKED]]))
    assert state.good.tolist() == [[True, False]]


def test_parts_are_those_of_the_whole():
    o = observed()
    parts = list(o.split(2))
    assert [len(p) for p in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([p.flux for p in parts]), o.flux)
    assert torch.equal(o[torch.tensor([3, 1])].ivar, o.ivar[[3, 1]])
    assert torch.equal(o[1:3].flux, o.flux[1:3])


def test_what_stands_at_bad_pixels_can_be_replaced():
    o = observed()
    filled = o.filled(torch.arange(7.0))
    assert (filled.flux[:, 2] == 2).all()
    assert torch.equal(filled.flux[o.good], o.flux[o.good])


def test_snr_is_of_good_pixels():
    ivar = torch.tensor([[4.0, 0.0, 100.0, 9.0]])
    assert Observed(torch.ones(1, 4), ivar).snr.item() == pytest.approx(3)


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        observed().flux = torch.zeros(1)
