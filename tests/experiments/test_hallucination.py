import numpy as np
import pytest

import specnb
from specnb.experiments import hallucination as h


@pytest.fixture(scope="module")
def stars():
    return specnb.simulate(6, 12, snr=30)


def test_injected_line_has_the_depth_and_place_that_are_said(stars):
    changed, window = h.add_lines(stars.flux, 0.3, np.random.default_rng(0))
    depth = 1 - changed / stars.flux
    assert depth.max(1) == pytest.approx(0.3, abs=1e-6)
    assert window[np.arange(6), depth.argmax(1)].all()
    outside = np.abs(changed - stars.flux)[~window]
    assert outside.max() < 1e-3


def test_filled_line_is_gone(stars):
    changed, window = h.fill_line(stars.flux, stars.labels["rv"])
    assert (changed >= stars.flux - 1e-6).all()
    assert np.array_equal(changed[~window], stars.flux[~window])
    depth = np.array([(1 - x[w]).max() for x, w in zip(stars.flux, window, strict=True)])
    left = np.array([np.ptp(x[w]) for x, w in zip(changed, window, strict=True)])
    assert (left < 0.3 * depth + 0.02).all()


def test_survival_of_a_denoiser_that_changes_nothing_and_of_one_that_knows_nothing(stars):
    changed, window = h.add_lines(stars.flux, 0.2, np.random.default_rng(1))
    y, y_changed = stars.observed, h.observe(stars, changed)
    good = (stars.ivar > 0) | ~window
    share = h.survival(y, y_changed, stars.flux, np.where(good, changed, stars.flux), window)
    assert share == pytest.approx(1, abs=1e-3)
    assert h.survival(stars.flux, stars.flux, stars.flux, changed, window) == pytest.approx(0)


def test_strength_is_the_signal_to_noise_of_the_matched_sum(stars):
    changed, _ = h.add_lines(stars.flux, 0.2, np.random.default_rng(2))
    ivar = np.full_like(stars.flux, 30.0**2)
    expected = 30 * np.sqrt(((changed - stars.flux) ** 2).sum(1))
    assert np.allclose(h.strength(stars.flux, changed, ivar), expected)


def test_invented_lines_are_counted(stars):
    assert h.invented(stars.flux, stars.flux, stars.ivar).sum() == 0
    ivar = np.full_like(stars.flux, 100.0**2)
    with_one, _ = h.add_lines(stars.flux, 0.2, np.random.default_rng(3))
    assert list(h.invented(with_one, stars.flux, ivar)) == [1] * 6


def test_one_that_keeps_all_and_one_that_knows_all_already():
    truth = specnb.simulate(4, 13, snr=50).flux
    found = h.measure({"keeps": lambda y, w: y, "knows": lambda y, w: truth}, 50, 4, seed=13)
    for feature, judged in found.features.items():
        assert len(judged.strength) == len(judged.flagged) <= 4
        assert np.allclose(found.survival["knows"][feature], 0)
        assert np.median(found.survival["keeps"][feature]) == pytest.approx(1, abs=1e-3)
    strong = np.array(found.features["Hα filled"].strength) > 12
    assert np.array(found.features["Hα filled"].flagged)[strong].all()
    assert found.invented["knows"] == [0] * 4
    assert min(found.invented["keeps"]) == 0
