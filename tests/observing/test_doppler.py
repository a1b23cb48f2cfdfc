"""Velocities that no single star of the prior has: on spectra made of shifted ones."""

import numpy as np
import pytest
import torch

from specnb.grid import PIXEL_VELOCITY
from specnb.observing import doppler
from specnb.world import fit

SUN = (5777.0, 4.4, 0.0, 0.0, 0.0, 5.0)


def star(rv=0.0, vsini=5.0, teff=SUN[0]):
    labels = torch.tensor([[teff, *SUN[1:4], rv, vsini]], dtype=torch.float32)
    return fit.default_world().emulated(labels).numpy()


def compared(flux, single, snr=100.0):
    labels = np.array([SUN])
    return doppler.double(fit.default_world(), flux, np.full_like(flux, snr**2), labels, single)


@pytest.mark.parametrize(("pixels", "second"), [(3, 0.5), (4, 0.5), (4, 1.0), (6, 0.3), (6, 1.0)])
def test_two_stars_are_told_from_one_and_their_distance_is_right(pixels, second):
    apart = pixels * PIXEL_VELOCITY
    share = second / (1 + second)
    flux = (1 - share) * star(-share * apart) + share * star((1 - share) * apart)
    found = compared(flux, star(vsini=50.0))
    assert found.gain[0] > 25
    assert found.separation[0] == pytest.approx(apart, abs=1.01 * PIXEL_VELOCITY)


@pytest.mark.parametrize(
    ("rv", "vsini"), [(0, 5), (123, 5), (-250, 30), (0, 120), (100, 180), (-60, 250)]
)
def test_a_single_star_is_not_double_however_fast_it_is_or_rotates(rv, vsini):
    flux = star(rv, vsini)
    assert compared(flux, star(rv, min(vsini, 50)), snr=50).gain[0] < 25


def test_a_faint_second_star_is_not_believed():
    flux = 0.9 * star(-100) + 0.1 * star(200)
    assert compared(flux, star(-100)).gain[0] < 25


def test_pixels_without_weight_change_nothing():
    flux = 0.5 * star(-150) + 0.5 * star(150)
    ivar = np.full_like(flux, 1e4)
    ivar[:, 500:700] = 0
    wild = np.where(ivar > 0, flux, 7.0)
    world, labels, single = fit.default_world(), np.array([SUN]), star(vsini=50.0)
    a, b = (doppler.double(world, y, ivar, labels, single) for y in (flux, wild))
    assert a.gain == b.gain > 25


@pytest.mark.parametrize("rv", [-700, -400, 420, 1000])
def test_a_fast_star_is_found_beyond_the_prior(rv):
    flux = star(0.0)
    shift = round(rv / PIXEL_VELOCITY)
    moved = 1 + np.roll(flux - 1, shift)
    moved[:, :25] = moved[:, -25:] = 1.0
    velocity, faster = doppler.fastest(fit.default_world(), moved, np.full_like(moved, 50.0**2))
    assert velocity[0] == pytest.approx(rv, abs=1.5 * PIXEL_VELOCITY)
    assert faster[0] > 25
    assert doppler.fastest(fit.default_world(), flux, np.full_like(flux, 50.0**2))[1][0] == 0
