"""Spectra of known stars in other units, on other pixels, with a response: what comes back, and what is refused."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from specutils import Spectrum
from specutils.utils.wcs_utils import vac_to_air

import specnb
from specnb.grid import LOGLAM, WAVE
from specnb.observing import native
from specnb.world.fit import default_world
from specnb.world.prior import LABELS

RESPONSE = 3e-15 * np.exp(-(((np.log(WAVE) - 8.7) / 0.5) ** 2)) * (1 + 0.2 * np.sin(WAVE / 900))
META = {"medium": "vacuum", "resolution": 1800}


def spectrum(flux, ivar, wave=WAVE, **meta):
    return Spectrum(
        flux=np.asarray(flux, "f8") * u.one, spectral_axis=wave * u.AA, mask=np.asarray(ivar) <= 0, meta=META | meta,
        uncertainty=InverseVariance(np.asarray(ivar, "f8")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def stars():
    return specnb.simulate(12, 5, snr=10)


def test_pixels_of_the_lattice_are_sliced(stars):
    loglam = LOGLAM[0] + 1e-4 * np.arange(-50, len(WAVE) + 20)
    flux, ivar = np.ones(len(loglam)), np.zeros(len(loglam))
    flux[50:-20], ivar[50:-20] = stars.observed[0], stars.ivar[0]
    y, w, notes = native.onto_grid(spectrum(flux, ivar, 10**loglam))
    good = (stars.ivar[0] > 0) & ~native.telluric()
    assert notes == []
    assert np.array_equal(w > 0, good)
    assert np.array_equal(y[good], stars.observed[0][good].astype("f8"))


def test_the_continuum_is_found_without_knowing_the_star(stars):
    """Bias below 0.5 % at S/N 10, whatever the response; the continuum error of the prior is part of it here."""
    labels = np.stack([np.asarray(stars.labels[k]) for k in LABELS], 1)
    right = default_world().emulated(torch.tensor(labels, dtype=torch.float32))
    ratios = []
    for y, w, clean, lines in zip(
        stars.observed, stars.ivar, stars.flux, right.numpy(), strict=True
    ):
        found = native.observe(spectrum(y * RESPONSE, w / RESPONSE**2))
        ratios.append(found.continuum / (RESPONSE * clean / lines))
        assert found.fit.inflation == pytest.approx(1, abs=0.1)
        assert found.fit.chi2 == pytest.approx(1, abs=0.15)
    assert abs(np.median(ratios) - 1) < 0.005
    assert np.mean(np.abs(np.median(ratios, axis=1) - 1)) < 0.02


def test_units_uncertainties_and_directions_do_not_matter(stars):
    y, w = stars.observed[0].astype("f8"), stars.ivar[0].astype("f8")
    usual = native.to_native(spectrum(y, w))
    sigma = np.where(w > 0, np.where(w > 0, w, 1) ** -0.5, 1)
    bad = w <= 0
    others = [
        Spectrum(flux=y * u.mJy, spectral_axis=WAVE / 1e4 * u.um, uncertainty=StdDevUncertainty(sigma), mask=bad,
                 meta=META),
        Spectrum(flux=y * u.one, spectral_axis=WAVE * u.AA, uncertainty=VarianceUncertainty(sigma**2), mask=bad,
                 meta=META),
        Spectrum(flux=y[::-1] * u.one, spectral_axis=WAVE[::-1] * u.AA, uncertainty=StdDevUncertainty(sigma[::-1]),
                 mask=bad[::-1], meta=META),
        spectrum(y * 1e-20, w * 1e40),
        spectrum(y * 1e30, w * 1e-60),
    ]  # fmt: skip
    for other in others:
        flux, ivar = native.to_native(other)
        assert flux == pytest.approx(usual[0], abs=2e-3)
        assert ivar == pytest.approx(usual[1], rel=0.02)


def test_air_is_taken_to_vacuum(stars):
    y, w = stars.flux[0], np.full(len(WAVE), 1e4)
    air = vac_to_air(WAVE * u.AA).to_value(u.AA)
    in_air = native.observe(spectrum(y, w, air, medium="air"))
    wrong = native.observe(spectrum(y, w, air))
    assert in_air.fit.labels[4] == pytest.approx(stars.labels["rv"][0], abs=3)
    assert wrong.fit.labels[4] - stars.labels["rv"][0] == pytest.approx(-83, abs=5)
    assert in_air.notes == []
    assert "resampled" in wrong.notes[0]


def test_other_pixels_conserve_flux(stars):
    wave = np.arange(4000.0, 9000.0, 0.7)
    flux = np.interp(wave, WAVE, stars.flux[1])
    y, w, notes = native.onto_grid(spectrum(flux, np.full(len(wave), 1e4), wave))
    good = w > 0
    assert np.abs(y - stars.flux[1])[good].max() < 0.03
    widths = np.gradient(WAVE) / 0.7
    assert w[good] == pytest.approx(1e4 * widths[good], rel=0.5)
    assert "resampled" in notes[0]


def test_higher_resolution_is_smoothed_and_its_noise_with_it(stars):
    rng = np.random.default_rng(0)
    loglam = np.arange(LOGLAM[0] - 0.002, LOGLAM[-1] + 0.002, 2e-5)
    wave = 10**loglam
    lines = 1 + np.interp(wave, WAVE, stars.flux[2]) * 0
    flux = lines + 0.05 * rng.standard_normal(len(wave))
    y, w, notes = native.onto_grid(
        spectrum(flux, np.full(len(wave), 400.0), wave, resolution=10000)
    )
    good = w > 0
    assert "smoothed" in notes[0]
    assert np.std((y - 1)[good] * np.sqrt(w[good])) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_resolving_power_of_every_pixel_is_used(reverse):
    """Gaussian lines as broad as R(λ) from 2500 to 5000 says come out as broad as R = 1800 makes them."""
    wave = 10 ** np.arange(LOGLAM[0] - 0.01, LOGLAM[-1] + 0.01, 2e-5)
    power = np.interp(wave, [4300, 8700], [1800, 5000])
    at, area = np.arange(4400, 8700, 150)[:, None], 2.0

    def lines(where, r):
        sigma = at / r / 2.3548
        depth = area / np.sqrt(2 * np.pi) / sigma
        return 1 - (depth * np.exp(-0.5 * ((where - at) / sigma) ** 2)).sum(0)

    own = np.interp(at[:, 0], wave, power)[:, None]
    one = spectrum(lines(wave, own), np.full(len(wave), 1e4), wave, resolution=3500)
    one.meta["resolving_power"] = power
    if reverse:
        one = Spectrum(
            flux=one.flux[::-1],
            spectral_axis=one.spectral_axis[::-1],
            uncertainty=one.uncertainty[::-1],
            meta=dict(one.meta) | {"resolving_power": power[::-1]},
        )
    y, w, notes = native.onto_grid(one)
    good = w > 0
    assert "smoothed" in notes[0]
    parts = 10 ** (LOGLAM[:, None] + 1e-4 * np.linspace(-0.45, 0.45, 10))  # of every pixel
    expected = lines(parts.ravel(), 1800.0).reshape(parts.shape).mean(1)
    assert np.abs(y - expected)[good].max() < 0.003
    y, _, _ = native.onto_grid(one, resolution=3500)  # what the caller says counts more
    assert np.abs(y - expected)[good].max() > 0.02


def test_cosmic_rays_go_and_lines_stay(stars):
    y, w = stars.flux[3].copy(), np.full(len(WAVE), 1e4, "f4")
    y[1000] += 2
    y[2000:2002] += [1.5, 3]
    line = 1.5 * np.exp(-0.5 * ((np.arange(len(WAVE)) - 500) / 1.1) ** 2)
    hit = np.flatnonzero(native.cosmic_rays(y + line, w))
    assert set(hit) >= {1000, 2001}
    assert set(hit) <= {999, 1000, 1001, 2000, 2001, 2002}


def test_short_spectra_work_down_to_a_minimum(stars):
    y, w = stars.observed[4], stars.ivar[4].copy()
    w[:2000] = 0
    flux, ivar = native.to_native(spectrum(y, w))
    assert (ivar[:2000] == 0).all()
    assert np.isfinite(flux).all()
    w[:2800] = 0
    with pytest.raises(ValueError, match=r"only \d+ good pixels .*400 are the least"):
        native.to_native(spectrum(y, w))


def nan(star):
    y = star[0].copy()
    y[::3] = np.nan
    return spectrum(y, star[1])


BAD = {
    "no medium": (lambda s: spectrum(*s, medium=None), "medium of the spectrum is not known; say medium="),
    "no resolution": (lambda s: spectrum(*s, resolution=None), "resolution of the spectrum is not known"),
    "unknown medium": (lambda s: spectrum(*s, medium="water"), "medium is 'water'; say 'air' or 'vacuum'"),
    "resolution": (lambda s: spectrum(*s, resolution=-3), "resolution is -3; give"),
    "no uncertainty": (lambda s: Spectrum(flux=s[0] * u.one, spectral_axis=WAVE * u.AA, meta=META),
                       "has no uncertainty"),
    "zero ivar": (lambda s: spectrum(s[0], 0 * s[1]), "only 0 good pixels"),
    "all nan": (lambda s: spectrum(np.nan * s[0], s[1]), "only 0 good pixels"),
    "negative": (lambda s: spectrum(-s[0], s[1]), "a continuum must be positive"),
    "three pixels": (lambda s: spectrum(s[0][:3], s[1][:3], WAVE[:3]), "good pixels"),
    "1e37": (lambda s: spectrum(1e37 * s[0], s[1] * 1e-74), "check its unit"),
    "repeats": (lambda s: spectrum(*s, np.repeat(WAVE[::2], 2)), "wavelengths do not increase|strictly"),
    "elsewhere": (lambda s: spectrum(*s, WAVE * 3), "only 0 good pixels"),
    "hertz": (lambda s: Spectrum(flux=s[0] * u.one, spectral_axis=WAVE * u.Hz, uncertainty=InverseVariance(s[1]),
                                 meta=META), "good pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_and_what_is_said(stars, name):
    make, said = BAD[name]
    with pytest.raises(ValueError, match=said):
        native.to_native(make((stars.observed[5].astype("f8"), stars.ivar[5].astype("f8"))))


def test_pixels_that_are_not_finite_are_masked(stars):
    _, ivar = native.to_native(nan((stars.observed[6], stars.ivar[6])))
    assert (ivar[::3] == 0).all()


def test_the_file_s_errors_are_corrected(stars):
    """A file that claims half of the noise, and one that claims twice."""
    for factor in (0.6, 1.5):
        found = native.observe(spectrum(stars.observed[7], stars.ivar[7] / factor**2))
        assert found.fit.inflation == pytest.approx(1 / factor, rel=0.08)
        kept = native.observe(spectrum(stars.observed[7], stars.ivar[7] / factor**2), inflate=False)
        assert kept.fit.inflation == 1
