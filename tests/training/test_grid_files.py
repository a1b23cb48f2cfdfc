"""Users' grids, in small files of each format, and what is refused."""

import gzip
from functools import partial

import h5py
import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

from specnb import storage
from specnb.cli import app
from specnb.grid import FINE_LOGLAM
from specnb.training import grid_files, lte_emulator

FINE = 10**FINE_LOGLAM
HALPHA_AIR, HALPHA_VACUUM = 6562.80, 6564.61


def spectra(wave, n=80, line=HALPHA_VACUUM, width=0.7):
    """Labels (n, 4) and spectra with one line whose depth follows the labels."""
    rng = np.random.default_rng(0)
    y = np.c_[
        rng.uniform(4300, 7000, n),
        rng.uniform(1, 5, n),
        rng.uniform(-2.5, 0.5, n),
        rng.uniform(-0.1, 0.5, n),
    ]
    depth = 0.3 + 0.1 * (y[:, 0] - 5500) / 1500 + 0.02 * (y[:, 1] - 3) + 0.03 * y[:, 2]
    return y, 1 - depth[:, None] * np.exp(-0.5 * ((wave - line) / width) ** 2)


def centre(flux):
    near = abs(FINE - HALPHA_VACUUM) < 8
    return (FINE[near] * (1 - flux[near])).sum() / (1 - flux[near]).sum()


def table(y):
    return dict(zip(("teff", "logg", "m_h", "alpha_m"), y.T, strict=True))


def hdf5(path, wave, flux, labels=None):
    with h5py.File(path, "w") as file:
        file["spectrumdataset/wave"] = wave
        file["dataset/arrays/flux/value"] = flux
        file["dataset/arrays/error/value"] = 0.01 * np.ones_like(flux)
        for name, column in (labels or {}).items():
            file[f"dataset/params/{name}"] = column
    return path


def test_npz_table_in_air_ends_in_vacuum(tmp_path):
    wave = np.arange(4100, 9100, 0.5)
    y, flux = spectra(wave, line=HALPHA_AIR)
    np.savez(tmp_path / "g.npz", wave=wave, flux=flux, medium="air", resolution=5000.0, **table(y))
    grid = grid_files.read(tmp_path / "g.npz")
    assert grid.resolution == 5000
    assert np.allclose(grid.labels, y)
    assert abs(centre(grid.flux[0]) - HALPHA_VACUUM) < 0.02


def test_a_sharper_grid_is_smoothed_to_ten_thousand(tmp_path):
    wave = np.exp(np.arange(np.log(4100), np.log(9100), 5e-6))
    sigma = HALPHA_VACUUM / 50_000 / np.sqrt(8 * np.log(2))
    y, flux = spectra(wave, n=2, width=sigma)
    np.savez(tmp_path / "g.npz", wave=wave, flux=flux, **table(y))
    grid = grid_files.read(tmp_path / "g.npz", medium="vacuum", resolution=50_000)
    assert grid.resolution == 10_000
    near = abs(FINE - HALPHA_VACUUM) < 5
    depth = 1 - grid.flux[0, near]
    fwhm = np.sqrt((depth * (FINE[near] - HALPHA_VACUUM) ** 2).sum() / depth.sum()) * np.sqrt(
        8 * np.log(2)
    )
    assert fwhm == pytest.approx(HALPHA_VACUUM / 10_000, rel=0.05)


def test_bosz_hdf5_with_labels_inside_or_beside(tmp_path):
    wave = np.arange(4100, 9100, 1.0)
    y, flux = spectra(wave, n=3)
    params = dict(zip(("T_eff", "log_g", "Fe_H", "a_M"), y.T, strict=True))
    inside = grid_files.read(
        hdf5(tmp_path / "a.h5", wave, flux, params), medium="vacuum", resolution=5000
    )
    Table(table(y)).write(tmp_path / "labels.csv")
    beside = grid_files.read(
        hdf5(tmp_path / "b.h5", wave, flux),
        labels=tmp_path / "labels.csv",
        medium="vacuum",
        resolution=5000,
    )
    assert np.allclose(inside.labels, y)
    assert np.allclose(beside.labels, y)
    assert np.array_equal(inside.flux, beside.flux)


