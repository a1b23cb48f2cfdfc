"""The verdict says what the results say, and says so when they are missing or stale."""

import copy
import json

import pytest

from specnb import storage
from specnb.book import verdict
from specnb.book.verdict import ROWS
from specnb.book.verdict_rows import within

LIMIT = {
    "provenance": {"commit": "HEAD", "date": "2026-01-02T00:00:00+00:00", "device": "a processor, 1 threads"},
    "levels": [
        {"snr": snr, "methods": {
            "bounded": {"rho": [1.02, 1.01, 1.03], "improvement": [0.99, 0.98, 0.995]},
            "fit": {"rho": [1.01, 1.0, 1.02], "improvement": [0.99, 0.98, 0.995]},
        }}
        for snr in (10, 50)
    ],
}  # fmt: skip


def page(tmp_path, limit=None, profile="quick"):
    if limit is not None:
        (tmp_path / profile).mkdir(exist_ok=True)
        (tmp_path / profile / "limit.json").write_text(json.dumps(limit))
    lines = verdict.render(tmp_path).splitlines()
    return next(line for line in lines if line.startswith("- **MVP-0.5**, *bounded-noise")), lines


def test_without_results_everything_is_missing(tmp_path):
    _, lines = page(tmp_path)
    rows = [line for line in lines if line.startswith("| {doc}")]
    assert len(rows) == len(verdict.answers(ROWS, tmp_path))
    assert all("*missing*" in line for line in rows)


def test_a_good_result_passes_and_a_bad_one_does_not(tmp_path):
    assert "**yes**" in page(tmp_path, LIMIT)[0]
    worse = copy.deepcopy(LIMIT)
    worse["levels"][1]["methods"]["bounded"]["rho"] = [1.2, 1.1, 1.3]
    line, _ = page(tmp_path, worse)
    assert "**yes, aim missed**" in line
    assert "1.20 [1.10, 1.30]" in line
    worse["levels"][1]["methods"]["bounded"]["improvement"] = [-0.1, -0.2, 0.1]
    assert "**no**" in page(tmp_path, worse)[0]


def test_the_larger_profile_counts_and_smoke_never(tmp_path):
    page(tmp_path, LIMIT, "smoke")
    assert "*missing*" in page(tmp_path)[0]
    better = copy.deepcopy(LIMIT)
    better["levels"][0]["methods"]["bounded"]["improvement"] = [0.9976, 0.9971, 0.998]
    page(tmp_path, LIMIT, "quick")
    line, _ = page(tmp_path, better, "cpu")
    assert "99.8 [99.7, 99.8] % at λ = 0.5" in line
    assert "[cpu, 2026-01-02, a processor, HEAD]" in line


def test_a_result_from_before_the_weights_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(verdict, "changed_since", lambda commit, weights: ["bounded"])
    assert "stale: bounded changed since" in page(tmp_path, LIMIT)[0]


def test_a_result_that_lacks_what_is_asked_is_stale(tmp_path):
    broken = copy.deepcopy(LIMIT)
    del broken["levels"][0]["methods"]["bounded"]
    assert "*stale: the file lacks" in page(tmp_path, broken)[0]


def test_changes_are_those_that_git_knows():
    if storage.commit() is None:
        pytest.skip("not a checkout")
    assert verdict.changed_since("no-such-commit", ("bounded",)) is None
    assert verdict.changed_since("HEAD", ("emulator",)) == []


def test_every_row_names_a_notebook_and_weights_that_are_there():
    for row in ROWS:
        assert (storage.ROOT / "notebooks" / f"{row.notebook}.ipynb").exists(), row.name
        for name in row.weights:
            assert (storage.ROOT / "specnb" / "assets" / f"{name}.safetensors").exists(), row.name


def test_every_row_reads_the_results_that_ship():
    for row in ROWS:
        profile, numbers = verdict.newest(storage.ROOT / "results", row.source)
        if profile:
            assert row.read(numbers).ours


def test_what_an_interval_does_not_decide_stays_open():
    assert within([(0, -0.5, 0.5)], -1, 1) is True
    assert within([(0, -0.5, 0.5), (0.8, 0.2, 1.4)], -1, 1) is None
    assert within([(0, -0.5, 0.5), (1.8, 1.2, 2.4)], -1, 1) is False


def test_a_chapter_opens_with_its_rows_and_their_origin(tmp_path):
    page(tmp_path, LIMIT)
    text = verdict.opening("01_limit", tmp_path)
    assert "MVP-0.5" in text
    assert "(the plan: MSE −59.5 % at λ = 0.5)" in text
    assert "Verdict: **yes** [quick, 2026-01-02, a processor, HEAD]" in text
    assert "*missing*" in verdict.opening("06_dps", tmp_path)
    assert verdict.opening("no_such_notebook", tmp_path) == ""


def test_every_notebook_has_a_row():
    asked = {row.notebook for row in ROWS}
    assert {p.stem for p in (storage.ROOT / "notebooks").glob("*.ipynb")} == asked
