"""The comparison with a survey, on files that are written from simulated stars."""

import numpy as np
import pytest
import torch
from astropy.table import Table

import specnb
from specnb.grid import LOGLAM, N_PIXELS, PIXEL_VELOCITY, WAVE
from specnb.observing import model_error, survey_files
from specnb.training import known_stars, real_stars
from specnb.world import prior


def test_a_curve_moves_by_the_pixels_of_its_velocity():
    curve = np.exp(-0.5 * ((np.arange(N_PIXELS) - 1500) / 4.0) ** 2)
    moved = model_error.observed_frame(curve, [3 * PIXEL_VELOCITY, 0.0])
    assert moved[0].argmax() in (1502, 1503)
    assert np.allclose(moved[1], curve)


def test_shifts_to_rest_are_whole_pixels_and_leave_nothing_behind():
    rows = np.tile(np.arange(float(N_PIXELS)), (3, 1))
    moved = known_stars.at_rest(rows, [2.2 * PIXEL_VELOCITY, 0.0, -PIXEL_VELOCITY])
    assert moved[0, :5].tolist() == [2, 3, 4, 5, 6]
    assert np.isnan(moved[0, -2:]).all()
    assert np.array_equal(moved[1], rows[1])
    assert np.isnan(moved[2, 0])
    assert moved[2, 1] == 0


@pytest.mark.parametrize("error", [0.0, 0.003, 0.01])
def test_the_model_error_is_what_the_noise_does_not_explain(error):
    """Stars of very different S/N and velocity; noise alone must leave (nearly) nothing."""
    rng = np.random.default_rng(0)
    noise = np.broadcast_to(1 / np.geomspace(50, 500, 46)[:, None], (46, N_PIXELS))
    rv = rng.uniform(-200, 200, 46)
    residual = noise * rng.normal(size=noise.shape) + error * rng.normal(size=noise.shape)
    found = real_stars.model_error_of(*(known_stars.at_rest(x, rv) for x in (residual, noise)))
    assert np.median(found) == pytest.approx(error, abs=max(0.05 * error, 1e-3))


def test_an_offset_that_all_stars_share_is_its_own_error():
    noise = np.full((46, N_PIXELS), 0.005)
    residual = 0.03 + noise * np.random.default_rng(1).normal(size=noise.shape)
    assert np.median(real_stars.model_error_of(residual, noise)) == pytest.approx(0.03, rel=0.1)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """36 files of stars whose lines at 5300 Å are 5 % deeper than the emulator's, with labels that are a little off."""
    folder = tmp_path_factory.mktemp("survey")
    s = specnb.simulate(36, 5, snr=150)
    dip = 0.05 * np.exp(-0.5 * ((WAVE - 5300) / 5) ** 2)
    rv = np.asarray(s.labels["rv"])
    wave = np.linspace(0.5, 2, N_PIXELS)
    rng = np.random.default_rng(1)
    names = []
    for i in range(len(s)):
        flux = (s.observed[i] - model_error.observed_frame(dip, [rv[i]])[0]) * wave
        names.append(f"s{i}.fits")
        survey_files.lamost(folder / names[-1], flux, s.ivar[i] / wave**2)
    table = {
        k: np.asarray(s.labels[n]) for k, n in (("teff", "teff"), ("logg", "logg"), ("feh", "m_h"))
    }
    table["teff"] = np.clip(table["teff"] + rng.normal(0, 50, 36), 4310, 6990)
    table["logg"] = np.clip(table["logg"], prior.logg_min(table["teff"]) + 0.02, 4.98)
    Table({"file": names, "desig": names, **table}).write(folder / "labels.csv")
    return folder


def test_a_line_that_the_model_lacks_is_found(survey, tmp_path, monkeypatch):
    monkeypatch.setattr(real_stars, "RESOLUTIONS", (1800.0,))
    numbers = real_stars.compare(survey, tmp_path)
    with np.load(tmp_path / "realstars.npz") as curves:
        error = curves["model_error"]
    assert error[abs(WAVE - 5300) < 3].max() == pytest.approx(0.05, rel=0.2)
    assert np.median(error) < 0.003
    clean, dipped = (numbers["judging_half"][k] for k in ("6500-8751", "5000-5500"))
    assert clean["without_model_error"]["within_1"][0] == pytest.approx(0.68, abs=0.03)
    shares = [dipped[f"{k}_model_error"]["within_2"][0] for k in ("without", "with")]
    assert shares[0] < shares[1] - 0.005
    assert shares[1] == pytest.approx(0.95, abs=0.03)


def test_a_folder_without_enough_stars_is_refused(tmp_path):
    table = Table(
        {k: [5000.0] for k in ("teff", "logg", "feh")} | {"file": ["a.fits"], "desig": ["a"]}
    )
    table["logg"], table["feh"] = 4.0, 0.0
    survey_files.lamost(tmp_path / "a.fits", np.ones(N_PIXELS), np.full(N_PIXELS, 1e4))
    table.write(tmp_path / "labels.csv")
    with pytest.raises(ValueError, match="has 1 stars of S/N above 50"):
        known_stars.load(tmp_path, 50)
    table["teff"] = 9000.0
    table.write(tmp_path / "labels.csv", overwrite=True)
    with pytest.raises(ValueError, match="no star inside the emulator's domain"):
        known_stars.load(tmp_path, 50)
    table.remove_column("feh")
    table.write(tmp_path / "labels.csv", overwrite=True)
    with pytest.raises(ValueError, match="lacks "):
        known_stars.load(tmp_path, 50)


def test_the_shipped_model_error_is_usable():
    error = model_error.model_error([0.0, 150.0])
    assert error.shape == (2, N_PIXELS)
    assert (error >= 0).all()
    assert 1e-3 < np.median(error) < 0.05
    assert torch.isfinite(torch.tensor(error)).all()
    assert LOGLAM.shape == error[0].shape
