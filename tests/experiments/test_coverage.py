"""The decision tree puts draws right that are too narrow or shifted, and leaves good ones alone."""

import numpy as np
import pytest

from specnb.experiments import coverage
from specnb.labels import flows


def world(n, width, shift, seed):
    """Draws of N(y, 1) that are ``width`` times too wide and off by ``shift``, and the truth."""
    rng = np.random.default_rng(seed)
    y = rng.standard_normal(n) * 3
    return y[:, None] + shift + width * rng.standard_normal((n, 199)), y + rng.standard_normal(n)


@pytest.mark.parametrize(("width", "shift"), [(1, 0), (0.5, 0), (2, 0), (1, 0.6)])
def test_the_tree(width, shift):
    found = coverage.tree({"a": world(1500, width, shift, 1)}, {"a": world(1500, width, shift, 2)})[
        "a"
    ]
    assert found.recalibrated.coverage_68.value == pytest.approx(0.68, abs=0.04)
    assert found.recalibrated.expected_error < 0.03
    assert found.scaled.coverage_68.value == pytest.approx(0.68, abs=0.04)
    if (width, shift) == (1, 0):
        assert found.factor == pytest.approx(1, abs=0.1)
        assert found.as_drawn.uniform > 1e-3
    else:
        assert found.as_drawn.uniform < 1e-3
        assert found.recalibrated.uniform > found.as_drawn.uniform
    if shift == 0:
        assert found.factor == pytest.approx(1 / width, rel=0.12)


def test_validation_stars_are_no_test_stars():
    one, other = coverage.validation(3, 20), coverage.unseen(3, 20)
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape
        assert not np.allclose(a, b)


def test_labels_and_widths_have_their_truth():
    stars = coverage.unseen(2, 100, 7)
    found = coverage.widths(stars, 4, 0, steps=1)
    for draws, truth in found.values():
        assert draws.shape == (2, 4)
        assert np.abs(draws.mean(1) - truth).max() < 1
    assert flows.load() is not None
    for draws, truth in coverage.labels(stars, 5, 0).values():
        assert draws.shape == (2, 5)
        assert truth.shape == (2,)
