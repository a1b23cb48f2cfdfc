"""Pixels of a file and what becomes of them: gaps, dropped rows, offsets, spikes, units, kinds of numbers."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from specutils import Spectrum

from specnb.grid import DLOGLAM, LOGLAM, N_PIXELS, PIXEL_VELOCITY, WAVE
from specnb.observing import native, products, resample
from specnb.observing.cosmic_rays import LSF, cosmic_rays
from specnb.world.fit import default_world

FREE = {"deadline": None, "suppress_health_check": list(HealthCheck)}
META = {"medium": "vacuum", "resolution": 1800}
LABELS = [5750.0, 4.4, -0.3, 0.1, 20.0, 5.0]


def star(labels=LABELS):
    return default_world().emulated(torch.tensor([labels]))[0].double().numpy()


CLEAN = star()


def spectrum(wave, flux, snr=100.0, **meta):
    ivar = np.where(np.isfinite(flux), snr**2, 0)
    return Spectrum(
        flux=flux * u.one, spectral_axis=wave * u.AA, uncertainty=InverseVariance(ivar), meta=META | meta
    )  # fmt: skip


def noisy(snr=100.0, seed=0, clean=CLEAN):
    return clean + np.random.default_rng(seed).standard_normal(N_PIXELS) / snr


def sampling(kind):
    """Wavelengths of a file: the lattice, half a pixel beside it, linear, and three times as fine."""
    return {
        "lattice": WAVE,
        "beside": 10 ** (LOGLAM + 0.4 * DLOGLAM),
        "linear": np.arange(WAVE[0], WAVE[-1], 0.9),
        "fine": 10 ** np.arange(LOGLAM[0], LOGLAM[-1], DLOGLAM / 3),
    }[kind]


@settings(max_examples=60, **FREE)
@given(
    kind=st.sampled_from(["lattice", "beside", "linear", "fine"]),
    holes=st.lists(st.tuples(st.floats(0.02, 0.95), st.integers(1, 700)), min_size=1, max_size=5),
    resolution=st.sampled_from([1800, 4000]),
)
def test_where_there_is_no_pixel_there_is_no_weight(kind, holes, resolution):
    """Gaps of any width and place: what lies in one has ivar 0, what lies far from all keeps its weight."""
    wave = sampling(kind)
    keep = np.ones(len(wave), bool)
    for place, width in holes:
        first = int(place * len(wave))
        keep[first : first + width] = False
    cut = wave[keep]
    assume(len(cut) > 0.4 * len(wave))
    y, w, notes = native.onto_grid(
        spectrum(cut, np.interp(cut, WAVE, CLEAN), resolution=resolution)
    )
    index = np.flatnonzero(keep)
    jumps = np.flatnonzero(np.diff(index) > 1)
    for at in jumps:
        # half a pixel of the file belongs to its neighbours on either side
        half = 0.6 * np.diff(wave)[index[at]]
        inside = (cut[at] + half < WAVE) & (cut[at + 1] - half > WAVE)
        assert (w[inside] == 0).all()
    seen = any(cut[at] > WAVE[0] and cut[at + 1] < WAVE[-1] for at in jumps)
    assert any("no pixels in" in note for note in notes) == seen
    whole, _, _ = native.onto_grid(
        spectrum(wave, np.interp(wave, WAVE, CLEAN), resolution=resolution)
    )
    assert np.abs(y - whole)[w > 0].max() < 0.02
    away = np.abs(WAVE[:, None] / wave[~keep] - 1).min(1)
    far = away > 12 * DLOGLAM * np.log(10)
    far &= ~native.telluric() & (wave[0] < WAVE * 0.999) & (wave[-1] > WAVE * 1.001)
    assert (w[far] > 0).all()


@settings(max_examples=25, **FREE)
@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.3))
def test_dropped_rows_are_masked_pixels(seed, share):
    wave = sampling("linear")
    keep = np.random.default_rng(seed).random(len(wave)) > share
    keep[:3] = keep[-3:] = True
    flux = np.interp(wave, WAVE, CLEAN)
    dropped = native.onto_grid(spectrum(wave[keep], flux[keep]))
    masked = native.onto_grid(spectrum(wave, np.where(keep, flux, np.nan)))
    assert np.mean((dropped[1] > 0) == (masked[1] > 0)) > 0.995
    both = (dropped[1] > 0) & (masked[1] > 0)
    assert dropped[0][both] == pytest.approx(masked[0][both], abs=1e-6)


def test_arms_joined_to_one_spectrum_give_the_labels_of_arms_with_nan_between():
    flux, between = noisy(), (WAVE > 5650) & (WAVE < 5950)
    flux = flux * (1 + 0.3 * (WAVE > 5800))  # arms of their own level
    joined = native.observe(spectrum(WAVE[~between], flux[~between]))
    control = native.observe(spectrum(WAVE, np.where(between, np.nan, flux)))
    assert np.array_equal(joined.ivar > 0, control.ivar > 0)
    assert joined.fit.labels == pytest.approx(control.fit.labels, rel=1e-3, abs=1e-2)
    assert "no pixels in 565" in joined.notes[0]


def test_coarse_pixels_beside_fine_ones_are_no_gaps():
    wave = np.r_[np.arange(4200.0, 6000, 0.4), np.arange(6000.0, 8800, 1.3)]
    assert not resample.pixels(wave, wave, wave).gap.any()
    assert not resample.pixels(*[WAVE[:2]] * 3).gap.any()


@settings(max_examples=30, **FREE)
@given(kms=st.floats(-34, 34))
def test_an_offset_of_a_fraction_of_a_pixel_is_a_velocity(kms):
    """The shifted pixels are those of the star at the other velocity, to a thousandth of the continuum."""
    shift = kms / 299792.458
    moved = star([*LABELS[:4], 20.0 * (1 + shift) + kms, LABELS[5]])
    y, w, notes = native.onto_grid(spectrum(WAVE * (1 + shift), CLEAN))
    good = w > 0
    assert good.sum() > 2500
    assert np.abs(y - moved)[good].max() < 0.004
    assert bool(notes) == (abs(kms) / PIXEL_VELOCITY > resample.AT_REST)


def test_radial_velocities_come_back_from_shifted_wavelengths():
    """−10 … 10 km/s, within 0.3 σ of what the same noise gives unshifted."""
    shifts = [-10.0, -3.3, -1.0, 1.0, 3.3, 10.0]
    flux = noisy(60)
    observations = [
        native.observe(spectrum(WAVE * (1 + v / 299792.458), flux, 60)) for v in [0.0, *shifts]
    ]
    at_rest, *moved = products.process(observations)
    middle, sigma = (f(np.asarray(at_rest.labels["rv"][0])) for f in (np.median, np.std))
    for v, made in zip(shifts, moved, strict=True):
        found = np.median(np.asarray(made.labels["rv"][0]))
        assert abs(found - middle - v) < 0.3 * sigma, v


def test_a_shift_leaves_white_noise_white():
    rng, r = np.random.default_rng(0), resample.RADIUS
    noise = rng.standard_normal((40, N_PIXELS + 2 * r))
    shifted = np.stack([resample.shifted(row, np.ones(N_PIXELS + 2 * r), 0.4)[0] for row in noise])
    weight = resample.shifted(noise[0], np.ones(N_PIXELS + 2 * r), 0.4)[1]
    assert np.std(shifted) ** -2 == pytest.approx(np.median(weight), rel=0.02)
    neighbours = np.mean(shifted[:, 1:] * shifted[:, :-1]) / np.var(shifted)
    assert abs(neighbours) < 0.12


@settings(max_examples=60, **FREE)
@given(
    place=st.floats(100, 3000),
    width=st.floats(0.65, 3.0),
    height=st.floats(0.05, 5.0),
    seed=st.integers(0, 100),
)
def test_emission_as_narrow_as_the_instrument_survives(place, width, height, seed):
    """Of the models' line-spread function, and as sharp as R = 3000."""
    line = height * np.exp(-0.5 * ((np.arange(N_PIXELS) - place) / (width * LSF)) ** 2)
    hit = cosmic_rays(noisy(100, seed) + line, np.full(N_PIXELS, 1e4))
    assert not hit[max(0, int(place) - 4) : int(place) + 6].any()


