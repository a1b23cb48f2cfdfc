import numpy as np

from specnb.experiments import limit


def test_a_small_comparison_holds_what_the_book_shows():
    found = limit.compare([20], 3, ["none", "fit", "wiener"], seed=3)
    (level,) = found["levels"]
    rho = {name: one["rho"][0] for name, one in level["methods"].items()}
    assert rho["exact"] == 1
    assert 0.9 < rho["fit"] < rho["wiener"] < rho["none"]
    assert level["methods"]["none"]["improvement"][0] == 0
    assert 2 < level["oracle"]["effective_parameters"][0] < 30
    assert set(found["sbc"]) == {
        "teff",
        "logg",
        "m_h",
        "alpha_m",
        "rv",
        "vsini",
        "c0",
        "c1",
        "c2",
        "c3",
        "c4",
    }
    assert all(len(one["ranks"]) == level["stars"] for one in found["sbc"].values())
    assert np.isfinite([v for one in level["bounds"].values() for v in one.values()]).all()
