"""The likelihood of real spectra against dense algebra, finite differences, and stars that are drawn from it."""

import numpy as np
import pytest
import torch

from specnb.grid import FINE_LOGLAM, N_PIXELS, WAVE
from specnb.observed import Observed
from specnb.training import emulator_fit
from specnb.world import emulator, fit, prior, sky, stars, streams
from specnb.world.continuum import splines
from specnb.world.correction import Components
from specnb.world.emulator import N_TERMS, correction_terms, load_emulator
from specnb.world.instrument import GENERIC, LAMOST, LIBRARY, Arm, Instrument


def world(instrument=LAMOST, components=None):
    return sky.Sky(
        load_emulator("cpu"),
        splines(instrument.knot_every),
        instrument=instrument,
        components=components,
    )


def labels(n, seed=0):
    return prior.draw_labels(n, torch.Generator().manual_seed(seed))[:, :6]


def observed(w, at, snr=50.0, seed=0):
    """Spectra of a sky: columns with coefficients from their prior (a gentle continuum), and correlated noise."""
    rng = torch.Generator().manual_seed(seed)
    flux = w.emulated(at)
    sigma = torch.full_like(flux, 1 / snr)
    sigma[:, 500:520] = torch.inf
    seen = w.weigh(Observed(flux, sigma**-2), flux)
    size = w.precision.rsqrt().float()
    size[: len(w.continuum.basis)] = 0.02
    a = size * torch.randn(len(at), len(size), generator=rng)
    columns = w.columns(at, flux)
    noise = torch.randn(flux.shape, generator=rng)
    rho = w.correlation(seen)
    chain = [noise[:, 0]]
    for i in range(1, N_PIXELS):
        chain.append(rho[:, i] * chain[-1] + (1 - rho[:, i] ** 2).sqrt() * noise[:, i])
    error = torch.where(seen.good, seen.ivar.rsqrt(), 1.0)
    return Observed(flux + (a[:, None] @ columns)[:, 0] + error * torch.stack(chain, 1), seen.ivar)


def covariance(w, seen, row):
    """Dense N of one spectrum, its good pixels only; a bad pixel breaks the chain."""
    good = seen.good[row].numpy()
    rho = w.correlation(seen)[row].numpy()
    correlation = np.eye(N_PIXELS)
    for lag in range(1, 12):
        step = np.ones(N_PIXELS - lag)
        for k in range(1, lag + 1):
            at = np.arange(N_PIXELS - lag) + k
            step *= rho[at]
        correlation += np.diag(step, lag) + np.diag(step, -lag)
    sigma = 1 / np.sqrt(seen.ivar[row].numpy()[good])
    return good, correlation[np.ix_(good, good)] * np.outer(sigma, sigma)


def test_an_instrument_describes_its_pixels():
    assert LAMOST.of_arm.sum(0).tolist() == [1] * N_PIXELS
    assert not LAMOST.good[(WAVE > 5700) & (WAVE < 6000)].any()
    assert LAMOST.good[(WAVE > 6400)].all()
    assert (LAMOST.correlation[LAMOST.of_arm[1]] > 0).sum() == LAMOST.of_arm[1].sum() - 1
    assert LIBRARY.good.all()
    own = Instrument("own", (Arm(4300, 6000, floor=0.01),))
    assert (own.floor == np.where((WAVE >= 4300) & (WAVE < 6000), 0.01, 0)).all()


def test_whitened_residuals_and_evidence_are_those_of_dense_algebra():
    """χ² = rᵀ(N + TΛTᵀ)⁻¹ r, and the determinant up to the noise's own, which no label changes."""
    components = Components(
        0.01 * torch.randn(3, N_PIXELS, generator=torch.Generator().manual_seed(3))
    )
    w, at = world(components=components), labels(3)
    seen = observed(w, at)
    spectrum = w.emulated(at)
    found, white = w.linear(at, spectrum, seen)
    assert white.shape == (3, len(w.precision), N_PIXELS)
    columns = w.columns(at, spectrum).double().numpy()
    value = w.log_likelihood(prior.to_normal(at.double()), seen).numpy()
    exact = []
    for row in range(3):
        good, noise = covariance(w, seen, row)
        r = (seen.flux - spectrum)[row].double().numpy()[good]
        t = columns[row][:, good].T
        plain = w.whiten((seen.flux - spectrum)[row : row + 1], seen[row : row + 1])
        assert float(plain.square().sum()) == pytest.approx(r @ np.linalg.solve(noise, r), rel=1e-3)
        total = noise + (t / w.precision.numpy()) @ t.T
        chi2 = r @ np.linalg.solve(total, r)
        assert float(found.chi2[row]) == pytest.approx(chi2, rel=2e-3)
        ratio = np.linalg.slogdet(total)[1] - np.linalg.slogdet(noise)[1]
        ratio += np.log(w.precision.numpy()).sum()
        exact.append(-0.5 * (chi2 + ratio))
    assert value == pytest.approx(exact, abs=2.0)