def test_bosz_text_files_of_both_releases(tmp_path):
    wave = np.arange(4000.0, 9200.0, 1.0)
    _, flux = spectra(wave, n=1, line=HALPHA_AIR)
    new = tmp_path / "new"
    new.mkdir()
    np.savetxt(new / "bosz2024_wave_r5000.txt", wave)
    with gzip.open(
        new / "bosz2024_mp_t6000_g+4.0_m-0.50_a+0.25_c+0.00_v2_r5000_resam.txt.gz", "wt"
    ) as file:
        np.savetxt(file, np.c_[7.0 * flux[0], np.full(len(wave), 7.0)])
    grid = grid_files.read(new)
    assert grid.labels.tolist() == [[6000, 4.0, -0.5, 0.25]]
    assert grid.resolution == 5000
    assert abs(centre(grid.flux[0]) - HALPHA_VACUUM) < 0.02  # 2024 is in air
    _, flux = spectra(wave, n=1, line=HALPHA_VACUUM)
    old = tmp_path / "old"
    old.mkdir()
    np.savetxt(
        old / "amm10cp00op03t4500g25v20modrt0b10000rs.asc", np.c_[wave, flux[0], np.ones(len(wave))]
    )
    grid = grid_files.read(old)
    assert grid.labels[0] == pytest.approx([4500, 2.5, -1.0, 0.3])
    assert abs(centre(grid.flux[0]) - HALPHA_VACUUM) < 0.02  # 2017 is in vacuum


def test_command_trains_on_a_users_grid(tmp_path, monkeypatch):
    monkeypatch.setattr(lte_emulator, "fit", partial(lte_emulator.fit, members=1))
    wave = np.arange(4100, 9100, 1.0)
    y, flux = spectra(wave)
    np.savez(tmp_path / "mine.npz", wave=wave, flux=flux, **table(y))
    command = [
        "emulator",
        "train",
        "--grid",
        str(tmp_path / "mine.npz"),
        "-o",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "does not say its medium; say --medium air or --medium vacuum" in result.output
    result = CliRunner().invoke(app, [*command, "--medium", "vacuum", "--resolution", "5000"])
    assert result.exit_code == 0, result.output
    numbers = storage.read(tmp_path / "out" / "emulator.json")
    assert numbers["resolution"] == 5000
    assert numbers["validation"]["rms"] < 1e-3
    assert "mine.npz" in (tmp_path / "out" / "emulator.md").read_text()


WAVE = np.arange(4100.0, 9100.0, 5.0)


def write(path, **arrays):
    y, flux = spectra(WAVE, n=3)
    np.savez(
        path,
        **(
            {"wave": WAVE, "flux": flux, "medium": "vacuum", "resolution": 5000.0}
            | table(y)
            | arrays
        ),
    )
    return path


@pytest.mark.parametrize(
    ("arrays", "said", "message"),
    [
        ({}, {"medium": "air"}, "medium is 'air' but grid .* says 'vacuum'"),
        ({"medium": "water"}, {}, "medium is 'water'; say air or vacuum"),
        ({"wave": WAVE[::-1]}, {}, "must ascend"),
        ({"wave": WAVE + 800}, {}, "covers 4900–9895 Å in vacuum; 4217–8872 Å is needed"),
        (
            {"flux": np.full((3, WAVE.size), 1e6)},
            {},
            "continuum-normalised, or come with a continuum",
        ),
        ({"flux": np.full((3, WAVE.size), np.nan)}, {}, "must be finite"),
        ({"teff": np.zeros(2)}, {}, r"label teff has shape \(2,\)"),
    ],
)
def test_what_is_refused(tmp_path, arrays, said, message):
    with pytest.raises(ValueError, match=message):
        grid_files.read(write(tmp_path / "g.npz", **arrays), **said)


def test_missing_files_labels_and_pickles_are_refused(tmp_path):
    _, flux = spectra(WAVE, n=3)
    np.savez(tmp_path / "bare.npz", wave=WAVE, flux=flux, medium="vacuum", resolution=5000.0)
    np.savez(tmp_path / "pickle.npz", wave=np.array([{}], dtype=object))
    (tmp_path / "text.h5").write_text("no")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("nowhere.npz", "does not exist"),
        ("bare.npz", "has no label teff; give a table with one row a spectrum"),
        ("pickle.npz", "is not a readable .npz of plain arrays"),
        ("text.h5", "is neither .npz nor HDF5"),
        ("empty", "holds no BOSZ spectra"),
    ):
        with pytest.raises(ValueError, match=message):
            grid_files.read(tmp_path / name)


def test_a_packed_grid_says_it_all_itself():
    with pytest.raises(
        ValueError, match="brings its labels, medium and resolving power; leave them out"
    ):
        grid_files.read(lte_emulator.GRID, medium="air")


def test_too_few_stars_and_too_low_a_resolution(tmp_path):
    with pytest.raises(ValueError, match="has R = 1500; the native spectra need more than 1800"):
        lte_emulator.train(write(tmp_path / "low.npz", resolution=1500.0), tmp_path)
    with pytest.raises(ValueError, match="has 3 stars; an emulator needs at least 64, better 500"):
        lte_emulator.train(write(tmp_path / "g.npz"), tmp_path)
