"""The grid builder: its design, its bookkeeping, and the traps of the recipe."""

import gzip
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from specnb.grid import FINE_LOGLAM, SPEED_OF_LIGHT
from specnb.lte import design, linelists
from specnb.training import grid_files, lte_emulator
from specnb.world.prior import logg_min, microturbulence


def test_the_design_is_a_prefix_of_itself():
    long, short = design.design(200), design.design(40)
    assert [i for i, _ in long[:40]] == [i for i, _ in short]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(long, short, strict=False))
    assert len({i for i, _ in long}) == 200


def test_the_octant_left_to_judges_is_filled_by_other_stars():
    """i % 8 == 5 of the shared sequence is exactly the cool giants: those points are never computed, others are."""
    labels, u = design.sobol(1024, seed=7)
    octant = (u[:, 0] < 0.25) & (u[:, 1] < 0.5)
    assert np.array_equal(np.flatnonzero(octant), np.arange(5, 1024, 8))
    stars = design.design(400)
    main = [i for i, _ in stars if i < design.GAP]
    assert all(i % 8 != 5 for i in main)
    gap = np.array([y for i, y in stars if design.GAP <= i < design.CORNER])
    assert all(y[0] < design.COOL_TEFF for i, y in stars if i >= design.COOL)
    assert len(gap) / len(main) == pytest.approx(1 / 7, rel=0.05)
    assert gap[:, 0].max() < 4975
    judges = {tuple(y) for y in labels[octant]}
    assert not judges & {tuple(y) for _, y in stars}


def test_the_corners_are_in_the_domain_and_first():
    corners = np.array([y for _, y in design.design(32)])
    assert len({tuple(y) for y in corners}) == 32
    assert (corners[:, 1] >= logg_min(corners[:, 0])).all()
    assert corners[:, 1].max() == 5.0
    assert set(corners[:, 2]) == {design.POOREST, 0.5}
    assert np.allclose(abs(corners[:, 4] - microturbulence(corners[:, 1])), design.VMIC)


def test_any_prefix_fills_the_domain():
    """Every half of every label holds its share of the stars of the first sequence, and vmic follows log g."""
    for n in (100, 300):
        y = np.array([y for i, y in design.design(n) if i < design.GAP])
        unit = np.c_[
            (y[:, 0] - 4300) / 2700,
            (y[:, 1] - logg_min(y[:, 0])) / (5 - logg_min(y[:, 0])),
            ((0.5 - y[:, 2]) / 3.5) ** (1 / 1.3),
            (y[:, 3] + 0.1) / 0.6,
            (y[:, 4] - microturbulence(y[:, 1])) + 0.5,
        ]
        assert unit.min() > -1e-9
        assert unit.max() < 1 + 1e-9
        assert (
            np.abs((unit < 0.5).mean(0) - 0.5).max() < 0.09
        )  # the octant left out takes 1/8 from one half
        assert y[:, 4].min() > 0.3


def test_the_grid_of_the_repository_is_of_this_design():
    path = Path(__file__).parents[2] / "lte_grid"
    if not design.parts(path):
        pytest.skip("no grid yet")
    grid = grid_files.read(path)
    ours = dict(design.design(3 * len(grid.index)))
    labels = np.c_[grid.labels, grid.vmic]
    assert all(np.allclose(ours[i], y, rtol=1e-6) for i, y in zip(grid.index, labels, strict=True))
    assert set(grid.index) == design.numbers(path)


def test_hard_stars_are_cool_and_train():
    more = [(i, y) for i, y in design.design(300) if i >= design.HARD]
    assert len(more) > 15
    assert all(y[0] < 4900 and (y[1] > 4.3 or y[2] > 0.25) for _, y in more)
    assert not lte_emulator.left_out([i for i, _ in more]).any()


def _slow_star(folder):
    def do(number, labels):
        with open(folder / "log", "a") as log:
            log.write(f"{number}\n")
        time.sleep(0.05)
        np.savez(folder / f"{number:06d}.npz", labels=labels)

    return do


def _fill(folder):
    design.fill(folder, [(i, np.zeros(4)) for i in range(12)], _slow_star(folder))


def test_no_star_twice_and_none_lost_after_a_kill(tmp_path):
    context = multiprocessing.get_context("fork")
    first, second = (context.Process(target=_fill, args=(tmp_path,)) for _ in range(2))
    first.start()
    second.start()
    time.sleep(0.12)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    second.join()
    _fill(tmp_path)
    assert sorted(p.stem for p in tmp_path.glob("*.npz")) == [f"{i:06d}" for i in range(12)]
    started = (tmp_path / "log").read_text().split()
    assert len(started) - len(set(started)) <= 1  # at most the star that the kill interrupted
    assert not list(tmp_path.glob("*.lock"))


