"""The calibration of line strengths, on a made-up spectrum with a closed form."""

import numpy as np
import pandas as pd
import pytest

from specnb.lte import calibrate, linelists
from specnb.training.grid_files import broadened


def lines(rows):
    """A table of lines from (species, wavelength, excitation, strength)."""
    table = pd.DataFrame(rows, columns=["species", "wlcent", "excit", "gflog"])
    return table.assign(
        kind=np.where(table.species == "CN 1", "CN", "atom"), gamvw=-7.5, base=table.gflog
    )


def spectrum(table, gf):
    """exp(−τ), Gaussians of τ: lines saturate as those of a star do."""
    wave, tau = calibrate.lattice(), 0.0
    for centre, strength in zip(table.wlcent, gf, strict=True):
        tau = tau + 0.3 * 10**strength * np.exp(-0.5 * ((wave - centre) / 0.04) ** 2)
    return np.exp(-tau)


def test_components_of_a_line_share_a_correction_and_groups_are_sparse():
    rows = [("Mn 1", 5000.00, 2.0, -0.5), ("Mn 1", 5000.06, 2.0, -0.5), ("Fe 1", 5000.03, 2.0, 0.0)]
    rows += [("Fe 1", 5100.0 + 2.0 * k, 3.0, 0.5) for k in range(40)] + [
        ("CN 1", 6000.0, 1.0, -2.0)
    ]
    rows += [("Fe 1", 5101.0 + 2.0 * k, 4.0, -2.0) for k in range(3)]  # too weak to be fitted
    table = lines(rows)
    found = calibrate.parameters(table, table.gflog.to_numpy())
    assert (
        len(found) == 40 + 1 + 1
    )  # of the blend one parameter is left: a group of one is not worth a synthesis
    assert all(0 in x for x in found.lines if 1 in x)
    for _, members in found[found.kind == "gf"].groupby("group"):
        apart = np.diff(np.sort(members.wave))
        assert apart.min() > 0.6


def test_steps_find_the_strengths_and_leave_the_unseen_alone():
    rng = np.random.default_rng(0)
    waves = np.arange(4300.0, 6800.0, 7.0)
    rows = [
        ("Fe 1", w, 3.0, s) for w, s in zip(waves, rng.uniform(-0.9, 0.8, len(waves)), strict=True)
    ]
    rows += [("Fe 1", w + 0.2, 2.0, -0.5) for w in waves[::10]]  # blends
    table = lines(rows)
    found = calibrate.parameters(table, table.gflog.to_numpy())
    truth = np.clip(rng.normal(0, 0.15, len(table)), -0.3, 0.3)
    fwhm, blind = 1 / 40_000, abs(calibrate.lattice() - 5000) < 60
    flux = broadened(spectrum(table, table.gflog + truth), fwhm, calibrate.STEP)
    good = ~blind

    def model(p):
        return spectrum(table, calibrate.changed(table, found, p)[0])

    base = model(np.zeros(len(found)))
    size = found.kind.map(calibrate.CHANGE)
    groups = {g: model(size * (found.group == g)) for g in found.group.unique()}
    j = calibrate.jacobian(found, base, groups, fwhm)
    p = np.zeros(len(found))
    for _ in range(4):
        now = broadened(model(p), fwhm, calibrate.STEP)
        weight = calibrate.weights(flux - now, now, good)
        p = calibrate.step(j, flux - now, weight, p, found)
    want = np.array([truth[x[0]] for x in found.lines])
    dark = blind[np.searchsorted(calibrate.lattice(), found.wave)]
    strong = (found.strength > 0).to_numpy() & ~dark
    assert np.abs(p - want)[strong].max() < 0.06
    assert np.abs(p[dark]).max() < 0.02
    assert np.std((p - want)[~dark]) < 0.5 * np.std(want[~dark])


def test_a_wider_line():
    """σ.α of Barklem's theory: the cross-section grows, the exponent of the velocity stays; Unsöld's stays."""
    wide = linelists.wider(np.array([729.238, -7.5, 0.0]), 0.1)
    assert wide == pytest.approx([918.238, -7.4, 0.0], abs=1e-6)


def test_corrections_reach_their_lines_and_no_others(tmp_path):
    table = lines(
        [("Fe 1", 5000.0, 2.0, -1.0), ("Fe 1", 5000.0, 3.0, -1.0), ("CN 1", 6000.0, 1.0, -2.0)]
    )
    found = pd.DataFrame(
        [("gf", np.array([0])), ("vdw", np.array([0])), ("molecule", np.array([2]))],
        columns=["kind", "lines"],
    )
    calibrate.write(table, found, np.array([0.2, 0.1, -0.05]), tmp_path / "c.csv")
    after = linelists.corrected(table, tmp_path / "c.csv")
    assert after.gflog.tolist() == pytest.approx([-0.8, -1.0, -2.0])
    assert after.gamvw.tolist() == pytest.approx([-7.4, -7.5, -7.5])
    assert linelists.corrected(table, None) is table


def test_the_corrections_that_ship_are_within_their_limits():
    table = pd.read_csv(linelists.CORRECTIONS)
    assert table.d_gf.abs().max() <= calibrate.LARGEST["gf"]
    assert table.d_vdw.abs().max() <= calibrate.LARGEST["vdw"]
    assert not table.duplicated(["species", "wlcent", "excit"]).any()
    assert linelists.CORRECTIONS.stat().st_size < 300_000
