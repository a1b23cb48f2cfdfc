import numpy as np

from specnb.experiments import limit


def test_a_small_comparison_holds_what_the_book_shows():
    found = limit.compare([20], 3, ["none", "fit", "wiener"], seed=3)
    (level,) = found.levels
    rho = {name: one.rho.value for name, one in level.methods.items()}
    assert rho["oracle"] == 1
    assert 0.9 < rho["fit"] < rho["wiener"] < rho["none"]
    assert level.methods["none"].improvement.value == 0
    assert 2 < level.oracle.effective_parameters.value < 30
    assert set(found.sbc) == {
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
    assert all(len(one.ranks) == level.stars for one in found.sbc.values())
    for name, bound in level.bounds.items():
        widths = [v for v in vars(bound).values() if v is not None]
        assert np.isfinite(widths).all()
        assert len(widths) == (5 if name == "rv" else 4)