@settings(max_examples=60, **FREE)
@given(place=st.integers(10, 3120), height=st.floats(0.5, 50), seed=st.integers(0, 100))
def test_a_spike_of_one_pixel_is_a_cosmic_ray(place, height, seed):
    flux = noisy(100, seed)
    flux[place] += height  # more than the deepest line is deep: what only fills one in is not seen
    hit = cosmic_rays(flux, np.full(N_PIXELS, 1e4))
    assert set(np.flatnonzero(hit)) == {place - 1, place, place + 1}


def test_cosmic_rays_are_counted_and_the_flux_stays():
    flux = noisy()
    flux[1000] += 2.0
    made = native.observe(spectrum(WAVE, flux))
    assert made.cosmic_rays == 3
    assert made.notes == ["3 pixels masked as cosmic rays"]
    assert (made.ivar[999:1002] == 0).all()
    assert made.flux * made.continuum == pytest.approx(flux, rel=1e-5)
    (row,) = products.table(["a"], products.process([made]))
    assert row["cosmic_rays"] == 3


def test_spikes_are_looked_for_in_the_pixels_of_the_file():
    """A spike in a spectrum of R = 10,000 is masked before it is smoothed to a line."""
    wave = 10 ** np.arange(LOGLAM[0], LOGLAM[-1], 2e-5)
    flux = np.interp(wave, WAVE, CLEAN)
    flux[8000] += 10
    y, w, notes = native.onto_grid(spectrum(wave, flux, resolution=10000))
    assert "3 pixels masked as cosmic rays" in notes
    at = int(np.abs(WAVE - wave[8000]).argmin())
    assert np.abs(y - CLEAN)[at - 8 : at + 9][w[at - 8 : at + 9] > 0].max(initial=0) < 0.03


