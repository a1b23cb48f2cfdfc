"""What the chapter runs at each profile, and how its answers are counted."""

import dataclasses

import numpy as np
import pytest

from specnb.experiments import dps
from specnb.experiments.hallucination import Erased
from specnb.sampling.posterior import METHODS


@pytest.mark.parametrize("profile", ["smoke", "quick", "cpu", "full"])
def test_every_profile_has_its_sizes(profile):
    size = dps.sizes(profile)
    assert set(size.samplers) <= set(METHODS)
    assert size.n_samples >= 40
    assert all(getattr(size, f.name) for f in dataclasses.fields(size))
    seen, ways = dps.views(size)
    assert seen
    assert {"exact", "mmps"} <= set(ways)
    assert ("fit" in dps.estimators(size, 0)) == (profile != "smoke")


def test_differences_are_taken_feature_by_feature():
    shares = {"a": [0.5, 0.7], "b": [0.1]}
    less = {"a": [0.4, 0.6], "b": [0.0]}
    part = Erased({}, {"dps, mean": shares, "supervised": less}, {})
    (name,) = found = dps.survival_differences({10: part, 50: part})
    assert name == "dps, mean less supervised"
    assert np.allclose(found[name], 0.1)
