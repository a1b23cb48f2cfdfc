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
    limit = newest(FOLDER, "limit")[1]["levels"]
    for level in limit:
        m = level["methods"]
        assert m["bounded"]["rho"][2] < min(
            m[k]["rho"][1] for k in ("savgol", "wavelet", "gp", "pca", "wiener")
        )
        assert m["bounded"]["rho"][0] < 1.5
    for snr, m in newest(FOLDER, "parameters")[1]["levels"].items():
        value = {k: v["all"]["m_h"]["scatter"] for k, v in m["points"].items()}
        assert value["fit, denoised"][2] > value["fit, noisy"][1], (
            "denoising helps a fit: the sentence is wrong"
        )
        assert int(snr) < 50 or value["mlp, denoised"][2] < value["mlp, noisy"][1], (
            "denoising does not help here"
        )
    held = [
        v["as drawn"]["68"]
        for t in newest(FOLDER, "coverage")[1]["flow"].values()
        for v in t.values()
    ]
    assert all(low - 0.02 < 0.68 < high + 0.02 for _, low, high in held)
    pulls = newest(FOLDER, "own")[1]["repeats"]["errors of the residuals"]
    assert sum(pulls[k][1] > 1 for k in ("teff", "logg", "m_h", "alpha_m", "rv")) >= 3, (
        "error bars hold on the sky"
    )
    dps = newest(FOLDER, "dps")[1]
    assert all(
        np.median(v["survival"]["exact, mean"]["added line"]) < 0.1
        for v in dps["features"].values()
    )


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