def test_slopes_are_those_of_the_objective():
    """The gradient against differences of the objective, along every coordinate; columns move with the star, too."""
    w, at = world(), labels(4, seed=2)
    z = prior.to_normal(at.double()).clamp(-1.5, 1.5)
    seen = observed(w, prior.from_normal(z).float(), snr=30.0)
    z = z + 0.05
    curvature, gradient, chi2 = w.normal_equations(z, seen, 1.0)
    assert torch.allclose(chi2 + z.square().sum(1), w.objective(z, seen, 1.0), rtol=1e-4)
    h = 0.01
    for j in range(6):
        move = h * torch.eye(6, dtype=z.dtype)[j]
        slope = (w.objective(z + move, seen, 1.0) - w.objective(z - move, seen, 1.0)) / (4 * h)
        size = curvature[:, j, j].sqrt()
        assert ((slope + gradient[:, j]) / size).abs().max() < 1.0
        assert (slope + gradient[:, j]).abs().mean() < 0.15 * slope.abs().mean() + size.mean() / 5


def test_pulls_of_stars_that_are_drawn_from_it_are_normal():
    w = world()
    at = labels(40, seed=5)
    seen = observed(w, at, seed=6)
    truth = prior.to_normal(at.double())
    found = fit.solve(w, seen, truth.clamp(-2, 2))
    sd = torch.linalg.inv(found.curvature).diagonal(dim1=1, dim2=2).sqrt()
    pull = ((found.z - truth) / sd).abs()
    assert 0.8 < 1.4826 * pull.median() < 1.2
    assert (pull.median(0).values < 1.1).all()


def test_visits_scatter_by_what_is_not_the_same_in_all_of_them():
    """What looks like a label and is the same in every visit adds to the star's error, and not to a visit's."""
    z = prior.to_normal(labels(1, seed=9).double()).clamp(-1, 1)
    z[:, 4] = 0  # at rest
    plain = world()
    at = prior.from_normal(z).float().repeat(48, 1)
    seen = observed(plain, at, seed=10)
    error = plain.errors(z.repeat(48, 1), seen)[0][:, 0, 0].sqrt().mean()
    like_teff = float(3 * error) * plain.derivative(z)[1][0, :1]
    w = world(components=Components(like_teff))
    seen = Observed(seen.flux + 1.5 * like_teff, seen.ivar)
    found = fit.solve(w, seen, z.repeat(48, 1))
    absolute, visit = (x.mean(0)[0, 0].sqrt() for x in w.errors(found.z, seen))
    assert error < visit < 0.8 * absolute < 0.8 * 3.5 * error
    assert float(found.z[:, 0].std() / visit) == pytest.approx(1, rel=0.3)
    assert abs(float(found.z[:, 0].mean() - z[0, 0])) > 3 * error


def test_errors_that_files_misstate_are_measured_by_arm():
    w, at = world(), labels(24, seed=12)
    flux = w.emulated(at)
    rng = torch.Generator().manual_seed(3)
    sigma = torch.full_like(flux, 1 / 30)
    true = torch.where(torch.tensor(LAMOST.of_arm[0]), 0.7, 1.8)
    y = flux + true * sigma * torch.randn(flux.shape, generator=rng)
    seen = Observed(y, sigma**-2)
    found = w.factors(seen, at)
    assert found.shape == (24, 2)
    white = np.sqrt(1 / (1 - LAMOST.arms[0].correlation))  # the errors here are not correlated
    expected = np.array([0.7, 1.8]) * white
    assert found.median(0).values.numpy() == pytest.approx(expected, rel=0.05)
    weighed = w.weigh(seen, flux, found)
    ratio = (weighed.ivar * (true * sigma) ** 2)[weighed.good]
    assert 0.7 < float(ratio.median()) < 1.05  # and the floor
    dark = Observed(y, torch.where(torch.tensor(LAMOST.of_arm[0]), sigma**-2, 0.0))
    assert w.factors(dark, at)[:, 1].numpy() == pytest.approx(LAMOST.arms[1].errors)


def test_without_noise_the_zero_points_of_the_arms_are_the_error_of_the_velocity():
    """Two independent zero-points of 4.5 and 9 km/s leave (1/20 + 1/81)^(-1/2) = 4.02 km/s, one of 5 leaves 5."""
    at = labels(4, seed=7)
    z, flux = prior.to_normal(at.double()), world().emulated(at)
    seen = Observed(flux, torch.full_like(flux, 1e6))
    moved = z.clone()
    moved[:, 4] += 1e-4
    per_z = (prior.from_normal(moved) - prior.from_normal(z))[:, 4] / 1e-4
    for instrument, expected in ((LAMOST, 4.02), (GENERIC, 5.0)):
        curvature = world(instrument).normal_equations(z, seen, 0.0)[0]
        error = torch.linalg.inv(curvature)[:, 4, 4].sqrt() * per_z
        assert error.numpy() == pytest.approx(expected, rel=0.05)


