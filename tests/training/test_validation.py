"""Pulls and biases of made-up fits, and the command on survey files of a simulated sky."""

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

import specnb
from specnb.cli import app
from specnb.observing import survey_files
from specnb.training import validation


def test_errors_that_are_right_have_pulls_of_one():
    rng = np.random.default_rng(0)
    error = rng.uniform(0.5, 2, (400, 6))
    truth = np.zeros((400, 6))
    found = truth + error * rng.normal(size=error.shape)
    stars = Table({"teff": truth[:, 0], "logg": truth[:, 1], "feh": truth[:, 2] + 0.3})
    row = validation.against_known("all", stars, found, error)
    assert row.number == 400
    assert set(row.labels) == {"teff", "logg", "m_h"}
    pull = row.labels["teff"]["pull"]
    assert pull.low < 1 < pull.high
    assert row.labels["m_h"]["bias"].value == pytest.approx(-0.3, abs=0.2)


def test_visits_are_compared_in_pairs():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60).astype(str), 3)
    star = np.repeat(rng.normal(0, 50, (60, 6)), 3, 0)
    found = star + 2 * rng.normal(size=star.shape)
    row = validation.between_visits("visits", groups, found, np.ones_like(found))
    assert row.number == 180
    for label in row.labels.values():
        assert label["pull"].value == pytest.approx(2, rel=0.3)
        assert label["scatter"].value == pytest.approx(2, rel=0.3)


def test_nothing_is_said_of_few():
    few = validation.between_visits(
        "v", np.array(["a", "a", "b"]), np.zeros((3, 6)), np.ones((3, 6))
    )
    assert few.labels == {}
    assert few.number == 1


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Twelve visits of six stars."""
    folder = tmp_path_factory.mktemp("visits")
    s = specnb.simulate(12, 8, snr=80, sky=True)
    rows = []
    for i in range(12):
        survey_files.lamost(folder / f"v{i}.fits", s.observed[i], s.ivar[i])
        rows.append((f"v{i}.fits", *(float(s.labels[k][i]) for k in ("teff", "logg", "m_h"))))
    table = Table(rows=rows, names=["file", "teff", "logg", "feh"])
    table["name"] = np.repeat(np.arange(6), 2)
    table.write(folder / "labels.csv")
    return folder


def test_one_command_reports(survey, tmp_path):
    words = ["validate", str(survey), "--instrument", "lamost", "-o", str(tmp_path / "r.ecsv")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    report = Table.read(tmp_path / "r.ecsv")
    everything = report[(report["stars"] == "all") & (report["label"] == "teff")]
    assert everything["number"][0] == 12
    value = float(everything["bias"][0].split()[0])
    assert abs(value) < 150
    pairs = report[report["stars"] == "pairs of visits"]
    assert (pairs["number"] == 6).all()
    assert "pairs of visits" in result.output


def test_what_is_wrong_is_said(survey, tmp_path):
    wrong = CliRunner().invoke(app, ["validate", str(survey), "--instrument", "hubble"])
    assert wrong.exit_code == 2
    assert "--instrument is 'hubble'" in wrong.output
    Table({"teff": [5000.0]}).write(tmp_path / "labels.csv")
    missing = CliRunner().invoke(app, ["validate", str(tmp_path)])
    assert missing.exit_code == 1
    assert "lacks" in missing.output
