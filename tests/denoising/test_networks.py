import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import specnb
from specnb.denoising import networks
from specnb.denoising.base import descend
from specnb.denoising.nets import Attention, UNet1D
from specnb.observed import Observed


class Linear(torch.nn.Module):
    """Stand-in for the network: F = 0 leaves the best answer that looks at one pixel alone."""

    def forward(self, channels, level):
        return torch.zeros_like(channels[:, 0])


def pixelwise(mean=1.0, std=0.1):
    return networks.PixelDenoiser(Linear(), torch.full((3136,), mean), torch.full((3136,), std))


def test_without_a_network_it_is_the_scalar_wiener_filter():
    u, m = torch.full((1, 3136), 1.3), torch.full((1, 3136), 0.2)
    expected = 1.0 + 0.3 * 0.1**2 / (0.1**2 + 0.2**2)
    assert torch.allclose(pixelwise()(u, m), torch.full((1, 3136), expected))


@pytest.mark.parametrize("target", networks.TARGETS)
def test_every_target_stands_for_the_same_spectrum(target):
    """A network that answers exactly what it is asked for gives back the clean spectrum, at every level."""
    g = torch.Generator().manual_seed(0)
    mean, std = torch.rand(8, generator=g), 0.1 + torch.rand(8, generator=g)
    x, noise = mean + std * torch.randn(4, 8, generator=g), torch.randn(4, 8, generator=g)
    for level in (1e-3, 0.1, 10.0):
        m = level * (0.5 + torch.rand(4, 8, generator=g))
        u, r = x + m * noise, (std**2 + m**2).sqrt()
        right = {
            "x0": (x - mean) / std,
            "eps": noise,
            "residual": -noise,
            "v": (m * (x - mean) / std - std * noise) / r,
        }
        found = networks.TARGETS[target](right[target], u, m, mean, std)
        assert torch.allclose(found, x, atol=1e-5 * max(1, level))


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="target is 'epsilon'; choose one of"):
        networks.fresh(
            torch.ones(3136), torch.ones(3136), target="epsilon", stem=32, channels=(16, 16)
        )


def test_no_noise_no_change_bit_for_bit():
    """A residual network cannot move what has no noise (the plan's identity at s = 0)."""
    net = networks.fresh(
        torch.ones(3136), torch.full((3136,), 0.1), target="residual", stem=32, channels=(16, 16)
    )
    torch.nn.init.normal_(net.net.unstem.weight)
    u = 1 + 0.1 * torch.randn(2, 3136)
    assert not torch.equal(net(u, torch.full_like(u, 0.1)), u)
    assert torch.equal(net(u, torch.zeros_like(u)), u)


def test_small_noise_keeps_the_observation():
    torch.manual_seed(0)
    net = networks.fresh(torch.ones(3136), torch.full((3136,), 0.1), stem=32, channels=(16, 16))
    u = 1 + 0.1 * torch.randn(2, 3136)
    assert (net(u, torch.full_like(u, 1e-5)) - u).abs().max() < 1e-4


def test_masked_pixels_do_not_enter():
    model = networks.load("bounded", "cpu")
    s = specnb.simulate(2, 0, snr=20)
    wild = s.observed.copy()
    wild[s.ivar == 0] = 1e6
    nan = s.observed.copy()
    nan[s.ivar == 0] = np.nan
    clean = specnb.denoise(s.observed, s.ivar)
    assert np.array_equal(clean, specnb.denoise(wild, s.ivar))
    assert np.array_equal(clean, specnb.denoise(nan, s.ivar))
    assert model.training is False


def test_deterministic_steps_follow_the_closed_form_flow():
    """For a Gaussian prior the probability-flow ODE maps y to μ + (y − μ) s/√(s² + m²)."""
    std, m = 0.1, 0.2
    u = torch.full((1, 3136), 1.3)
    end = descend(pixelwise(std=std), Observed.state(u, torch.full_like(u, m)), steps=400)
    assert torch.allclose(end, torch.full_like(u, 1 + 0.3 * std / np.hypot(std, m)), atol=1e-3)
    one = descend(pixelwise(std=std), Observed.state(u, torch.full_like(u, m)), steps=1)
    assert torch.equal(one, pixelwise(std=std)(u, torch.full_like(u, m)))


def test_batching_changes_nothing():
    s = specnb.simulate(5, 1)
    u, m = (
        torch.from_numpy(s.observed),
        Observed(torch.from_numpy(s.observed), torch.from_numpy(s.ivar)).noise,
    )
    f = pixelwise()
    assert torch.equal(networks.in_batches(f, u, m, size=2), f(u, m))


def test_shipped_model_beats_the_observation_on_test_stars():
    for level in (0.1, 0.5):
        s = specnb.simulate(64, 11, level=level)
        good = s.ivar > 0
        before, after = (
            np.square(x - s.flux)[good].mean()
            for x in (s.observed, specnb.denoise(s.observed, s.ivar))
        )
        assert after < 0.25 * before