def test_what_an_instrument_does_is_the_slope_of_the_emulator():
    """∂F/∂v and ∂F/∂ln R against differences."""
    world, at = load_emulator("cpu"), labels(6, seed=1)
    r = torch.tensor([1800.0])
    moved, blurred = world.instrumental(at, r).unbind(1)

    def flux(rv=0.0, ln_r=0.0):
        return world(at[:, :4], at[:, 4] + rv, at[:, 5], r * np.exp(ln_r))

    assert torch.allclose(moved, (flux(rv=2) - flux(rv=-2)) / 4, atol=2e-6)
    assert torch.allclose(blurred, (flux(ln_r=0.01) - flux(ln_r=-0.01)) / 0.02, atol=5e-5)


def test_a_correction_moves_with_its_star():
    """Curves of every term, at rest and at any velocity, in every way in which spectra are computed."""
    world, at = load_emulator("cpu"), labels(5, seed=3)
    r, pixel = torch.tensor([1800.0]), torch.arange(float(N_PIXELS))
    shapes = torch.stack(
        [
            0.05 * torch.exp(-0.5 * ((pixel - 700 - 250 * k) / (1.2 + k)) ** 2)
            for k in range(N_TERMS)
        ]
    )
    corrected = world.corrected(shapes)
    assert world.correction is None
    terms = correction_terms(at[:, :4])

    def change(rows):
        four, rv, vsini = rows[:, :4], rows[:, 4], rows[:, 5]
        return corrected(four, rv, vsini, r) - world(four, rv, vsini, r)

    at_rest = at.clone()
    at_rest[:, 4] = 0
    assert torch.allclose(change(at_rest), terms @ shapes, atol=2e-5)
    whole = 3 * 69.03  # three pixels
    shift = np.log1p(whole / 299792.458) / np.log(10) / 1e-4
    assert shift == pytest.approx(3, abs=0.01)
    moving = at.clone()
    moving[:, 4] = whole
    assert torch.allclose(
        change(moving)[:, 600:2700], (terms @ shapes)[:, 597:2697], atol=2e-3 * terms.abs().max()
    )
    around = at[:, None].repeat(1, 7, 1)
    seen = corrected.stencil(around, r)
    assert torch.allclose(seen[:, 6], corrected(at[:, :4], at[:, 4], at[:, 5], r), atol=1e-6)


def test_components_move_with_the_star():
    pixel = torch.arange(float(N_PIXELS))
    shape = 0.1 * torch.exp(-0.5 * ((pixel - 1500) / 1.5) ** 2)[None]
    components = Components(shape)
    moved = components.at(torch.tensor([0.0, 207.04]))
    assert len(components) == 1
    assert moved.shape == (2, 1, N_PIXELS)
    assert torch.allclose(moved[0, 0], shape[0], atol=1e-6)
    assert torch.allclose(moved[1, 0, 3:], shape[0, :-3], atol=1e-3)


def test_microturbulence_is_a_column_where_the_emulator_knows_of_it():
    """An emulator of five labels in a linear world: its slope is the column, and four labels mean the relation."""
    rng = np.random.default_rng(0)
    n = 160
    y = np.c_[
        rng.uniform([4300, 1, -2.5, 0], [7000, 5, 0.5, 0.4], (n, 4)), rng.uniform(-0.5, 0.5, n)
    ]
    shape = np.exp(-0.5 * ((FINE_LOGLAM - 3.75) / 1e-3) ** 2)
    flux = 1 - (0.3 + 0.1 * y[:, 4:]) * shape
    five = emulator_fit.fit(y, flux, components=2, hidden=16)
    assert five.inputs == 5
    again = emulator.from_state(five.state_dict())
    at = labels(2)
    at[:, 4:] = 0
    r, zero = torch.tensor([1800.0]), torch.zeros(2)
    four = again(at[:, :4], zero, zero, r)
    assert torch.allclose(four, five(torch.nn.functional.pad(at[:, :4], (0, 1)), zero, zero, r))
    w = sky.Sky(again, splines(150), instrument=GENERIC)
    columns = w.columns(at, four)
    assert columns.shape[1] == len(w.precision)
    expected = sky.VMIC_SIGMA * (four - 1) / 3  # a tenth of the depth of 0.3
    assert torch.allclose(columns[:, -1], expected, atol=2e-4)


def test_the_likelihood_of_one_arm_without_floor_is_the_simulators():
    """With nothing but a continuum the objective is that of the world of the simulator."""
    bare = Instrument("bare", (Arm(0, 1e5, velocity=0.0, ln_resolution=0.0, floor=0.0),))
    w = world(bare)
    plain = fit.World(w.emulator, w.continuum)
    batch = stars.draw(6, streams.generator("validation", 31), level=torch.full((6, 1), 0.2))
    seen, z = Observed(batch.y, batch.ivar), prior.to_normal(batch.labels.double())
    weighed = w.weigh(seen, batch.x)
    assert torch.allclose(weighed.ivar, seen.ivar)
    assert torch.allclose(w.objective(z, weighed, 1.0), plain.objective(z, seen, 1.0), rtol=1e-4)
    for ours, theirs in zip(
        w.normal_equations(z, weighed, 1.0), plain.normal_equations(z, seen, 1.0), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=5e-3, atol=0.2)
