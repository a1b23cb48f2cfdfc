"""Corrections that were put into simulated stars are found again."""

import json

import numpy as np
import pytest
import torch
from astropy.table import Table

import specnb
from specnb.grid import N_PIXELS, WAVE
from specnb.observing import survey_files
from specnb.training import correction, correction_card
from specnb.world import prior
from specnb.world.emulator import N_TERMS, correction_terms, load_emulator
from specnb.world.instrument import LIBRARY


def line(at, depth=0.04, width=3.0):
    return -depth * np.exp(-0.5 * ((WAVE - at) / width) ** 2)


def terms_of(stars):
    columns = [np.asarray(stars.labels[k]) for k in ("teff", "logg", "m_h", "alpha_m")]
    return correction_terms(torch.tensor(np.stack(columns, 1))).numpy()


@pytest.fixture(scope="module")
def stars():
    """48 dwarfs and giants with a line at 5300 Å in all and one at 6700 Å that follows the strength of lines."""
    s = specnb.simulate(160, 11, snr=200)
    few = np.flatnonzero(np.abs(np.asarray(s.labels["rv"])) < 150)[:48]
    curves = np.zeros((N_TERMS, N_PIXELS))
    curves[0], curves[3] = line(5300), line(6700)
    labels = torch.tensor(
        np.stack([np.asarray(s.labels[k])[few] for k in prior.LABELS], 1), dtype=torch.float32
    )
    r = torch.tensor([1800.0])
    world = load_emulator("cpu").corrected(torch.as_tensor(curves))
    flux = world(labels[:, :4], labels[:, 4], labels[:, 5], r).numpy()
    noise = (s.level[:, None] * s.sigma)[few]
    flux = flux + noise * np.random.default_rng(2).normal(size=flux.shape)
    table = Table({k: labels[:, i].numpy() for i, k in enumerate(("teff", "logg", "feh"))})
    table["flux"], table["ivar"], table["start"] = flux, 1 / noise**2, labels.numpy()
    table["alpha"] = labels[:, 3].numpy()
    return table


def test_a_line_in_all_stars_is_found_and_so_is_what_it_follows(stars, monkeypatch):
    monkeypatch.setattr(correction, "alpha_of", lambda m_h: np.asarray(stars["alpha"], "f8"))
    mean = correction.learn_mean([correction.Source(stars, LIBRARY)])
    assert mean.shape == (N_TERMS, N_PIXELS)
    terms = correction_terms(torch.tensor(np.asarray(stars["start"])[:, :4])).numpy()
    found = terms @ mean
    at = [np.argmin(abs(WAVE - w)) for w in (5300, 6700)]
    assert np.median(found[:, at[0]]) == pytest.approx(-0.04, rel=0.15)
    follows = np.polyfit(terms[:, 3], found[:, at[1]], 1)
    assert follows[0] == pytest.approx(-0.04, rel=0.3)
    elsewhere = (abs(WAVE - 5300) > 40) & (abs(WAVE - 6700) > 40)
    assert np.sqrt((found[:, elsewhere] ** 2).mean()) < 0.003


def test_labels_that_are_held_stay(stars):
    source = correction.Source(stars[:6], LIBRARY)
    held = correction.world(source, load_emulator("cpu"), correction.LabelsHeld)
    fitted = correction.fitted(held, source, source.labels)
    assert fitted.labels[:, :4] == pytest.approx(source.labels[:, :4], rel=1e-6)
    assert np.abs(fitted.labels[:, 4] - np.asarray(stars["start"])[:6, 4]).max() < 20


def test_regression_against_least_squares():
    rng = np.random.default_rng(0)
    terms = np.c_[np.ones(30), rng.normal(3, 2, (30, 2))]
    truth = 0.002 * rng.normal(size=(3, 40))
    residual = terms @ truth
    residual[3, 5] = np.nan
    variance = np.full(residual.shape, 1e-6)
    assert correction.regress(residual, variance, terms, 0) == pytest.approx(truth, abs=1e-5)
    shrunk = correction.regress(residual, variance, terms, 1e12)
    assert np.abs(shrunk[1:]).max() < 1e-6
    assert shrunk[0] == pytest.approx(np.nanmean(residual, 0), abs=1e-4)


def test_outlying_values_do_not_matter():
    residual = np.full((20, 3), 0.01)
    residual[4] = 5.0
    found = correction.regress(residual, np.full((20, 3), 1e-6), np.ones((20, 1)))
    assert found[0] == pytest.approx(0.01, rel=0.25)


def test_factors_are_those_that_were_put_in():
    """Their covariance; a factor's sign and order mean nothing."""
    rng = np.random.default_rng(1)
    shapes = 0.006 * rng.normal(size=(3, 200))
    noise = 0.002
    data = rng.normal(size=(400, 3)) @ shapes + noise * rng.normal(size=(400, 200))
    data[rng.random(data.shape) < 0.1] = np.nan
    found = correction.factors(data, np.full(data.shape, noise**2), 3)
    expected = shapes.T @ shapes
    assert np.linalg.norm(found.T @ found - expected) < 0.15 * np.linalg.norm(expected)


def test_errors_of_labels_are_no_components(stars):
    """Columns of labels take up what wrong labels leave."""
    few = stars[:8].copy()
    few["teff"] += 40
    source = correction.Source(few, LIBRARY)
    emulator = load_emulator("cpu")
    held, free = (
        correction.world(source, emulator, kind)
        for kind in (correction.LabelsHeld, correction.LabelsUncertain)
    )
    assert len(free.precision) == len(held.precision) + 4
    with_errors = correction.fitted(held, source, source.labels)
    without = correction.fitted(held, source, source.labels, free)
    assert np.nanmean(without.residual**2) < np.nanmean(with_errors.residual**2)


def test_the_worst_lines_are_the_furthest_from_zero():
    stack = line(5300, 0.05) + line(6700, -0.03) + line(8000, 0.01)
    (first, low), (second, high) = correction_card.worst_lines(stack, 2)
    assert (round(first), round(second)) == (5300, 6700)
    assert low == pytest.approx(-0.05, abs=1e-3)
    assert high == pytest.approx(0.03, abs=1e-3)


def test_one_command_learns_judges_and_writes(tmp_path):
    """20 survey files of a simulated sky: the card, its numbers, and curves that can be used."""
    s = specnb.simulate(20, 5, snr=120)
    rows = []
    for i in range(len(s)):
        survey_files.lamost(tmp_path / f"s{i}.fits", s.observed[i], s.ivar[i])
        rows.append([f"s{i}.fits", *(float(s.labels[k][i]) for k in ("teff", "logg", "m_h"))])
    table = Table(rows=rows, names=["file", "teff", "logg", "feh"])
    table.write(tmp_path / "labels.csv")
    table[:1].write(tmp_path / "sun.csv")
    card = correction_card.write([tmp_path], [], tmp_path / "sun.csv", tmp_path / "out")
    numbers = json.loads((tmp_path / "out" / "correction.json").read_text())
    assert set(numbers["judging"]) == {"none", "constant", "mean", "mean and components"}
    judged = numbers["judging"]["none"]["survey"]
    assert judged["misfit"] is not None
    shown = card.read_text()
    assert "fewer than 5 stars" not in shown
    assert "survey, fits minus known labels, correction: none" in shown
    with np.load(tmp_path / "out" / "correction.npz") as curves:
        assert curves["mean"].shape == (N_TERMS, N_PIXELS)
        assert curves["components"].shape == (correction.N_COMPONENTS, N_PIXELS)
        assert np.isfinite(curves["components"]).all()
