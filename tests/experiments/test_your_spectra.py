"""Tests on the sky, on a mock survey."""

import numpy as np
import pytest

from specnb.experiments import flag_rates, your_spectra
from specnb.metrics import Interval


@pytest.fixture(scope="module")
def mock():
    folder, table, is_real = your_spectra.survey("../real/lamost", 2, 5)
    assert not is_real
    return folder, table


def test_a_mock_survey_has_two_visits_of_every_star(mock):
    folder, table = mock
    assert len(table) == 4
    pairs = your_spectra.find_visits("nowhere", folder, table, False, 10)
    assert len(pairs) == 2
    assert all(path.exists() for pair in pairs for path in pair)
    assert len(your_spectra.find_visits("nowhere", folder, table, False, 1)) == 1


def test_agreement_is_by_bin_and_leaves_out_bins_of_few_stars():
    truth = np.array([[5000.0, 4.0, 0.0]] * 6 + [[6000.0, 4.0, -1.0]])
    found = {"flow": np.hstack([truth + np.array([100.0, 0.1, 0.2]), np.zeros((7, 3))])}
    snr = np.array([10.0, 10, 10, 10, 30, 50, 80])
    got = your_spectra.agreement(found, truth, snr, fewest=2)
    assert set(got) == {"all", "S/N < 30", "30 to 70"}
    assert [got[name]["flow"].stars for name in got] == [7, 4, 2]
    assert got["all"]["flow"].teff.bias == Interval(100.0, 100.0, 100.0)
    assert got["all"]["flow"].m_h.bias.value == pytest.approx(0.2)


def test_a_degraded_spectrum_has_the_noise_that_it_says(mock):
    folder, table = mock
    (observation,) = your_spectra.observe([folder / table["file"][0]]).values()
    low = your_spectra.degrade(observation, 10)
    good = low.ivar > 0
    less = np.median(np.sqrt(low.ivar[good])) / np.median(np.sqrt(observation.ivar[good]))
    assert less == pytest.approx(10 / observation.snr, rel=1e-4)
    added = (low.flux - observation.flux)[good]
    expected = 1 / low.ivar[good] - 1 / observation.ivar[good]
    assert (added**2 / expected).mean() == pytest.approx(1, abs=0.1)
    assert your_spectra.degrade(observation, observation.snr) is None


def test_every_bad_file_is_named(mock):
    folder, table = mock
    answers = your_spectra.bad_files(folder / table["file"][0])
    assert set(answers) == {"empty.fits", "cut.fits.gz", "text.fits", "table.csv", "folder.fits"}
    assert all(name in said for name, said in answers.items())


def test_flagged_is_a_share_of_products():
    class Made:
        def __init__(self, good):
            self.good = good

    made = [Made(good) for good in (True, False, True, True)]
    found = your_spectra.flagged({"inside": made, "none": []})
    assert set(found) == {"inside"}
    assert found["inside"].value == 0.25


def test_flag_rates_are_shares_of_halves(mock):
    found = flag_rates.flag_rates(mock[0])
    assert set(found) <= {"inside, learnt", "inside, judged"}
    assert all(0 <= rate.low <= rate.value <= rate.high <= 1 for rate in found.values())