KINDS = [
    1800, 1800.0, np.float32(1800), np.float64(1800), np.int64(1800), np.array(1800.0),
    1800 * u.one, 1800 * u.AA / u.AA, 0.18 * u.um / u.AA,
]  # fmt: skip


@pytest.mark.parametrize("resolution", KINDS, ids=repr)
def test_resolving_powers_of_any_kind(resolution):
    y, _, _ = native.onto_grid(spectrum(WAVE, CLEAN), resolution=resolution)
    assert y == pytest.approx(CLEAN)
    assert native.prepare(spectrum(WAVE, CLEAN, resolution=resolution)).meta[
        "resolution"
    ] == pytest.approx(1800)


@pytest.mark.parametrize(
    "resolution", [0, -1, np.nan, np.inf, "1800", True, 3 * u.AA, [1, 2]], ids=repr
)
def test_resolving_powers_that_are_none(resolution):
    with pytest.raises(ValueError, match=r"resolution is .*; give λ/FWHM"):
        native.onto_grid(spectrum(WAVE, CLEAN), resolution=resolution)


CGS = u.erg / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("flux_unit", "error_unit", "factor"),
    [
        (1e-17 * CGS, CGS, 1e-17),
        (u.Jy, u.mJy, 1e3),
        (u.mJy, u.Jy, 1e-3),
        (CGS, u.W / u.m**2 / u.um, 10.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_errors_in_another_unit_are_converted(flux_unit, error_unit, factor, kind):
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    error = np.full(N_PIXELS, (0.01 * factor) ** power)
    usual = native.onto_grid(spectrum(WAVE, CLEAN))
    made = Spectrum(
        flux=CLEAN * u.Unit(flux_unit), spectral_axis=WAVE * u.AA, meta=META,
        uncertainty=kind(error, unit=u.Unit(error_unit) ** power),
    )  # fmt: skip
    y, w, _ = native.onto_grid(made)
    assert y == pytest.approx(usual[0])
    assert w == pytest.approx(usual[1], rel=1e-6)


def test_errors_that_do_not_go_with_the_flux_are_refused():
    made = Spectrum(
        flux=CLEAN * u.Jy, spectral_axis=WAVE * u.AA, uncertainty=StdDevUncertainty(0.01 * CLEAN), meta=META
    )  # fmt: skip
    made.uncertainty._unit = u.K
    with pytest.raises(
        ValueError, match=r"uncertainty in K does not go with flux in Jy; give both"
    ):
        native.onto_grid(made)


def test_magnitudes_are_refused():
    made = Spectrum(
        flux=(20 - 2.5 * np.log10(CLEAN)) * u.mag, spectral_axis=WAVE * u.AA,
        uncertainty=StdDevUncertainty(np.full(N_PIXELS, 0.01)), meta=META,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"flux in .*mag.* is logarithmic; convert"):
        native.onto_grid(made)


def test_masked_columns_are_masked_pixels():
    hidden = np.zeros(N_PIXELS, bool)
    hidden[500:600] = True
    flux = np.where(hidden, 77.0, CLEAN)
    made = Spectrum(
        flux=Masked(flux * u.one, mask=hidden), spectral_axis=WAVE * u.AA, meta=META,
        uncertainty=StdDevUncertainty(np.full(N_PIXELS, 0.01)),
    )  # fmt: skip
    assert (native.onto_grid(made)[1][500:600] == 0).all()


@pytest.mark.parametrize("order", ["<f4", ">f4", ">f8", "<f8"])
@pytest.mark.parametrize("direction", [1, -1])
def test_byte_orders_and_directions(order, direction):
    usual = native.onto_grid(spectrum(WAVE, CLEAN))
    flux, ivar = (a[::direction].astype(order) for a in (CLEAN, np.full(N_PIXELS, 1e4)))
    made = Spectrum(
        flux=flux * u.one, spectral_axis=WAVE[::direction].astype(">f8") * u.AA,
        uncertainty=InverseVariance(ivar), meta=META,
    )  # fmt: skip
    y, w, _ = native.onto_grid(made)
    assert y == pytest.approx(usual[0], rel=1e-6)
    assert w == pytest.approx(usual[1])
