"""Each metric on a case computed by hand."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from specnb import metrics

TRUTH = np.zeros((2, 4))
ESTIMATE = np.array([[1.0, -1.0, 2.0, 99.0], [0.0, 2.0, 0.0, 0.0]])
GOOD = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=bool)
SIGMA = np.array([[1.0, 2.0, 2.0, 0.0], [1.0, 4.0, 1.0, 1.0]])


def test_by_hand():
    assert metrics.mse(ESTIMATE, TRUTH, GOOD).tolist() == [2.0, 2.0]
    assert metrics.wmse(ESTIMATE, TRUTH, GOOD, SIGMA).tolist() == [
        (1 + 0.25 + 1) / 3,
        0.125,
    ]
    assert metrics.wmae(ESTIMATE, TRUTH, GOOD, SIGMA).tolist() == [
        (1 + 0.5 + 1) / 3,
        0.25,
    ]
    assert metrics.rmse(ESTIMATE, TRUTH, GOOD) == pytest.approx((np.sqrt(2),) * 3)


def test_masked_pixels_may_hold_anything():
    wild = np.where(GOOD, ESTIMATE, np.nan)
    assert metrics.mse(wild, TRUTH, GOOD).tolist() == [2.0, 2.0]


def test_wmae_of_pure_noise_is_0798_s():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 2, (50, 3136))
    noisy = 0.2 * sigma * rng.standard_normal(sigma.shape)
    value = metrics.wmae(noisy, 0 * sigma, sigma > 0, sigma).mean()
    assert value == pytest.approx(0.798 * 0.2, rel=0.005)


def test_improvement_and_its_interval():
    rng = np.random.default_rng(1)
    truth, good = np.zeros((200, 50)), np.ones((200, 50), dtype=bool)
    observed = rng.standard_normal((200, 50))
    value, low, high = metrics.improvement(
        metrics.mse(0.5 * observed, truth, good), metrics.mse(observed, truth, good)
    )
    assert value == pytest.approx(0.75)
    assert low == pytest.approx(0.75)
    assert high == pytest.approx(0.75)


def test_bootstrap_interval_of_a_mean_matches_theory():
    x = np.random.default_rng(2).standard_normal(400)
    value, low, high = metrics.bootstrap(np.mean, x)
    assert value == pytest.approx(x.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.1)


def test_rho_is_a_ratio_of_rmse_and_pairs_its_stars():
    rng = np.random.default_rng(3)
    error, truth, good = (
        rng.standard_normal((50, 4)),
        np.zeros((50, 4)),
        np.ones((50, 4), dtype=bool),
    )
    error *= 10 ** rng.uniform(
        -1, 1, (50, 1)
    )  # stars differ by orders of magnitude; their ratio does not
    assert metrics.rho(3 * error, error, truth, good) == pytest.approx((3, 3, 3))
    # MSE 1 and 9 against 4 and 4: sqrt(5/4)
    value, low, high = metrics.rho(
        np.array([[1.0], [3.0]]), np.full((2, 1), 2.0), np.zeros((2, 1)), np.ones((2, 1))
    )
    assert (value, low, high) == pytest.approx((np.sqrt(1.25), 0.5, 1.5))


# --- SSIM -------------------------------------------------------------------------------------------------------------


def one_ssim(a, b, good):
    """Pixel by pixel, window by window, from the definition."""
    g = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    values = []
    for i in range(5, len(a) - 5):
        if good[i]:
            part = slice(i - 5, i + 6)
            keep = good[part]
            w, x, y = g[keep], a[part][keep], b[part][keep]
            mx, my = np.average(x, weights=w), np.average(y, weights=w)
            vx, vy = np.average((x - mx) ** 2, weights=w), np.average((y - my) ** 2, weights=w)
            cov = np.average((x - mx) * (y - my), weights=w)
            top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
            values.append(top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return np.mean(values)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_ssim_equals_a_direct_loop(share):
    rng = np.random.default_rng(4)
    truth = 1 - 0.3 * rng.random((2, 60))
    estimate = truth + 0.05 * rng.standard_normal(truth.shape)
    good = rng.random(truth.shape) >= share
    expected = [one_ssim(a, b, g) for a, b, g in zip(estimate, truth, good, strict=True)]
    assert metrics.ssim(np.where(good, estimate, 1e9), truth, good) == pytest.approx(
        expected, rel=1e-10
    )


def test_ssim_of_constants_by_hand():
    """Without structure only the luminance is left: (2·1·0.5 + C1)/(1 + 0.25 + C1)."""
    good = np.ones((1, 20), dtype=bool)
    value = metrics.ssim(np.full((1, 20), 0.5), np.ones((1, 20)), good)
    assert value == pytest.approx([1.0001 / 1.2501])
    line = 1 - 0.5 * np.exp(-0.5 * np.arange(-10, 10) ** 2)[None]
    assert metrics.ssim(line, line, good) == pytest.approx([1])


# --- numbers per star -------------------------------------------------------------------------------------------------


def test_bias_and_scatter_by_hand():
    estimate, truth = np.array([1.0, 2.0, 3.0, 4.0, 100.0]), np.zeros(5)
    assert metrics.bias(estimate, truth)[0] == 3
    assert metrics.scatter(estimate, truth)[0] == pytest.approx(1.4826)  # |Δ − 3| = 2, 1, 0, 1, 97


def test_scatter_of_a_normal_is_its_sigma_with_an_interval():
    x = np.random.default_rng(5).normal(0.3, 2, 2000)
    value, low, high = metrics.scatter(x, np.zeros(2000))
    assert low < 2 < high
    assert value == pytest.approx(2, rel=0.1)
    value, low, high = metrics.bias(x, np.zeros(2000))
    assert low < 0.3 < high
    assert (high - low) / 2 == pytest.approx(1.96 * 2 * np.sqrt(np.pi / 2 / 2000), rel=0.3)


def test_coverage_by_hand():
    """Of the draws 1…9, draw number p (9 + 1): the central 60 % interval is 2…8."""
    draws = np.tile(np.arange(9, 0, -1.0), (4, 1))
    truth = np.array([1.9, 2.0, 5.0, 8.1])
    assert metrics.covered(draws, truth, 0.6).tolist() == [False, True, True, False]
    value, low, high = metrics.coverage(draws, truth, 0.6)
    interval = binomtest(2, 4).proportion_ci(0.95, method="wilson")
    assert (value, low, high) == (0.5, interval.low, interval.high)
    # Wilson by hand: (k + z²/2 ± z sqrt(k (n−k)/n + z²/4)) / (n + z²)
    z = 1.959964
    assert low == pytest.approx((2 + z**2 / 2 - z * np.sqrt(1 + z**2 / 4)) / (4 + z**2))


@pytest.mark.parametrize(("nominal", "samples"), [(0.68, 24), (0.68, 100), (0.95, 39), (0.95, 199)])
def test_coverage_is_nominal_even_for_few_draws(nominal, samples):
    rng = np.random.default_rng(6)
    everything = rng.standard_normal((40_000, samples + 1))
    value, low, high = metrics.coverage(everything[:, 1:], everything[:, 0], nominal)
    assert abs(value - nominal) < 0.008
    assert high - low < 0.01


def test_coverage_of_pixels_counts_good_pixels_and_resamples_spectra():
    rng = np.random.default_rng(7)
    draws, good = rng.standard_normal((30, 50, 20)), rng.random((30, 20)) < 0.8
    truth = np.where(good, 0.0, 1e9)
    truth[:10] = np.where(
        good[:10], 1e9, 0.0
    )  # ten spectra with no good pixel covered, and bad ones that are
    value, low, high = metrics.pixel_coverage(draws, truth, good)
    assert value == pytest.approx(2 / 3)
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(2 / 9 / 30), rel=0.1)
    assert metrics.pixel_coverage((d for d in draws), truth, good) == (value, low, high)
    for wrong in (draws[:29], np.concatenate([draws, draws])):
        with pytest.raises(
            ValueError, match="draws has not as many spectra as truth, which has 30"
        ):
            metrics.pixel_coverage((d for d in wrong), truth, good)


# --- errors -----------------------------------------------------------------------------------------------------------

ONE = np.ones((1, 3136))
STARS = np.zeros(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mse(ESTIMATE, TRUTH, GOOD & False), "good of spectrum 0"),
        (
            lambda: metrics.mse(ESTIMATE[:1], TRUTH, GOOD),
            r"estimate has shape \(1, 4\) and truth",
        ),
        (
            lambda: metrics.mse(ESTIMATE, TRUTH + np.nan, GOOD),
            "truth of spectrum 0 is nan at pixel 0",
        ),
        (lambda: metrics.rho(ESTIMATE, TRUTH, TRUTH, GOOD), "reference of spectrum 0 equals truth"),
        (
            lambda: metrics.ssim(ESTIMATE[:, :3], TRUTH[:, :3], GOOD[:, :3]),
            "False but for five pixels at either end",
        ),
        (
            lambda: metrics.ssim(ONE[:, :11], ONE[:, :11], np.arange(11)[None] == 0),
            "good of spectrum 0 is False but",
        ),
        (lambda: metrics.bias(STARS, np.zeros(2)), r"estimate has shape \(3,\) and truth \(2,\)"),
        (
            lambda: metrics.scatter(STARS, np.array([0, np.nan, 0])),
            "truth of star 1 is nan; leave that star out",
        ),
        (
            lambda: metrics.coverage(np.zeros((3, 38)), STARS, 0.95),
            "draws has 38 samples a star; a 95% .* 39 or more",
        ),
        (lambda: metrics.coverage(np.zeros((3, 38)), STARS, 68), "nominal is 68"),
        (
            lambda: metrics.coverage(np.zeros((2, 38)), STARS),
            r"draws has shape \(2, 38\) and truth \(3,\)",
        ),
        (lambda: metrics.coverage(np.zeros((3, 9)) + np.inf, STARS), r"draws is inf at \(0, 0\)"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_interval_prints_itself_and_unpacks():
    interval = metrics.Interval(0.9951, 0.992, 0.9973)
    assert f"{interval:.2f}" == "1.00 [0.99, 1.00]"
    assert f"{interval:.1%}" == "99.5 [99.2, 99.7] %"
    assert f"{interval.scaled(100):.1f}" == "99.5 [99.2, 99.7]"
    value, low, high = interval
    assert (value, low, high) == interval == (interval.value, interval.low, interval.high)
    found = metrics.bias(np.arange(9.0), np.zeros(9))
    assert isinstance(found, metrics.Interval)
    assert json.loads(json.dumps(found)) == list(found)
