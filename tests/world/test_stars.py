import astropy.units as u
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

import specnb
from specnb.world import noise, prior, stars, streams


def test_same_seed_same_stars():
    a, b, c = specnb.simulate(5, 3), specnb.simulate(5, 3), specnb.simulate(5, 4)
    assert np.array_equal(a.observed, b.observed)
    assert np.array_equal(a.ivar, b.ivar)
    assert not np.array_equal(a.flux, c.flux)


def test_splits_are_disjoint():
    drawn = {s: stars.draw(4, streams.generator(s, 0)).labels for s in streams.SPLITS}
    everything = torch.cat(list(drawn.values()))
    assert len(everything.unique(dim=0)) == 12


def test_the_stream_resumes_anywhere():
    batches = stars.stream(3, seed=5)
    third = [next(batches) for _ in range(3)][2]
    assert torch.equal(third.y, next(stars.stream(3, seed=5, start=2)).y)


def test_labels_are_uniform_in_the_domain():
    y = prior.draw_labels(20_000, torch.Generator().manual_seed(0)).double().numpy()
    low = prior.logg_min(y[:, 0])
    assert (y[:, 1] >= low - 1e-5).all()
    assert (y[:, 1] <= 5).all()
    assert kstest((y[:, 1] - low) / (5 - low), "uniform").pvalue > 1e-3
    # uniform in the (teff, logg) plane: the density in teff is proportional to the height of the domain
    a, b = 4.2, 1.5
    share = (y[:, 0] - 4300) / 2700
    assert kstest((a * share - 0.5 * (a - b) * share**2) / (0.5 * (a + b)), "uniform").pvalue > 1e-3
    for column, (lo, hi) in {2: (-2.5, 0.5), 3: (-0.1, 0.5), 4: (-300, 300), 5: (0, 50)}.items():
        assert kstest((y[:, column] - lo) / (hi - lo), "uniform").pvalue > 1e-3
    assert y[:, 6:].std() == pytest.approx(0.02, rel=0.02)


def test_noise_is_what_ivar_says():
    s = specnb.simulate(300, 0)
    z = (s.observed - s.flux) * np.sqrt(s.ivar)
    z = z[s.ivar > 0]
    assert z.mean() == pytest.approx(0, abs=0.005)
    assert z.std() == pytest.approx(1, abs=0.005)
    assert np.allclose(s.ivar[s.ivar > 0], (1 / (s.level[:, None] * s.sigma) ** 2)[s.ivar > 0])


def test_level_and_snr_are_the_same_thing():
    a, b = specnb.simulate(4, 1, snr=10), specnb.simulate(4, 1, level=0.5)
    assert np.array_equal(a.observed, b.observed)
    assert np.allclose(np.median(1 / (a.level[:, None] * a.sigma), axis=1), 10, rtol=0.01)


def test_error_vectors_know_nothing_of_the_star():
    """Same noise for any labels: sigma is drawn before and without them."""
    s = specnb.simulate(800, 2)
    shape = np.log(s.sigma[:, ::98])
    shape = shape - shape.mean(1, keepdims=True)
    teff = np.array(s.labels["teff"])
    correlation = [abs(np.corrcoef(teff, column)[0, 1]) for column in shape.T]
    assert max(correlation) < 4 / np.sqrt(800)


def test_mask_has_short_runs_and_one_percent():
    bad = ~noise.draw_mask(500, torch.Generator().manual_seed(0)).numpy()
    assert 0.005 < bad.mean() < 0.02
    edges = np.diff(np.pad(bad, ((0, 0), (1, 1))).astype(int), axis=1)
    lengths = np.nonzero(edges.ravel() < 0)[0] - np.nonzero(edges.ravel() > 0)[0]
    assert lengths.min() == 1
    assert np.mean(lengths > noise.BAD_RUN) < 0.03  # two runs that touch


