"""From files to products: what is written, what is warned of, and that one bad file stops nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

import specnb
from specnb import validate
from specnb.cli import app
from specnb.denoising.local_prior import SubspaceDenoiser
from specnb.grid import RESOLUTION, WAVE
from specnb.observing import native, products, readers, survey_files
from specnb.observing.flags import Quality
from specnb.sampling import posterior
from specnb.world import prior
from specnb.world.fit import default_world
from specnb.world.operators import to_native


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two stars of S/N 40 in files, and one file that is none."""
    folder = tmp_path_factory.mktemp("own")
    s = specnb.simulate(2, 9, snr=40)
    for i in range(2):
        survey_files.lamost(folder / f"s{i}.fits", s.observed[i] * 1000, s.ivar[i] / 1e6)
    (folder / "broken.fits").write_text("no")
    return folder, s


@pytest.fixture(scope="module")
def made(folder):
    return products.process(
        [native.observe(readers.read(folder[0] / f"s{i}.fits")) for i in range(2)]
    )


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_stars_of_the_prior_are_denoised_and_not_doubted(folder, made):
    _, stars = folder
    for i, p in enumerate(made):
        assert p.warnings == []
        good = (p.observation.ivar > 0) & (stars.ivar[i] > 0)
        shape = np.median(p.denoised / stars.flux[i])
        before = np.std((p.observation.flux / shape - stars.flux[i])[good])
        assert np.std((p.denoised / shape - stars.flux[i])[good]) < 0.4 * before
        for k, name in enumerate(prior.LABELS):
            draws = np.asarray(p.labels[name][0])
            assert abs(draws.mean() - stars.labels[name][i]) < 4.5 * draws.std(), (i, k)


def test_a_flux_is_checked_once_and_looked_at_once_on_its_way_to_products(
    folder, tmp_path, monkeypatch
):
    """Of two files together, from the shell to what is written."""
    calls = {"checked": 0, "looked at": 0}

    def counted(name, function):
        def count(*arguments, **settings):
            calls[name] += 1
            return function(*arguments, **settings)

        return count

    monkeypatch.setattr(validate, "spectra", counted("checked", validate.spectra))
    monkeypatch.setattr(SubspaceDenoiser, "look", counted("looked at", SubspaceDenoiser.look))
    files = [folder[0] / f"s{i}.fits" for i in range(2)]
    assert call("denoise", *files, "-o", tmp_path / "out").exit_code == 0
    assert calls == {"checked": 1, "looked at": 1}


def test_a_spectrum_alone_is_the_spectrum_among_others(folder, made):
    prepared = [native.prepare(readers.read(folder[0] / f"s{i}.fits")) for i in range(2)]
    together = native.normalised(prepared)
    for one, alone in zip(together, (p.observation for p in made), strict=True):
        assert np.allclose(one.flux, alone.flux, atol=1e-4)
        assert np.allclose(one.ivar, alone.ivar, rtol=1e-2)
        assert np.allclose(one.fit.labels, alone.fit.labels, rtol=1e-3, atol=0.5)
        assert one.fit.chi2 == pytest.approx(float(alone.fit.chi2), rel=1e-3)


def test_flags_are_in_the_table_and_in_the_header(folder, made):
    table = products.table(["s0", "s1"], made)
    assert list(table["flags"]) == [int(p.flags) for p in made] == [0, 0]
    for flag, good in ((Quality.NOT_A_STAR, False), (Quality.COSMIC_RAYS, True)):
        flagged = replace(made[0], flags=flag, warnings=["said"])
        header = products.to_fits(flagged, "s0.fits")[0].header
        assert Quality(header["FLAGS"]) == flag
        assert header["QUALITY"] is good
        (row,) = products.table(["s0"], [flagged])
        assert row["good"] == good


def test_denoise_writes_what_it_says(folder, tmp_path):
    path, out = folder[0], tmp_path / "out"
    done = call("denoise", path / "s0.fits", path / "broken.fits", path / "s1.fits", "-o", out)
    assert done.exit_code == 1
    assert "broken.fits" in done.output
    for i in range(2):
        with fits.open(out / f"s{i}.denoised.fits") as hdus:
            assert hdus[0].header["SOURCE"].endswith(f"s{i}.fits")
            assert hdus[0].header["MODEL"] == "bounded"
            assert hdus[0].header["QUALITY"]
            assert 4300 < hdus[0].header["TEFF"] < 7000
            table = hdus["SPECTRUM"].data
            assert table["wavelength"] == pytest.approx(WAVE)
            for name in ("flux", "ivar", "denoised", "uncertainty", "continuum"):
                assert np.isfinite(table[name]).all()
            assert np.median(table["continuum"]) == pytest.approx(1000, rel=0.1)
    again = call("denoise", path / "s0.fits", "-o", out)
    assert again.exit_code == 0  # finished already
    assert "give --overwrite" in again.output
    assert call("denoise", path / "s0.fits", "-o", out, "--overwrite").exit_code == 0
    assert not list(out.glob("*.tmp"))