def test_a_skipped_star_says_why_and_is_not_tried_again(tmp_path):
    def impossible(*labels, **_):
        raise ValueError("outside the range of the model atmospheres")

    design.compute(impossible, 7, np.array([9000.0, 4.0, 0.0, 0.0, 1.0]), tmp_path)
    assert "9000.0" in (tmp_path / "000007.skipped").read_text()
    design.fill(tmp_path, [(7, None)], lambda *_: pytest.fail("tried again"))


def _stars(folder, *numbers, teff=5000.0):
    """Star files with one line at Hα; returns the line's depth and wavelengths."""
    wave = design.vacuum_wavelengths()
    line = 1 - 0.5 * np.exp(-0.5 * ((wave - 6564.61) / 0.3) ** 2)
    continuum = np.linspace(2, 1, len(wave))[:: design.SPARSE]
    for i in numbers:
        star = {"recipe": design.RECIPE, "flux": line.astype("f4"), "continuum": continuum}
        np.savez(folder / f"{i:06d}.npz", labels=[teff, 4, 0, 0, 1.25], **star)


def test_pack_writes_new_stars_only_and_never_an_old_byte(tmp_path):
    folder, parts = tmp_path / "stars", tmp_path / "grid"
    folder.mkdir()
    _stars(folder, 3, 1)
    assert design.pack(folder, parts) == (2, parts / "part-001.npz")
    before = (parts / "part-001.npz").read_bytes()
    assert design.pack(folder, parts) == (0, None)
    (folder / "000001.npz").unlink()  # a machine that computes on need not have the old stars
    _stars(folder, 2, teff=6000.0)
    assert design.pack(folder, parts) == (1, parts / "part-002.npz")
    assert (parts / "part-001.npz").read_bytes() == before
    assert sorted(p.name for p in parts.iterdir()) == ["part-001.npz", "part-002.npz"]
    assert design.numbers(parts) == {1, 2, 3}
    grid = grid_files.read(parts)
    assert grid.index.tolist() == [1, 2, 3]
    assert grid.labels[:, 0].tolist() == [5000, 6000, 5000]
    assert grid.vmic.tolist() == [1.25] * 3
    one = grid_files.read(parts / "part-001.npz")
    assert one.index.tolist() == [1, 3]
    assert np.array_equal(one.flux, grid.flux[[0, 2]])
    near = abs(10**FINE_LOGLAM - 6564.61) < 5
    wave, depth = 10 ** FINE_LOGLAM[near], 1 - grid.flux[0, near]
    assert (
        abs((wave * depth).sum() / depth.sum() / 6564.61 - 1) * SPEED_OF_LIGHT < 1
    )  # air would be 83 km/s off
    assert np.trapezoid(depth, wave) == pytest.approx(0.5 * 0.3 * np.sqrt(2 * np.pi), rel=2e-3)


def test_two_recipes_are_not_packed_together(tmp_path):
    folder, parts = tmp_path / "stars", tmp_path / "grid"
    folder.mkdir()
    np.savez(
        folder / "000001.npz",
        recipe="another",
        labels=np.zeros(5),
        flux=np.ones(9),
        continuum=np.ones(9),
    )
    with pytest.raises(ValueError, match="was computed by another recipe"):
        design.pack(folder, parts)
    parts.mkdir(exist_ok=True)
    np.savez(parts / "part-001.npz", design_index=[1])
    with pytest.raises(ValueError, match="was computed by another recipe"):
        design.numbers(parts)


def test_pack_refuses_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="holds no stars; run: specnb grid build"):
        design.pack(tmp_path, tmp_path / "grid")


ATOMS = """'   3.000            '    1        28
'Fe I    LTE'
  5000.000  2.000 -1.000 2006.342    4.0  1.00E+08 'p' 'd'   0.0    1.0 'x'
  5001.000  2.000 -1.000    2.500    4.0  0.00E+00 'p' 'd'   0.0    1.0 'x'
  5002.000  2.000 -1.000   -7.500    4.0  1.00E+08 'p' 'd'   0.0    1.0 'x'
  9500.000  2.000 -1.000    2.500    4.0  1.00E+08 'p' 'd'   0.0    1.0 'x'
'  26.000            '    3        28
'Fe III    LTE'
  5003.000  2.000 -1.000    2.500    4.0  1.00E+08 'p' 'd'   0.0    1.0 'x'
'H I    LTE'
  6562.800  2.000 -1.000    2.500    4.0  1.00E+08 'p' 'd'   0.0    1.0 'x'
"""
ELEMENTS = ["H", "He", *["x"] * 23, "Fe"]