def test_bad_pixels_hold_no_information():
    s = specnb.simulate(100, 5, snr=50)
    bad = s.ivar == 0
    assert abs(np.corrcoef(s.observed[bad], s.flux[bad])[0, 1]) < 0.1
    assert np.std(s.observed[bad] - s.flux[bad]) > 0.5


def test_the_continuum_error_multiplies():
    rng = torch.Generator().manual_seed(0)
    y = prior.draw_labels(3, rng)
    model = stars.load_emulator("cpu")
    flat = y.clone()
    flat[:, 6:] = 0
    ratio = stars.clean(y, model) / stars.clean(flat, model)
    assert torch.allclose(ratio, 1 + y[:, 6:] @ stars.legendre(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(n=0, seed=0), "n is 0"),
        (dict(n=2, seed=-1), "seed is -1"),
        (dict(n=2.5, seed=0), "n is 2.5"),
        (dict(n=2, seed=0, snr=10, level=0.5), "give one of them"),
        (dict(n=2, seed=0, snr=-3), "snr is"),
        (dict(n=2, seed=0, level=[0.1, 0.2, 0.3]), "level is"),
        (dict(n=2, seed=0, snr=float("nan")), "snr is"),
        (dict(n=2, seed=0, snr="10"), "snr is '10'; give an array or tensor of real numbers"),
        (dict(n=2, seed=0, snr=[1, [2, 3]]), "snr is"),
        (dict(n=True, seed=0), "n is True"),
    ],
)
def test_simulate_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        specnb.simulate(**arguments)


def test_quantities_are_converted():
    meters = specnb.synthesize(5000, 4, 0, 0, rv=50_000 * u.m / u.s)
    assert np.array_equal(meters, specnb.synthesize(5000, 4, 0, 0, rv=50))


def test_synthesize_shapes_and_kinds():
    assert specnb.synthesize(5000, 4, 0, 0).shape == (1, 3136)
    assert specnb.synthesize([5000, 6000], 4, 0, 0, rv=[0, 10]).dtype == np.float32
    teff = torch.tensor([5000.0, 6000.0], requires_grad=True)
    flux = specnb.synthesize(teff, 4.0, 0.0, 0.0)
    flux.sum().backward()
    assert teff.grad.abs().min() > 0


@settings(max_examples=25, deadline=None)
@given(
    teff=st.floats(4300, 7000), share=st.floats(0, 1), m_h=st.floats(-2.5, 0.5), alpha_m=st.floats(-0.1, 0.5),
    rv=st.floats(-1000, 1000), vsini=st.floats(0, 300), resolution=st.floats(500, 9999),
)  # fmt: skip
def test_synthesize_is_finite_everywhere_in_the_domain(
    teff, share, m_h, alpha_m, rv, vsini, resolution
):
    low = prior.logg_min(teff)
    flux = specnb.synthesize(teff, low + share * (5 - low), m_h, alpha_m, rv, vsini, resolution)
    assert np.isfinite(flux).all()
    assert flux.min() > -0.05
    assert flux.max() < 1.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(teff=9000.0), "teff is 9000; the emulator's domain is 4300 to 7000"),
        (dict(teff=6800.0, logg=1.0), "logg is 1; .* at this teff"),
        (dict(m_h=float("nan")), "m_h is nan"),
        (dict(vsini=-1.0), "vsini is -1"),
        (dict(resolution=20000.0), "resolution is 20000"),
        (dict(teff=[5000.0, 5100.0], logg=[4.0, 4.0, 4.0]), "arrays of one length"),
        (dict(teff="hot"), "teff is 'hot'; give an array or tensor of real numbers"),
        (dict(teff=None), "teff is None"),
        (dict(teff=[]), r"teff has shape \(0,\)"),
        (dict(teff=np.full((2, 2), 5000.0)), r"teff has shape \(2, 2\)"),
        (dict(rv=3 * u.s), "rv has unit s; give km / s"),
    ],
)
def test_synthesize_says_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        specnb.synthesize(**(dict(teff=5000.0, logg=4.0, m_h=0.0, alpha_m=0.0) | change))
