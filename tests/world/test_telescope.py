"""What a simulated sky holds: each ingredient at its stated size, and nothing but it."""

import dataclasses

import numpy as np
import pytest
import torch

import specnb
from specnb.grid import N_PIXELS, WAVE
from specnb.world import stars, streams, telescope
from specnb.world.correction import load_corrected
from specnb.world.instrument import LAMOST, Arm, Instrument

QUIET = Instrument("quiet", (Arm(0.0, 1e5, velocity=0.0, ln_resolution=0.0, floor=0.0),))


def drawn(n=64, seed=0, level=0.05, instrument=LAMOST):
    rng = streams.generator("validation", seed)
    return telescope.draw(n, rng, torch.full((n, 1), level), instrument=instrument)


def test_a_quiet_instrument_shows_the_corrected_star():
    """Without arms, wiggles and steps what is left are the star, its components, gas, air, and white noise."""
    batch = drawn(48, 1, instrument=QUIET)
    emulator, components = load_corrected("cpu")
    flux = stars.normalised(batch.labels, emulator)
    flux = flux + (batch.amplitudes[:, None] @ components.at(batch.labels[:, 4]))[:, 0]
    continuum = 1 + batch.labels[:, 6:] @ stars.legendre()
    assert torch.allclose(batch.x, flux * continuum, atol=2e-5)
    t = (batch.y - batch.x * batch.transmission) / (batch.level * batch.sigma)
    size = torch.stack([row[good].std() for row, good in zip(t, batch.good, strict=True)])
    assert float(size.log().mean()) == pytest.approx(0, abs=0.08)
    assert float(size.log().std()) == pytest.approx(telescope.MISSTATED, rel=0.3)
    white = torch.where(batch.good, t, 0)
    lag = (white[:, 1:] * white[:, :-1]).mean() / white.square().mean()
    assert abs(float(lag)) < 0.01


def test_neighbours_correlate_as_the_instrument_says():
    arm = Arm(0.0, 1e5, velocity=0.0, ln_resolution=0.0, floor=0.0, correlation=0.25)
    batch = drawn(64, 2, instrument=dataclasses.replace(QUIET, arms=(arm,)))
    t = (batch.y - batch.x * batch.transmission) / (batch.level * batch.sigma)
    t = torch.where(batch.good, t, 0.0)
    t = t / t.square().mean(1, keepdim=True).sqrt()
    both = batch.good[:, 1:] & batch.good[:, :-1]
    lags = [(t[:, k:] * t[:, : N_PIXELS - k]).mean(1) for k in (1, 2)]
    assert both.float().mean() > 0.97
    assert float(lags[0].mean()) == pytest.approx(0.25, abs=0.03)
    assert 0.05 < float(lags[0].std()) < 0.12
    assert abs(float(lags[1].mean())) < 0.02


def test_each_arm_has_a_velocity_and_a_resolution_of_its_own():
    batch = drawn(400, 3)
    sigma = np.array([[arm.velocity, arm.ln_resolution] for arm in LAMOST.arms])
    assert batch.velocity.std(0).numpy() == pytest.approx(sigma[:, 0], rel=0.12)
    assert batch.ln_resolution.std(0).numpy() == pytest.approx(sigma[:, 1], rel=0.12)
    emulator, components = load_corrected("cpu")
    blue = torch.tensor(LAMOST.of_arm[0])
    few = slice(0, 8)
    labels = batch.labels[few]
    power = 1800 * torch.exp(batch.ln_resolution[few, 0])
    seen = emulator(labels[:, :4], labels[:, 4] + batch.velocity[few, 0], labels[:, 5], power)
    seen = seen + (batch.amplitudes[few, None] @ components.at(labels[:, 4]))[:, 0]
    seen = seen * (1 + labels[:, 6:] @ stars.legendre())
    assert torch.allclose(seen[:, blue], batch.x[few][:, blue], atol=2e-5)


def test_wiggles_follow_the_floor():
    arm = Arm(0.0, 1e5, velocity=0.0, ln_resolution=0.0, floor=0.02)
    batch = drawn(64, 4, level=1e-5, instrument=dataclasses.replace(QUIET, arms=(arm,)))
    ratio = torch.where(batch.good, batch.y / (batch.x * batch.transmission) - 1, 0.0)
    assert float(ratio.square().mean().sqrt()) == pytest.approx(0.02 * telescope.WIGGLES, rel=0.1)
    # 50 pixels and longer: neighbours hardly differ
    assert float((ratio[:, 1:] - ratio[:, :-1]).abs().median()) < 0.002


def test_gas_and_air_are_where_they_are():
    batch = drawn(256, 5)
    depth = 1 - batch.transmission
    d2, d1 = (depth[:, np.argmin(abs(WAVE - w))] for w in (5891.6, 5897.6))
    assert (batch.transmission > 0).all()
    assert (batch.transmission <= 1).all()
    assert 0.03 < float(d2.median()) < 0.2
    assert 0.4 < float((d1 / d2).median()) < 0.9
    elsewhere = (WAVE < 5700) | ((WAVE > 6000) & (WAVE < 6250)) | (WAVE > 6650)
    assert float(depth[:, elsewhere].max()) < 1e-3
    oxygen = depth[:, (WAVE > 6290) & (WAVE < 6300)].max(1).values
    assert float(oxygen.max()) < 0.35
    assert float(oxygen.median()) > 0.01


def test_users_get_a_sky_that_says_what_was_done():
    sky = specnb.simulate(3, seed=1, snr=30, sky=True)
    plain = specnb.simulate(3, seed=1, snr=30)
    assert sky.velocity.shape == (3, 2)
    assert sky.amplitudes.shape[0] == 3
    assert len(sky) == 3
    assert not hasattr(plain, "velocity")
    again = specnb.simulate(3, seed=1, snr=30, sky=True)
    assert np.array_equal(sky.observed, again.observed)
    assert np.array_equal(np.asarray(sky.labels["teff"]), np.asarray(plain.labels["teff"]))


def test_training_takes_a_sky():
    batch = next(stars.stream(4, seed=3, draw=telescope.draw, flat=0.5))
    other = next(stars.stream(4, seed=3, draw=telescope.draw, flat=0.5))
    assert torch.equal(batch.y, other.y)
    assert (batch.sigma[:2] == 1).all()
    diffused = next(stars.stream(4, seed=3, draw=telescope.draw, diffused=True))
    assert diffused.again.shape == (4, N_PIXELS)