def test_atoms(tmp_path):
    (tmp_path / "a").write_text(ATOMS)
    table = linelists.atoms(tmp_path / "a", ELEMENTS)
    assert table.wlcent.tolist() == [
        5000.0,
        5001.0,
        5002.0,
    ]  # in range, at most singly ionised, no hydrogen
    assert table.gamvw.tolist() == [2006.342, 0.0, -7.5]  # a multiple of Unsöld is left to SME
    assert table.gamrad.tolist() == [8.0, 0.0, 8.0]
    assert set(table.atom_number) == {26}


def test_isotopes_share_the_gf(tmp_path):
    """The list repeats the whole gf for every isotope of neodymium; the sum over isotopes must be the element's."""
    blocks = [
        f"'  60.{mass}            '    2        1\n'Nd II   LTE'\n  5310.083  1.136 -0.980  0.0  4.0  1.0E+05 'p' 'd'\n"
        for mass in linelists.ISOTOPES["Nd"]
    ]
    (tmp_path / "a").write_text(
        "".join(blocks)
        + "'  60.000 ' 2 1\n'Nd II LTE'\n  5400.0 1.1 -0.5 0.0 4.0 1.0E+05 'p' 'd'\n"
    )
    table = linelists.atoms(tmp_path / "a", ["H", "He", *["x"] * 57, "Nd"])
    assert len(table) == 8
    assert np.log10((10 ** table.gflog[:7]).sum()) == pytest.approx(-0.98, abs=1e-4)
    assert table.gflog[7] == -0.5


def test_isotopic_fractions_add_to_one():
    for fractions in linelists.ISOTOPES.values():
        assert sum(fractions.values()) == pytest.approx(1, abs=3e-3)


def test_hydrogen_carries_its_quantum_numbers_where_sme_wants_them(tmp_path):
    (tmp_path / "h").write_text(
        "'header'\n  6562.797     2    3   10.199   12.088    0.710   'Ba  3    ' 6.31E+08\n"
        "   920.963     1   10    0.000   13.462   -2.493   'Ly 10    ' 6.31E+08\n"
    )
    table = linelists.hydrogen(tmp_path / "h")
    assert table[["wlcent", "excit", "gflog", "gamqst", "gamvw"]].values.tolist() == [
        [6562.797, 10.199, 0.710, 2, 3]
    ]


def test_molecules_are_scaled_by_the_isotopic_fraction(tmp_path):
    for name in ("mooghyd.gz", "moogcn.gz", "moogc2.gz"):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(
                "  5000.000 607.01214  0.005  -1.000  7.724 x\n  5000.000 607.01314  0.005  -1.000  7.724 x\n"
            )
    table = linelists.molecules(tmp_path)
    assert sorted(set(table.gflog.round(4))) == [
        round(-1 + np.log10(f), 4) for f in (0.0107, 0.9893)
    ]


def test_impossible_lines_of_ch_are_dropped(tmp_path):
    """A line above the system's strongest, or of a level that the list extrapolates; other molecules stay."""
    rows = [
        "  6213.317 106.00112  1.314   1.319  3.464 BX10R285",
        "  6215.608 106.00113  1.303   1.319  3.464 BX10R285",
        "  4698.223 106.00112  1.220  -0.972  3.464 BX11R235",
        "  6886.993 106.00112  2.812  -1.752  3.464 AX52P395",
        "  4380.036 106.00112  0.466  -1.470  3.464 AX00P165",
        "  5101.438 112.00124  0.624   0.682  1.340 00Q130h24",
    ]
    with gzip.open(tmp_path / "mooghyd.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    for name in ("moogcn.gz", "moogc2.gz"):
        gzip.open(tmp_path / name, "wt").close()
    assert sorted(linelists.molecules(tmp_path).wlcent) == [4380.036, 5101.438]


def test_changed_or_missing_line_lists_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is missing; run: specnb grid sources"):
        linelists.verify(tmp_path)
    for wanted in linelists.SOURCES.values():
        for name in wanted:
            (tmp_path / name).write_text("something else")
    with pytest.raises(ValueError, match="is not the file this recipe was made with"):
        linelists.verify(tmp_path)


def test_ion_fraction_is_saha():
    """From the constants of nature, for a ratio of partition functions of 2."""
    from scipy.constants import electron_mass, electron_volt, h, k

    temperature, pressure, energy = 5777.0, 10.0, 7.9  # K, dyn/cm², eV
    states = 2 * 2 * (2 * np.pi * electron_mass) ** 1.5 * (k * temperature) ** 2.5 / h**3
    ratio = (
        states * np.exp(-energy * electron_volt / (k * temperature)) / (pressure / 10)
    )  # Pe in Pa
    neutral, ion = (
        10 ** linelists.log_ion_fraction(temperature, 1.0, energy, np.array(s)) for s in (0, 1)
    )
    assert float(ion / neutral) == pytest.approx(ratio, rel=0.03)
    assert float(neutral + ion) == pytest.approx(1)


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory):
    pytest.importorskip("pysme", reason="needs the extra specnb[grid]")
    from specnb.lte.synthesis import Synthesizer

    folder = tmp_path_factory.mktemp("sources")
    linelists.fetch(folder)
    return Synthesizer(folder)


