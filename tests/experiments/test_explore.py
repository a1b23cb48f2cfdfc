"""The explorer: what it draws is what the models say, and a moved slider moves everything."""

import re

import numpy as np
import pytest

import specnb
from specnb.experiments import explore, interactive
from specnb.sampling.posterior import band
from specnb.spectral_lines import indices


def test_a_view_is_the_models_own_answer():
    view = explore.look(5777, 4.44, 0.0, 20.0, vsini=5.0, seed=3)
    assert np.array_equal(view.truth, specnb.synthesize(5777, 4.44, 0.0, 0.0, vsini=5.0)[0])
    good = view.ivar > 0
    assert np.isnan(view.observed[~good]).all()
    whitened = (view.observed - view.truth)[good] * np.sqrt(view.ivar[good])
    assert abs(whitened.std() - 1) < 0.05
    assert np.median(np.sqrt(view.ivar[good])) == pytest.approx(20, rel=0.02)
    assert np.abs(view.denoised - np.mean(view.band, 0)).max() < 1e-4
    assert view.lines["Hα"][0] == pytest.approx(indices.lines(view.truth, 0.0)["ew"][3], abs=1e-6)


def test_the_band_is_that_of_draws():
    stars = specnb.simulate(3, seed=1, snr=10)
    low, high = band(stars.observed, stars.ivar)
    for k in range(3):
        draws = specnb.sample_posterior(stars.observed[k], stars.ivar[k], 500, steps=1)
        ratio = draws.std(0) / ((high - low)[k] / 2)
        assert np.median(ratio) == pytest.approx(1, abs=0.03)
        assert np.median(np.abs(draws.mean(0) - (low + high)[k] / 2) / draws.std(0)) < 0.1
    one = band(stars.observed[0], stars.ivar[0])
    assert np.allclose(one[0], low[0], atol=1e-6)


def test_sliders_move_the_figure_and_the_table():
    made = explore.panel()
    controls, figure = made.children
    left, right, table = controls.children
    before, text = np.array(figure.data[-1].y), table.value
    left.children[0].value = 4500
    assert not np.allclose(before, figure.data[-1].y)
    assert table.value != text
    at = {s.description: s for s in (*left.children, *right.children[:3])}
    at["log g"].value = at["log g"].min
    at["Teff (K)"].value = 7000  # the prior's edge in log g moves with it
    assert at["log g"].value >= 0.8 + 2.7
    at["method"].value = "wavelet"
    at["noise"].value = 5
    assert np.isfinite(np.array(figure.data[-1].y, "f8")).all()
    assert right.children[-1].value.endswith("ms")


def test_a_slider_swaps_every_line_of_a_figure():
    curves = {"observed": np.ones(3136), "denoised": np.zeros(3136)}
    steps = {k: (curves, (np.full(3136, -k), np.full(3136, k))) for k in (1.0, 2.0)}
    figure = interactive.by_step(steps, "λ =", active=1)
    assert [t.name for t in figure.data] == [None, "68 %", "observed", "denoised"]
    (slider,) = figure.layout.sliders
    assert [s.label for s in slider.steps] == ["1.0", "2.0"]
    assert slider.steps[0].args[0]["y"][1][0] == 1.0
    assert figure.data[1].y[0] == 2.0
    assert {b.label for b in figure.layout.updatemenus[0].buttons} >= {"all", "Hα", "Mg b"}


def test_a_page_asks_no_other_host(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(interactive, "display", lambda bundle, raw: shown.append(bundle))
    interactive.show(interactive.spectrum({"observed": np.ones(3136)}), "one", 'a "flat" spectrum')
    (bundle,) = shown
    assert re.findall(r'src="([^"]+)"', bundle["text/html"]) == ["../plotly.min.js"]
    assert 'aria-label="a &quot;flat&quot; spectrum"' in bundle["text/html"]
    assert bundle["application/vnd.plotly.v1+json"]["data"][0]["name"] == "observed"
    assert interactive.write_script(tmp_path).name == "plotly.min.js"
    assert (tmp_path / "plotly.min.js").stat().st_size > 1e6
