"""Classical denoisers against closed forms, and against the observation."""

import numpy as np
import pytest
import pywt
import torch
from scipy.signal import savgol_filter

import specnb
from specnb import validate
from specnb.denoising import classical
from specnb.denoising.nets import DnCNN1D
from specnb.denoising.subspace import LinearDenoiser
from specnb.observed import Observed
from specnb.world.stars import draw
from specnb.world.streams import generator

METHODS = sorted(classical.METHODS)


def stars(n, seed, snr):
    s = specnb.simulate(n, seed, snr=snr)
    observed, _ = validate.spectra(s.observed, s.ivar)
    return torch.from_numpy(s.flux), observed.flux, observed.ivar


def denoised(method, flux, ivar, **settings):
    return classical.METHODS[method](**settings).denoise(Observed(flux, ivar))


# --- every method -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_no_worse_than_the_observation(method):
    x, flux, ivar = stars(32, 5, 10.0)
    estimate, good = denoised(method, flux, ivar), ivar > 0
    assert estimate.dtype == torch.float32
    assert estimate.shape == flux.shape
    assert torch.isfinite(estimate).all()
    before, after = ((e - x)[good].square().mean() for e in (flux, estimate))
    assert after == before if method == "none" else after < 0.2 * before
    # bad pixels are filled in with something like the star, too
    assert (estimate - x)[~good].square().mean() < (1.5 if method == "none" else 0.3) * before


@pytest.mark.parametrize("method", METHODS)
def test_bad_pixels_do_not_matter(method):
    _, flux, ivar = stars(2, 6, 20.0)
    wild = torch.where(ivar > 0, flux, 1e4)
    assert torch.equal(denoised(method, wild, ivar), denoised(method, flux, ivar))


@pytest.mark.parametrize("method", METHODS)
def test_a_star_alone_is_the_star_in_a_batch(method):
    _, flux, ivar = stars(20, 7, np.geomspace(3, 1000, 20))
    many = denoised(method, flux, ivar)
    for i in (0, 8, 19):
        one = denoised(method, flux[i : i + 1], ivar[i : i + 1])
        assert ((many[i] - one[0]) * ivar[i].sqrt()).abs().max() < (
            0.2 if method == "gp" else 1e-3
        )  # gp iterates


@pytest.mark.parametrize("method", METHODS)
def test_one_good_pixel_is_enough_to_stay_finite(method):
    ivar = torch.zeros(1, 3136)
    ivar[0, 100] = 100.0
    assert torch.isfinite(denoised(method, torch.ones(1, 3136), ivar)).all()


def test_none_bridges_linearly():
    flux, ivar = torch.linspace(0, 1, 3136)[None].clone(), torch.ones(1, 3136)
    expected = flux.clone()
    for bad in (slice(10, 14), slice(0, 3)):
        ivar[0, bad] = 0
        flux[0, bad] = 7.0
    expected[0, :3] = expected[0, 3]  # beyond the last good pixel: constant
    assert torch.allclose(denoised("none", flux, ivar), expected)
    assert flux[0, 10] == 7  # the caller's spectrum is left alone


def test_each_star_gets_the_entry_of_its_snr():
    ivar = torch.tensor([3.0, 7.9, 8.1, 99.0, 101.0, 5000.0])[:, None].expand(-1, 3136) ** 2
    ivar = ivar * (torch.arange(3136) % 3 > 0)  # bad pixels do not lower the S/N
    found = {
        entry: rows.tolist() for entry, rows in classical._by_snr(Observed(ivar, ivar), "abcdefgh")
    }
    assert found == {"a": [0, 1], "b": [2], "e": [3], "f": [4], "h": [5]}
    assert len(classical.COMPONENTS) == len(classical.POLYNOMIALS) == len(classical.BINS)


# --- the linear optimum -----------------------------------------------------------------------------------------------


def test_single_precision_is_enough():
    """Sums over pixels are in float32; at S/N 2000 their errors must still be far below those of the estimate."""
    x, flux, ivar = stars(16, 8, 2000.0)
    exact = LinearDenoiser(*(p.double() for p in classical.moments()))
    double = exact.denoise(Observed(flux.double(), ivar.double()))
    difference = (denoised("wiener", flux, ivar) - double).square().mean().sqrt()
    assert difference < 1e-3 * (double - x).square().mean().sqrt()


def test_prior_holds_the_variance_of_stars_it_has_not_seen():
    state = torch.get_rng_state()
    classical.moments.cache_clear()
    mean, basis, diagonal = classical.moments()
    assert torch.equal(
        state, torch.get_rng_state()
    )  # the caller's stream of random numbers is left alone
    x = draw(512, generator("validation", 3)).x - mean
    assert basis.square().sum(0).diff().max() <= 0
    assert (basis.square().sum(1) + diagonal).sum().item() == pytest.approx(
        x.square().sum(1).mean().item(), rel=0.1
    )
    unit = basis / basis.norm(dim=0)
    assert torch.allclose(unit.mT @ unit, torch.eye(classical.RANK), atol=1e-3)
    rest = x - x @ unit @ unit.mT
    assert rest.square().mean().sqrt() < 8e-4
    assert rest.square().mean().item() == pytest.approx(diagonal.mean().item(), rel=0.5)