# Band oscillator strength and largest J of each list. CH A–X: Larsson & Siegbahn 1983, J. Chem. Phys. 79, 2270; CN
# B–X: Langhoff & Bauschlicher 1989, Astrophys. J. 340, 620; C2 d–a: Langhoff et al. 1990, J. Chem. Phys. 92, 3000; MgH
# A–X: Henneker & Popkie 1971, J. Chem. Phys. 54, 1763.
BANDS = {"CH": (0.0052, 35), "CN": (0.034, 105), "C2": (0.030, 105), "MgH": (0.161, 45)}


@pytest.mark.slow
@pytest.mark.parametrize("molecule", BANDS)
def test_no_molecular_line_is_stronger_than_its_system_allows(synthesizer, molecule):
    """Sum rule: the lines that leave a level of weight 2J + 1 share the band's f (2J + 1)."""
    f, largest = BANDS[molecule]
    table = synthesizer.lines.table
    strongest = table.gflog[table.kind == molecule].max()
    assert np.log10(f) < strongest < np.log10(f * (2 * largest + 1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_atmosphere_is_in_its_units(synthesizer):
    """10**log of the network's output: solar photosphere near 5777 K and 1e5 dyn/cm² at optical depth about 1."""
    mass, temperature, pressure, _ = synthesizer.atmosphere(5777.0, 4.44, 0.0, 0.0).T
    layer = np.argmin(abs(temperature - 6300))
    assert 1e5 < pressure[layer] < 2.5e5
    assert 2 < mass[layer] < 8
    assert np.allclose(pressure / mass, 10**4.44, rtol=0.3)  # hydrostatic: P = g m
    enhanced = synthesizer.atmosphere(
        4500.0, 1.5, -0.5, 0.4
    )  # the network ignores labels that it does not know
    assert not np.allclose(
        enhanced[:, 1], synthesizer.atmosphere(4500.0, 1.5, -0.5, 0.0)[:, 1], rtol=5e-3
    )
    with pytest.raises(ValueError, match="outside the range of the model atmospheres"):
        synthesizer.atmosphere(60000.0, 4.0, 0.0, 0.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_hydrogen_lines_are_no_boxes(synthesizer):
    """The column mass of this star's atmosphere is not monotonic; taken as it is, Hα is black over 60 Å."""
    y = 6457.39, 3.00139, -2.26729, 0.0  # of [α/M] = 0
    assert (np.diff(synthesizer.atmosphere(*y)[:, 0]) > 0).all()
    wave, flux, _ = synthesizer(*y, 1.50255, window=(6450, 6650))
    assert flux.min() > 0.1
    assert flux[abs(wave - 6545).argmin()] > 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [0, 3, -1])
def test_stars_of_the_grid_are_recomputed(synthesizer, row):
    """Three stars of the grid in a 60 Å window, to 1e-3 RMS."""
    from specnb.lte.synthesis import wavelengths

    path = Path(__file__).parents[2] / "lte_grid"
    if not design.parts(path):
        pytest.skip("no grid yet")
    grid = grid_files.read(path)
    wave, flux, _ = synthesizer(
        *map(float, grid.labels[row]), float(grid.vmic[row]), window=(5205, 5330)
    )
    whole = np.ones(len(wavelengths()))
    first = np.searchsorted(wavelengths(), wave[0] - 1e-6)
    whole[first : first + len(flux)] = flux
    again = design.smooth(design.bins(whole), design.vacuum_wavelengths())
    inside = (10**FINE_LOGLAM > 5240) & (10**FINE_LOGLAM < 5300)
    assert np.sqrt(np.mean((again - grid.flux[row])[inside] ** 2)) < 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_bare_segment_is_continuum(synthesizer, monkeypatch):
    """SME refuses a segment without lines, which metal-poor stars can have: it must come out as 1."""
    monkeypatch.setattr(
        synthesizer.lines, "keep", lambda *_: np.zeros(len(synthesizer.lines.table), dtype=bool)
    )
    _, flux, continuum = synthesizer(4300.0, 0.8, -2.5, -0.1, 2.2, window=(7005, 7205))
    assert np.abs(flux - 1).mean() < 1e-3
    assert (continuum > 0).all()
