"""The first page and the README say what the results say."""

import pytest

from specnb import answer, results
from specnb.verdict import newest

FOLDER = results.ROOT / "results"


def test_the_readme_is_up_to_date():
    assert answer.block(FOLDER) in (results.ROOT / "README.md").read_text(), "run: specnb answer"
    assert (FOLDER / answer.FIGURE).stat().st_size > 10_000


def test_the_sentences_hold():
    """Their words are typed; that the numbers are of that kind is checked here."""
    limit = newest(FOLDER, "limit")[1]["levels"]
    for level in limit:
        m = level["methods"]
        assert m["bounded"]["rho"][2] < min(m[k]["rho"][1] for k in ("savgol", "wavelet", "gp", "pca", "wiener"))
        assert m["bounded"]["rho"][0] < 1.5
    points = newest(FOLDER, "parameters")[1]["levels"]["10"]["points"]
    value = {k: v["all"]["m_h"]["scatter"] for k, v in points.items()}
    assert value["mlp, denoised"][0] < value["mlp, noisy"][0]
    assert value["fit, denoised"][2] > value["fit, noisy"][1], "denoising helps a fit: the sentence is wrong"
    held = [v["as drawn"]["68"] for t in newest(FOLDER, "coverage")[1]["flow"].values() for v in t.values()]
    assert all(low - 0.02 < 0.68 < high + 0.02 for _, low, high in held)
    assert "(1 % of it survives" in answer.sentences(FOLDER) or "(2 % of it survives" in answer.sentences(FOLDER)


def test_without_results_there_is_no_answer(tmp_path):
    with pytest.raises(ValueError, match=r"no results of limit in .*; run"):
        answer.sentences(tmp_path)


def test_update_touches_only_what_is_between_the_marks():
    text = f"before\n{answer.MARKS[0]}\nold\n{answer.MARKS[1]}\nafter\n"
    assert answer.between(text, "new") == "before\nnew\nafter\n"