def test_kinds_and_shapes_come_back():
    s = specnb.simulate(3, 0)
    assert specnb.denoise(s.observed[0], s.ivar[0]).shape == (3136,)
    many = specnb.denoise(s.observed, s.ivar)
    assert many.shape == (3, 3136)
    assert many.dtype == np.float32
    assert np.allclose(many[0], specnb.denoise(s.observed[0], s.ivar[0]), atol=1e-5)
    tensor = specnb.denoise(torch.from_numpy(s.observed), torch.from_numpy(s.ivar))
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(tensor, many)
    assert np.allclose(specnb.denoise(s.observed.astype("f8").tolist(), s.ivar.tolist()), many)


def good():
    return np.ones(3136), np.full(3136, 100.0)


def broken(which, value, pixel=7):
    flux, ivar = good()
    (flux if which == "flux" else ivar)[pixel] = value
    return flux, ivar


@pytest.mark.parametrize(
    ("flux", "ivar", "message"),
    [
        (np.ones(3000), np.ones(3000), r"flux has shape \(3000,\); give \(3136,\) or \(n, 3136\)"),
        (np.ones((0, 3136)), np.ones((0, 3136)), "flux has shape"),
        (np.ones((1, 2, 3136)), np.ones((1, 2, 3136)), "flux has shape"),
        (np.ones((2, 3136)), np.ones(3136), "ivar has shape .* give one ivar for every flux"),
        (*broken("flux", np.nan), r"flux of spectrum 0 is nan at pixel 7 .* set ivar to 0 there"),
        (*broken("flux", np.inf), "flux of spectrum 0 is inf"),
        (*broken("ivar", -1.0), "ivar of spectrum 0 is -1.0 at pixel 7 .* give 0 for a bad pixel"),
        (*broken("ivar", np.nan), "ivar of spectrum 0 is nan"),
        (*broken("ivar", np.inf), "ivar of spectrum 0 is inf"),
        (np.ones(3136), np.zeros(3136), "ivar of spectrum 0 is 0 everywhere"),
        (
            "spectrum.fits",
            np.ones(3136),
            "flux is 'spectrum.fits'; give an array or tensor of real numbers",
        ),
        (None, np.ones(3136), "flux is None"),
        (np.ma.ones(3136), np.ones(3136), "flux is a masked array; .* mark bad pixels by ivar = 0"),
        (np.ones(3136) * 1j, np.ones(3136), "flux is"),
        (
            968 * np.ones(3136),
            np.ones(3136),
            "flux of spectrum 0 has a median of 968; divide it by its continuum",
        ),
    ],
)
def test_bad_input_is_named(flux, ivar, message):
    with pytest.raises(ValueError, match=message):
        specnb.denoise(flux, ivar)


def test_unknown_method():
    with pytest.raises(ValueError, match="method is 'magic'; choose one of"):
        specnb.denoise(*good(), method="magic")


@settings(max_examples=20, deadline=None)
@given(
    scale=st.floats(1e-2, 1e6),
    depth=st.floats(0.3, 1.5),
    share=st.floats(0, 0.99),
    seed=st.integers(0, 99),
)
def test_any_noise_map_gives_a_finite_spectrum(scale, depth, share, seed):
    rng = np.random.default_rng(seed)
    ivar = scale * rng.uniform(0.1, 10, 3136) * (rng.random(3136) >= share)
    ivar[0] = scale
    assert np.isfinite(specnb.denoise(np.full(3136, depth), ivar)).all()


def test_saved_and_read_back(tmp_path):
    config = {"stem": 32, "channels": [16, 16]}
    model = networks.fresh(torch.ones(3136), torch.ones(3136), **config).eval()
    networks.save(model, config, tmp_path / "model.safetensors")
    again = networks.read(tmp_path / "model.safetensors")
    u, m = torch.rand(1, 3136), torch.rand(1, 3136) + 0.1
    assert torch.allclose(model(u, m), again(u, m), atol=5e-3)  # half precision
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_network_refuses_a_length_it_cannot_halve():
    with pytest.raises(ValueError, match="length is 3136; it must be a multiple"):
        UNet1D(3, stem=48)
    with pytest.raises(ValueError, match="1/8 is the finest"):
        UNet1D(3, stem=2, channels=(16, 16))


def test_attention_lets_every_position_see_every_other():
    """Teff is written in all lines at once: one layer of attention must span the spectrum."""
    torch.manual_seed(0)
    layer = Attention(16, 49)
    for p in layer.parameters():
        torch.nn.init.normal_(p, std=0.3)
    layer.norm = (
        torch.nn.Identity()
    )  # group statistics couple all positions too; here only attention may
    x = torch.randn(1, 16, 49, requires_grad=True)
    layer(x)[0, :, 0].sum().backward()
    assert (x.grad[0].abs().sum(0) > 0).all()


def test_no_worse_than_the_observation_as_the_noise_goes():
    """Deterministic sampling takes a spectrum through every level down to none."""
    s = specnb.simulate(64, 12, level=0.01)
    good = s.ivar > 0
    before, after = (
        np.square(x - s.flux)[good].mean() for x in (s.observed, specnb.denoise(s.observed, s.ivar))
    )
    assert after < before
