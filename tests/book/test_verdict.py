"""The verdict says what the results say, and says so when they are missing or stale."""

import copy
import dataclasses
import json

import pytest

from specnb import storage
from specnb.book import verdict
from specnb.book.judging import Missing, by_snr, counted, shown, within
from specnb.book.verdict import ROWS
from specnb.experiments import files
from specnb.metrics import Interval

FOLDER = storage.ROOT / "results"
MADE = {
    "specnb": "0.1.0", "torch": "2", "commit": "HEAD", "date": "2026-01-02T00:00:00+00:00",
    "device": "a processor, 1 threads", "seed": 0, "wall_s": 1.0,
}  # fmt: skip
ORACLE = {
    "flagged": 0, "rhat": [1.0, 1.0, 1.0], "ess": [400.0, 300.0, 200.0], "acceptance": 0.5, "several_modes": 0,
    "seconds": 1.0, "effective_parameters": [9.0, 8.0, 10.0],
}  # fmt: skip
LIMIT = {
    "provenance": MADE, "stars_per_level": 20, "sbc": {}, "sbc_bins": 4,
    "levels": [
        {"snr": snr, "stars": 20, "oracle": ORACLE, "bounds": {}, "methods": {
            "bounded": {"rho": [1.02, 1.01, 1.03], "improvement": [0.99, 0.98, 0.995], "seconds": 1.0},
            "fit": {"rho": [1.01, 1.0, 1.02], "improvement": [0.99, 0.98, 0.995], "seconds": 1.0},
        }}
        for snr in (10, 50)
    ],
}  # fmt: skip


def row(read):
    """The row that a function answers."""
    return next(row for row in ROWS if row.read.__name__ == read)


def kept(source, **changed):
    """Numbers that ship, with fields changed."""
    return dataclasses.replace(verdict.newest(FOLDER, source).numbers, **changed)


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
        if found := verdict.newest(FOLDER, row.source):
            assert row.read(found.numbers).ours


def test_what_an_interval_does_not_decide_stays_open():
    assert within([(0, -0.5, 0.5)], -1, 1) is True
    assert within([(0, -0.5, 0.5), (0.8, 0.2, 1.4)], -1, 1) is None
    assert within([(0, -0.5, 0.5), (1.8, 1.2, 2.4)], -1, 1) is False
    with pytest.raises(Missing, match="no values"):
        within([], -1, 1)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.glob("*/*.json")), ids=lambda p: "/".join(p.parts[-2:])
)
def test_results_that_ship_are_what_their_notebooks_write(path):
    numbers, made = files.read(path)
    assert isinstance(numbers, files.KINDS[path.stem])
    assert made.seed >= 0


@pytest.mark.parametrize("change", ["renamed", "missing", "unknown", "typed"])
def test_a_field_that_is_not_what_was_asked_is_never_read_as_something_else(tmp_path, change):
    broken = copy.deepcopy(LIMIT)
    score = broken["levels"][0]["methods"]["bounded"]
    if change == "renamed":
        score["ratio"] = score.pop("rho")
    elif change == "missing":
        del score["seconds"]
    elif change == "unknown":
        score["more"] = 1
    else:
        score["rho"] = [1.0, 1.0]
    line, lines = page(tmp_path, broken)
    assert "*stale: the file lacks what is asked (quick/limit.json is no Limit: levels/0" in line
    assert any(text.startswith("*limit: stale") for text in lines)
    with pytest.raises(ValueError, match="is no Limit: levels/0/methods/bounded"):
        files.read(tmp_path / "quick" / "limit.json")


def test_a_bin_of_stars_that_is_not_there_is_missing_and_no_other_stands_in():
    labels = kept("own").labels
    few = kept("own", labels={k: v for k, v in labels.items() if k != "30 to 70"})
    with pytest.raises(Missing, match="too few stars of S/N 30 to 70"):
        row("survey_labels").read(few)
    with pytest.raises(Missing, match="no stars outside of the prior"):
        row("flags").read(kept("own", flagged={"inside": Interval(0.1, 0.0, 0.2)}))
    steps = [step for step in kept("dps").steps if step.steps != 4]
    with pytest.raises(Missing, match="4 calls"):
        row("few_steps").read(kept("dps", steps=steps))


def test_a_missing_part_shows_as_missing_on_the_page(tmp_path):
    own = kept("own")
    labels = {k: v for k, v in own.labels.items() if k != "30 to 70"}
    path = tmp_path / "quick" / "own.json"
    made = {k: v for k, v in MADE.items() if k != "wall_s"}
    storage.write(path, dataclasses.replace(own, labels=labels), made, 1.0)
    found = verdict.judge(row("survey_labels"), tmp_path)
    assert found.verdict == "*missing: too few stars of S/N 30 to 70*"
    assert (found.ours, found.origin) == ("", "quick, 2026-01-02, a processor, HEAD")


def test_simulated_stars_are_never_called_lamosts():
    for name in ("survey_labels", "visits", "flags"):
        real, mock = (row(name).read(kept("own", real=real)) for real in (True, False))
        assert "LAMOST" not in f"{mock.what} {mock.ours} {mock.limit}"
        assert "*simulated*" in mock.ours
        assert "simulated" not in real.ours
    mock = row("survey_labels").read(kept("own", real=False))
    assert "simulated" in mock.what
    assert mock.limit == "—"


def test_an_interval_of_few_stars_is_not_printed_and_decides_nothing():
    value = Interval(0.7, 0.6, 0.8)
    assert shown(value, 5, ".2f") == "0.70 [0.60, 0.80]"
    assert shown(value, 4, ".2f") == shown(value, None, ".2f") == "0.70"
    assert shown(value, 4, ".1%") == "70.0 %"
    assert by_snr([(10, value)], stars=3) == "S/N 10: 0.70"
    assert counted(None) == "number of stars not recorded"
    for stars in (None, 2):
        for name in ("poisson", "few_steps"):
            found = row(name).read(kept("dps", stars_steps=stars, stars_counts=stars))
            assert found.plan is None
            assert "[" not in found.ours
    assert row("few_steps").read(kept("dps", stars_steps=64)).plan is True
    assert row("poisson").read(kept("dps", stars_counts=64)).plan is True
    few, many = (row("instruments").read(kept("dps", stars_instruments=n)) for n in (2, 64))
    assert few.plan is None
    assert ("[" in few.ours, "[" in many.ours) == (False, True)


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
