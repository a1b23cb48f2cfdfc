"""Each operator against an independent computation: direct integrals with scipy, specutils for the rebinning."""

import astropy.units as u
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import j1
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler

from specnb.grid import DLOGLAM, FINE_LOGLAM, FINE_RESOLUTION, LOGLAM, SPEED_OF_LIGHT, WAVE
from specnb.world import operators

CENTRE = 3.8171  # log10 wavelength of the test line, near Hα
BASE = (
    1 / FINE_RESOLUTION / np.log(10) / np.sqrt(8 * np.log(2))
)  # σ in dex of an unresolved line at R = 10,000


def gaussian(x, sigma):
    return np.exp(-0.5 * (x / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def line(sigma=BASE, area=4e-5):
    """An absorption line on the fine grid and as a function of log wavelength."""
    return -area * gaussian(FINE_LOGLAM - CENTRE, sigma)


def observe(lines, rv=0.0, vsini=0.0, resolution=1800.0):
    args = [torch.tensor([float(v)]) for v in (rv, vsini, resolution)]
    return (
        operators.to_native(operators.to_fourier(torch.tensor(lines)[None]), *args)[0]
        .double()
        .numpy()
    )


def pixel_means(profile, centre, area=4e-5, half=40):
    """Exact mean over native pixels of ``profile`` (unit area, of log wavelength) around ``centre``."""
    first = int(np.argmin(abs(LOGLAM - centre))) - half
    rows = np.arange(first, first + 2 * half)
    edge = DLOGLAM / 2
    means = [
        quad(
            lambda x: -area * profile(x - centre), LOGLAM[i] - edge, LOGLAM[i] + edge, epsabs=1e-12
        )[0]
        / DLOGLAM
        for i in rows
    ]
    return rows, np.array(means)


@pytest.mark.parametrize("resolution", [800, 1800, 2100, 4000])
def test_lsf_and_rebinning_against_a_direct_integral(resolution):
    sigma = 1 / resolution / np.log(10) / np.sqrt(8 * np.log(2))
    rows, expected = pixel_means(lambda x: gaussian(x, sigma), CENTRE)
    assert np.abs(observe(line(), resolution=resolution)[rows] - expected).max() < 2e-6


@pytest.mark.parametrize("rv", [-300.0, -17.3, 0.4, 250.0])
def test_velocity_is_an_exact_shift(rv):
    shifted = CENTRE + np.log10(1 + rv / SPEED_OF_LIGHT)
    sigma = 1 / 1800 / np.log(10) / np.sqrt(8 * np.log(2))
    rows, expected = pixel_means(lambda x: gaussian(x, sigma), shifted)
    assert np.abs(observe(line(), rv=rv)[rows] - expected).max() < 2e-6


@pytest.mark.parametrize("vsini", [5.0, 50.0, 200.0])
def test_rotation_against_a_direct_convolution(vsini):
    eps = operators.LIMB_DARKENING
    width = vsini / SPEED_OF_LIGHT / np.log(10)
    v = np.linspace(-1, 1, 20001)
    kernel = 2 * (1 - eps) * np.sqrt(1 - v**2) + np.pi * eps / 2 * (1 - v**2)  # Gray, eq. 18.14
    kernel /= kernel.sum()
    sigma = 1 / 1800 / np.log(10) / np.sqrt(8 * np.log(2))
    rows = np.argmin(abs(LOGLAM - CENTRE)) + np.arange(-40, 40)
    inside = np.linspace(-0.5, 0.5, 41) * DLOGLAM  # trapezoid over a pixel
    weights = np.full(41, 1.0)
    weights[[0, -1]] = 0.5
    x = LOGLAM[rows][:, None] + inside - CENTRE
    mean = np.zeros(len(rows))
    for shift, k in zip(v[::20], np.add.reduceat(kernel, np.arange(0, 20001, 20)), strict=True):
        mean += (
            k
            * (gaussian(x - (shift + 0.00095 * (shift < 1)) * width, sigma) @ weights)
            / weights.sum()
        )
    assert np.abs(observe(line(), vsini=vsini)[rows] + 4e-5 * mean).max() < 2e-5


def test_rotation_transfer_is_the_transform_of_gray_profile():
    x = np.array([0.0, 0.05, 0.299, 0.301, 1.0, 5.0, 30.0])
    eps = operators.LIMB_DARKENING

    def profile(v):
        return (2 * (1 - eps) * np.sqrt(1 - v**2) + np.pi * eps / 2 * (1 - v**2)) / (
            np.pi * (1 - eps / 3)
        )

    expected = [quad(lambda v, f=f: profile(v) * np.cos(f * v), -1, 1, limit=200)[0] for f in x]
    assert np.allclose(operators.rotation_transfer(torch.tensor(x)), expected, atol=1e-7)
    assert np.allclose(
        operators.rotation_transfer(torch.tensor(x, dtype=torch.float32)), expected, atol=2e-6
    )


def test_rotation_derivatives_of_first_and_second_order():
    x = torch.tensor([0.05, 0.5, 2.0, 3.0, 20.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(operators.rotation_transfer, x)
    assert torch.autograd.gradgradcheck(operators.rotation_transfer, x)
    _, slope = torch.func.jvp(operators._BesselJ1.apply, (x.detach(),), (torch.ones_like(x),))
    h = 1e-6
    assert np.allclose(slope, (j1(x.detach() + h) - j1(x.detach() - h)) / (2 * h), atol=1e-8)


def test_rebinning_agrees_with_specutils():
    """specutils rebins point samples as steps, so the line must be smooth on the fine grid."""
    smooth = line(sigma=6 * BASE, area=2e-4)
    fine = Spectrum(flux=(1 + smooth) * u.one, spectral_axis=10**FINE_LOGLAM * u.AA)
    expected = FluxConservingResampler()(fine, WAVE * u.AA).flux.value
    ours = 1 + observe(smooth, resolution=FINE_RESOLUTION - 1)
    assert np.abs(ours - expected)[5:-5].max() < 1e-3 * np.abs(smooth).max() * 5


def test_edges_do_not_leak():
    step = np.full(FINE_LOGLAM.shape, -0.3)
    assert np.abs(observe(step, rv=300.0, vsini=50.0, resolution=1500.0) + 0.3).max() < 1e-4


@settings(max_examples=20, deadline=None)
@given(rv=st.floats(-300, 300), vsini=st.floats(0, 50), resolution=st.floats(1000, 5000))
def test_area_is_conserved(rv, vsini, resolution):
    """No operator changes the equivalent width in log wavelength."""
    lines = observe(line(), rv, vsini, resolution)
    assert lines.sum() * DLOGLAM == pytest.approx(-4e-5, rel=1e-4)
