from importlib.resources import files

import numpy as np
import pytest
import torch

import specnb
from specnb import storage
from specnb.grid import FINE_LOGLAM, N_FINE
from specnb.training import emulator_fit, grid_files, lte_emulator
from specnb.world import emulator

ASSETS = files("specnb") / "assets"


def labels(n):
    return torch.tensor([[5777.0, 4.44, 0.0, 0.0], [4600.0, 2.0, -1.0, 0.3]] * (n // 2))


def test_left_out_stars_are_reproduced_to_the_card():
    """The shipped weights, the shipped grid and the shipped card belong together."""

    grid = grid_files.read(lte_emulator.GRID)
    grid_labels, flux, index = grid.labels, grid.flux, grid.index
    judge = lte_emulator.left_out(index)
    model = emulator.load_emulator("cpu")
    score = lte_emulator.scores(
        grid_labels[judge], emulator.residuals(model, grid_labels[judge], flux[judge])
    )
    card = storage.read(ASSETS / "emulator.json")["validation"]
    assert score["stars"] == card["stars"]
    assert score["rms"] == pytest.approx(card["rms"], rel=0.01)
    assert score["rms"] < 1.5e-3


def test_left_out_stars_fill_the_label_space():
    """Judges are spread over the grid; where there are none, the card must say so."""
    grid = grid_files.read(lte_emulator.GRID)
    judge = lte_emulator.left_out(grid.index)
    assert 0.05 < judge.mean() < 0.2
    teff, m_h = grid.labels[judge][:, [0, 2]].T
    assert np.histogram2d(teff, m_h, [(4300, 5200, 6100, 7000), (-2.5, -1.0, 0.5)])[0].min() >= 1
    giants = (grid.labels[:, 0] < 5000) & (grid.labels[:, 1] < 2.9)
    card = (ASSETS / "emulator.md").read_text()
    assert ("none in the grid" in card) == (not giants.any())


def test_emulator_stays_physical_to_the_corners():
    from specnb.world.prior import ALPHA_M, LOGG_MAX, M_H, TEFF, logg_min

    for teff in TEFF:
        for logg in (logg_min(teff), LOGG_MAX):
            for m_h in M_H:
                flux = specnb.synthesize(teff, logg, m_h, list(ALPHA_M))
                assert flux.min() > 0
                assert flux.max() < 1.03


def test_networks_side_by_side_are_the_networks_one_by_one():
    model, y = emulator.load_emulator("cpu"), labels(4)
    x = model.features(y)
    separate = torch.stack([net(x) for net in model.nets]).mean(0) * model.scale
    assert torch.allclose(
        model.coefficients(y), separate, rtol=1e-5, atol=1e-5 * float(separate.abs().max())
    )


def test_native_flux_is_the_fine_flux_observed():
    """The precomputed transform of the basis equals transforming the fine spectrum itself."""
    from specnb.world.operators import to_fourier, to_native

    model, y = emulator.load_emulator("cpu"), labels(2)
    rv, vsini, resolution = (
        torch.tensor([30.0, -200.0]),
        torch.tensor([0.0, 40.0]),
        torch.tensor([1800.0, 1500.0]),
    )
    direct = 1 + to_native(to_fourier(model.fine(y) - 1), rv, vsini, resolution)
    assert torch.allclose(model(y, rv, vsini, resolution), direct, atol=2e-6)


def test_gradients_by_finite_differences():
    model = emulator.load_emulator("cpu")
    point = torch.tensor([5200.0, 3.0, -0.7, 0.2, 40.0, 12.0], dtype=torch.float64)
    double = emulator.from_state({k: v.double() for k, v in model.state_dict().items()}).double()

    def flux(p):
        return double(
            p[None, :4], p[None, 4], p[None, 5], torch.tensor([1800.0], dtype=torch.float64)
        )[0]

    steps = torch.tensor([1.0, 1e-3, 1e-3, 1e-3, 0.1, 0.1], dtype=torch.float64)
    jacobian = torch.func.jacfwd(flux)(point)
    reverse = torch.func.jacrev(flux)(point)
    assert torch.allclose(jacobian, reverse, atol=1e-6)
    for i, h in enumerate(steps):
        e = torch.zeros(6, dtype=torch.float64)
        e[i] = h
        slope = (flux(point + e) - flux(point - e)) / (2 * h)
        assert (jacobian[:, i] - slope).abs().max() < 1e-3 * jacobian[:, i].abs().max()


def test_fit_recovers_a_linear_world(tmp_path):
    """Spectra that are a smooth function of labels in a 3-dimensional basis are learnt to 1e-3 from 100 stars."""
    rng = np.random.default_rng(0)
    y = np.c_[
        rng.uniform(4300, 7000, 140),
        rng.uniform(1, 5, 140),
        rng.uniform(-2.5, 0.5, 140),
        rng.uniform(0, 0.4, 140),
    ]
    shapes = np.exp(-0.5 * ((FINE_LOGLAM[None] - np.array([[3.70], [3.80], [3.90]])) / 2e-3) ** 2)
    depth = np.c_[0.2 * (5000 / y[:, 0]) ** 2, 0.1 + 0.02 * y[:, 1], 0.1 * 10 ** (0.3 * y[:, 2])]
    flux = 1 - depth @ shapes
    model = emulator_fit.fit(y[:100], flux[:100], components=3, hidden=16)
    r = emulator.residuals(model, y[100:], flux[100:])
    assert np.sqrt((r**2).mean()) < 1e-3


def test_fit_refuses_too_few_stars():
    with pytest.raises(ValueError, match="labels has 10 stars"):
        emulator_fit.fit(np.zeros((10, 4)), np.zeros((10, N_FINE)))


def test_solar_lines_are_where_they_belong():
    """Vacuum wavelengths: Hα, Hβ and the Ca II triplet lie in the deepest pixel of their neighbourhood."""
    flux = specnb.synthesize(5777, 4.44, 0.0, 0.0)[0]
    for line in (4862.69, 6564.61, 8500.36, 8544.44, 8664.52):
        near = np.flatnonzero(abs(specnb.WAVE - line) < 8)
        assert abs(specnb.WAVE[near[flux[near].argmin()]] - line) < 1.5, line


@pytest.mark.slow
def test_one_command_trains_what_ships(tmp_path):
    """Training on the shipped grid gives the shipped scores again."""

    lte_emulator.train(lte_emulator.GRID, tmp_path)
    again, shipped = (storage.read(folder / "emulator.json") for folder in (tmp_path, ASSETS))
    assert again["training_stars"] == shipped["training_stars"]
    assert again["validation"]["rms"] == pytest.approx(shipped["validation"]["rms"], rel=0.1)
    assert (tmp_path / "emulator.md").exists()


def test_loading_models_leaves_the_random_numbers_alone():
    """Weights of a network that is made after the emulator was loaded must not depend on that."""
    from specnb.denoising import networks

    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    emulator.read(ASSETS / "emulator.safetensors")
    networks.read(ASSETS / "bounded.safetensors")
    assert torch.equal(torch.rand(3), expected)
