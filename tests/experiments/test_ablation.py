import numpy as np
import pytest

from specnb import metrics
from specnb.experiments import ablation
from specnb.training import profiles


def test_some_pixels_have_five_times_the_noise_and_say_so():
    _, good = ablation.observed(32, 1)
    stars, hit = ablation.observed(32, 1, noisier=True)
    assert (hit & ~(stars.ivar > 0)).sum() == 0
    assert hit.mean() == pytest.approx(0.05 * good.mean(), abs=0.003)
    white = (stars.observed - stars.flux) * np.sqrt(stars.ivar)
    assert white[hit].std() == pytest.approx(1, abs=0.05)
    assert white[(stars.ivar > 0) & ~hit].std() == pytest.approx(1, abs=0.01)
    sigma = stars.level[:, None] * stars.sigma * np.sqrt(stars.ivar)
    assert np.allclose(sigma[hit], 0.2, rtol=1e-4)
    snr = 5 / stars.level
    assert ((snr >= 8) & (snr <= 15)).all()


def test_ratio_of_errors():
    rng = np.random.default_rng(0)
    b = rng.gamma(2, size=400)
    value, low, high = ablation.ratio(4 * b, b)
    assert value == low == high == pytest.approx(2)
    value, low, high = ablation.ratio(rng.permutation(b) * 1.44, b)
    assert value == pytest.approx(1.2)
    assert low < value < high


def test_every_variant_changes_one_thing():
    variants = ablation.variants()
    reference = variants.pop("reference")
    for name, profile in variants.items():
        changed = [k for k, v in vars(profile).items() if v != vars(reference)[k]]
        assert changed in (["net"], ["steps"]) or name == "U-Net on pixels"
        if changed == ["net"]:
            assert len(profile.net.items() ^ reference.net.items()) <= 2, name


def test_measured_numbers_are_what_they_say(monkeypatch):
    monkeypatch.setattr(ablation, "moments", lambda net: profiles.moments(net, 512))
    found = ablation.measure(steps=10, batch_size=4, n=8)
    bins = len(metrics.SNR_BINS)
    assert all(len(v.ratio) == bins for v in found.variants.values())
    assert found.variants["reference"].ratio == [(1.0, 1.0, 1.0)] * bins
    half = found.variants["weights in half precision"]
    assert np.allclose(half.ratio, 1, atol=0.02)
    assert half.seconds is None
    for rows in found.noise_map.values():
        assert len(rows) == bins
        for row in rows:
            expected = np.sqrt((1 - row.without_map.value) / (1 - row.with_map.value))
            assert row.ratio.value == pytest.approx(expected, rel=1e-6)