def test_infer_writes_a_table_and_speaks_json(folder, tmp_path):
    path, out = folder[0], tmp_path / "labels.ecsv"
    done = call("infer", path / "s0.fits", path / "broken.fits", "-o", out, "--json")
    assert done.exit_code == 1
    said = json.loads(done.output[done.output.index("{") : done.output.rindex("}") + 1])
    assert list(said["failed"]) == [str(path / "broken.fits")]
    assert said["done"][0]["labels"]["good"]
    table = Table.read(out)
    assert len(table) == 1
    assert str(table["teff_50"].unit) == "K"
    assert (table["teff_16"] < table["teff_50"]).all()
    assert (table["teff_50"] < table["teff_84"]).all()
    assert {"snr", "chi2", "inflation", "anomalies", "good", "warnings"} <= set(table.colnames)
    refused = call("infer", path / "s0.fits", "-o", out)
    assert refused.exit_code == 1
    assert "is there already" in refused.output


def test_a_spectrum_that_cannot_be_processed_stops_no_other(folder, tmp_path, monkeypatch):
    path, process = folder[0], products.process

    def fails(observations, seed=0, device="cpu"):
        if any(abs(o.flux[1000] - bad) < 1e-4 for o in observations):
            raise RuntimeError("no convergence")
        return process(observations, seed, device)

    bad = native.observe(readers.read(path / "s1.fits")).flux[1000]
    monkeypatch.setattr(products, "process", fails)
    done = call("infer", path / "s0.fits", path / "s1.fits", "-o", tmp_path / "t.ecsv")
    assert done.exit_code == 1
    assert "s1.fits': no convergence" in done.output
    assert len(Table.read(tmp_path / "t.ecsv")) == 1


def test_plot_draws(folder, tmp_path):
    path, out = folder[0], tmp_path / "s.png"
    assert call("plot", path / "s0.fits", "-o", out).exit_code == 0
    assert out.read_bytes()[:4] == b"\x89PNG"
    assert call("plot", path / "broken.fits", "-o", tmp_path / "b.png").exit_code == 1


def observed(flux, snr=60, seed=0, claimed=None, **meta):
    """A spectrum of clean flux with even noise, as a survey would give it; ``claimed``: the S/N by its errors."""
    import astropy.units as u
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    noisy = flux + np.random.default_rng(seed).standard_normal(len(flux)) / snr
    meta = {"medium": "vacuum", "resolution": 1800} | meta
    ivar = InverseVariance(np.full(len(flux), float(claimed or snr) ** 2))
    return native.observe(
        Spectrum(flux=noisy * u.one, spectral_axis=WAVE * u.AA, uncertainty=ivar, meta=meta)
    )


def star(teff=5800.0, logg=4.3, m_h=-0.2, alpha_m=0.1, rv=20.0, vsini=8.0, resolution=RESOLUTION):
    emulator = default_world().emulator
    labels = torch.tensor([[teff, logg, m_h, alpha_m]])
    lines = emulator.coefficients(labels) @ emulator.fourier[1:] + emulator.fourier[0]
    numbers = (torch.tensor([float(v)]) for v in (rv, vsini, resolution))
    return 1 + to_native(lines, *numbers, emulator.resolution)[0].numpy()


def lines_of(centres, depth, width):
    return sum(depth * np.exp(-0.5 * ((WAVE - c) / width) ** 2) for c in centres)


HYDROGEN, GALAXY = (
    (4341.7, 4862.7, 6564.6),
    (5008.2, 4960.3, 6585.3, 6718.3, 6732.7, 4862.7, 6564.6),
)
WRONG = {
    "hot star": lambda: 1 - lines_of(HYDROGEN, 0.75, 14),
    "emission lines": lambda: star() + lines_of(GALAXY, 1.5, 4),
    "galaxy": lambda: (
        0.5 + 0.5 * star(5000, 2.5, 0.2, rv=0) + lines_of([w * 1.05 for w in GALAXY], 0.8, 5)
    ),
    "too cool": lambda: star(4400, 4.6, 0.3) * (1 - lines_of(range(5000, 8700, 230), 0.5, 40)),
    "too fast": lambda: star(rv=600.0),
    "resolution 500": lambda: star(resolution=500.0),
}


