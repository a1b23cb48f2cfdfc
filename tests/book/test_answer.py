"""The first page and the README say what the results say."""

import subprocess

import numpy as np
import pytest

from specnb import storage
from specnb.book import answer
from specnb.book.verdict import newest

FOLDER = storage.ROOT / "results"
CHANGED = subprocess.run(
    ["git", "-C", storage.ROOT, "diff", "--quiet", "HEAD", "--", "results"]
).returncode
kept = pytest.mark.skipif(
    CHANGED != 0, reason="results of a new run, or no checkout; `specnb answer` writes the README"
)


@kept
def test_the_readme_is_up_to_date():
    assert answer.block(FOLDER) in (storage.ROOT / "README.md").read_text(), "run: specnb answer"
    assert (FOLDER / "answer.png").stat().st_size > 10_000


@kept
def test_the_sentences_hold():
    """Their words are typed; that the numbers are of that kind is checked here."""
    for level in newest(FOLDER, "limit").numbers.levels:
        m = level.methods
        assert m["bounded"].rho.high < min(m[name].rho.low for name in answer.CLASSICAL)
        assert m["bounded"].rho.value < 1.5
    for snr, level in newest(FOLDER, "parameters").numbers.levels.items():
        value = {k: v["all"]["m_h"].scatter for k, v in level.points.items()}
        assert value["fit, denoised"].high > value["fit, noisy"].low, (
            "denoising helps a fit: the sentence is wrong"
        )
        assert snr < 50 or value["mlp, denoised"].high < value["mlp, noisy"].low, (
            "denoising does not help here"
        )
    for table in newest(FOLDER, "coverage").numbers.flow.values():
        for _, low, high in (v.as_drawn.coverage_68 for v in table.values()):
            assert low - 0.02 < 0.68 < high + 0.02
    own = newest(FOLDER, "own").numbers
    assert own.real
    pulls = own.repeats["errors of the residuals"]
    lows = [getattr(pulls, k).low for k in ("teff", "logg", "m_h", "alpha_m", "rv")]
    assert sum(low > 1 for low in lows) >= 3, "error bars hold on the sky"
    for found in newest(FOLDER, "dps").numbers.features.values():
        assert np.median(found.survival["exact, mean"]["added line"]) < 0.1


def test_without_results_there_is_no_answer(tmp_path):
    with pytest.raises(ValueError, match=r"no results of limit in .*; run"):
        answer.sentences(tmp_path)


def test_update_touches_only_what_is_between_the_marks():
    text = f"before\n{answer.MARKS[0]}\nold\n{answer.MARKS[1]}\nafter\n"
    assert answer.between(text, "new") == "before\nnew\nafter\n"
    with pytest.raises(ValueError, match="the README has 0 blocks"):
        answer.between("no marks", "new")


def test_the_first_page_says_when_there_is_no_answer(tmp_path):
    answer.write(tmp_path, tmp_path)
    assert "No answer yet: no results of limit" in (tmp_path / "answer.md").read_text()
    answer.write(FOLDER, tmp_path)
    text = (tmp_path / "answer.md").read_text()
    assert text.count("{figure} answer-") == 2
    assert (tmp_path / "answer-coverage.png").stat().st_size > 10_000