def test_gp_equals_the_dense_solution():
    _, flux, ivar = stars(1, 9, 10.0)
    kernel = torch.fft.irfft(classical._density(6400).double())[:3136]
    lag = (torch.arange(3136)[:, None] - torch.arange(3136)).abs()
    y, w = (v[0].double() for v in classical.bridged(Observed(flux, ivar)))
    mean, k = classical.moments()[0].double(), kernel[lag]
    dense = mean + k @ torch.linalg.solve(k + (1 / w).diag(), y - mean)
    error = (denoised("gp", flux, ivar)[0] - dense).square().mean().sqrt()
    assert error < 0.01 * (dense - y).square().mean().sqrt()


# --- smoothers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "order"), [(7, 2), (9, 4), (1, 0)])
def test_savgol_with_equal_weights_is_scipys(window, order):
    _, flux, _ = stars(2, 10, 10.0)
    found = denoised("savgol", flux, torch.full_like(flux, 100.0), window=window, order=order)
    expected = savgol_filter(flux.double().numpy(), window, order, mode="interp")
    inner = slice(window, -window)
    assert np.allclose(found[:, inner], expected[:, inner], atol=1e-5)


def test_savgol_leaves_a_polynomial_of_its_order_as_it_is():
    t = torch.linspace(-1, 1, 3136)
    flux = (1 + 0.2 * t - 0.3 * t**2).expand(2, -1)
    ivar = 100 * torch.rand(2, 3136, generator=torch.Generator().manual_seed(0)) + 1
    found = denoised("savgol", flux, ivar, window=11, order=2)
    assert torch.allclose(found, flux, atol=1e-5)  # at the ends, too


def test_noise_of_wavelet_coefficients():
    """Propagated from pixels to coefficients, against the scatter of 4000 transforms of noise."""
    rng, n, name = np.random.default_rng(0), 256, "sym4"
    variance = np.where(np.arange(n) % 64 < 8, 25.0, 1.0)  # sky lines
    noise = np.sqrt(variance) * rng.standard_normal((4000, n))
    details = pywt.swt(noise, name, 3, trim_approx=True, norm=True, axis=-1)[1:]
    for share, gain, d in zip(
        (1 / 8, 1 / 4, 1 / 2), classical._gains(name, 3, n), details, strict=True
    ):
        assert gain[0] == pytest.approx(share)  # of white noise
        assert np.fft.irfft(np.fft.rfft(variance) * gain, n) == pytest.approx(d.var(0), rel=0.12)


def test_wavelet_keeps_a_spectrum_and_removes_noise():
    x, _, ivar = stars(4, 11, 10.0)
    assert torch.allclose(denoised("wavelet", x, torch.full_like(x, 1e10)), x, atol=1e-4)
    sigma = ivar.clamp(min=1).rsqrt()
    flat = 1 + sigma * torch.randn(4, 3136, generator=torch.Generator().manual_seed(1))
    rest = (denoised("wavelet", flat, 1 / sigma**2) - 1) / sigma
    assert rest.square().mean() < 0.03


# --- tuning, DnCNN ----------------------------------------------------------------------------------------------------


def test_tuning_is_a_table_of_settings_and_bins():
    table = classical.tune("wavelet", n=2)
    assert len(table) == len(classical.SETTINGS["wavelet"])
    assert np.shape(table[f"name={classical.WAVELET}, levels={classical.LEVELS}"]) == (
        len(classical.BINS),
    )
    with pytest.raises(ValueError, match=r"method is 'none'; choose one of \['pca'"):
        classical.tune("none")


@pytest.mark.parametrize("settings", [{}, {"depth": 4, "width": 8, "kernel": 5}])
def test_dncnn_sees_as_far_as_its_docstring_says(settings):
    net = DnCNN1D(3, **settings).eval()
    field = settings.get("depth", 17) * (settings.get("kernel", 3) - 1) + 1
    for p in net.parameters():
        torch.nn.init.uniform_(p, 0, 0.1)  # positive: no ReLU hides a path
    x = torch.rand(2, 3, 200, requires_grad=True)
    y = net(x, torch.zeros(2))
    assert y.shape == (2, 200)
    y[0, 100].backward()
    seen = (x.grad != 0).any(1)
    assert seen[0].nonzero().flatten().tolist() == list(
        range(100 - field // 2, 100 + field // 2 + 1)
    )
    assert not seen[1].any()


def test_dncnn_refuses_what_keeps_no_length():
    with pytest.raises(ValueError, match="depth is 1 and kernel 3"):
        DnCNN1D(3, depth=1)
    with pytest.raises(ValueError, match="kernel 4"):
        DnCNN1D(3, kernel=4)