@pytest.mark.parametrize("name", WRONG)
def test_spectra_that_are_no_stars_of_the_prior_are_doubted(name):
    assert products.process([observed(WRONG[name]())])[0].warnings, name


def test_the_doubts_name_their_reason():
    said = products.process([observed(WRONG["hot star"]()), observed(star(), resolution=1000)])
    assert "at the edge of the prior" in " ".join(said[0].warnings)
    assert any("R = 1000" in text for text in said[1].warnings)


def test_good_stars_are_rarely_doubted():
    s = specnb.simulate(24, 77, snr=60)
    near = [abs(s.labels["rv"]) > 280, s.labels["logg"] > 4.8, s.labels["m_h"] > 0.4]
    inside = np.flatnonzero(~np.any(near, axis=0))
    made = products.process([observed(s.flux[i], seed=i) for i in inside])
    assert np.mean([not p.good for p in made]) <= 0.15


def test_a_star_gives_the_same_products_wherever_it_stands_in_a_list(made):
    """Draws are seeded by a spectrum's own pixels; means and bands agree to rounding."""
    first, second = (p.observation for p in made)
    swapped = products.process([second, first])[::-1]
    for one, other in zip(made, swapped, strict=True):
        for name in prior.LABELS:
            a, b = (np.asarray(p.labels[name][0]) for p in (one, other))
            assert a == pytest.approx(b, abs=0.1 * a.std()), name
        assert one.denoised == pytest.approx(other.denoised, abs=1e-5)
        assert one.uncertainty == pytest.approx(other.uncertainty, rel=1e-3)
        assert one.flags == other.flags
    again = products.process([first], seed=1)[0]
    assert not np.allclose(np.asarray(again.labels["teff"]), np.asarray(made[0].labels["teff"]))


def test_bands_hold_their_share():
    """68 % of pixels of stars at S/N 10 and 50 lie in the band."""
    for snr in (10, 50):
        s = specnb.simulate(32, 4242 + snr, snr=snr)
        seen, _ = validate.spectra(s.observed, s.ivar)
        low, high = (side.numpy() for side in posterior.band_of(seen))
        assert np.mean((s.flux >= low) & (s.flux <= high)) == pytest.approx(0.68, abs=0.06)


@pytest.mark.parametrize("rv", [-650.0, -400.0, 350.0, 500.0])
def test_faster_stars_are_flagged_with_the_right_sign(rv):
    (made,) = products.process([observed(star(rv=rv), snr=40)])
    assert Quality.RV_EDGE in made.flags
    assert not made.good
    assert made.velocity == pytest.approx(rv, abs=50)
    row = products.quantiles(made)
    assert row["rv_50"] == np.sign(rv) * prior.RV_MAX
    assert any(f"near {made.velocity:+.0f} km/s" in said for said in made.warnings)


def test_errors_that_are_far_too_large_are_fitted_and_flagged():
    """A file whose errors are 30 times too large gives the labels of one whose errors are right."""
    right, wrong = (observed(star(), snr=50, claimed=50 / k) for k in (1, 30))
    assert 0.02 < wrong.fit.inflation < 0.04  # the model's own error is in it
    usual, made = products.process([right, wrong])
    assert usual.flags == 0
    assert {Quality.CHI2_SMALL, Quality.ERRORS_SHRANK} <= set(made.flags)
    assert not made.good
    for name in prior.LABELS:
        a, b = (np.asarray(p.labels[name][0]) for p in (usual, made))
        assert abs(a.mean() - b.mean()) < a.std(), name


def test_fast_rotation_is_said_as_a_limit():
    slow, fast = products.process([observed(star(vsini=0.5)), observed(star(vsini=70.0))])
    assert not products.limit(slow, "vsini").startswith(">")
    assert Quality.VSINI_EDGE not in slow.flags
    assert products.limit(fast, "vsini").startswith(">4")
    assert Quality.VSINI_EDGE in fast.flags
    header = products.to_fits(fast, "f.fits")[0].header
    assert "95 % limit >4" in header.comments["VSINI"]


def test_narrow_emission_is_kept_and_named():
    (made,) = products.process([observed(star() + lines_of([6565.0], 0.5, 1.5), snr=80)])
    assert made.observation.cosmic_rays == 0
    assert Quality.EMISSION in made.flags
    assert "Hα in emission" in made.warnings


def test_gaps_are_noted_and_few_pixels_are_said():
    flux = observed(star())
    flux.ivar[800:1000] = 0
    flux.ivar[2000:] = 0
    flux.ivar[:500] = 0
    (made,) = products.process([flux])
    assert {Quality.GAPS, Quality.FEW_PIXELS} <= set(made.flags)
    assert made.good
