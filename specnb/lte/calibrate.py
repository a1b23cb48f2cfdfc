r"""Line strengths calibrated on the Sun: astrophysical log gf and damping (optional extra ``specnb[grid]``).

Laboratory and computed log gf are uncertain by 0.1 to 0.3 dex for most lines, which is several per cent of flux in a
line of middling strength. The Sun's labels are known, so its spectrum says what the line needs. With the observed
spectrum s, the synthetic one m(p) and the corrections p (dex) of log gf and of the van der Waals width,

.. math:: \min_p \sum_i \frac{(s_i / c_i - m_i(p))^2}{\sigma_i^2} + \sum_k \frac{p_k^2}{\sigma_k^2}, \qquad
          m(p + \delta) \approx m(p) + J \delta,

c a smooth spline (the observed continuum), weights robust (Huber), is solved by Gauss-Newton steps. A line changes the
spectrum near itself only, so one synthesis with every line of a *group* of distant lines changed gives the columns of J
of all of them; blended lines are in different groups and share a feature by their columns and by the prior, which holds
a line that the Sun says little about at its listed value. Components of one line (hyperfine structure, isotopes) share
one correction. All lines of a molecule do, too, but only so that atoms need not make up for it: molecules keep their
lists' values (the Sun wants 0.17 dex more of CN, a giant does not). MARCS took solar gf for 2,224 lines by eye, most of
them lower than listed (Gustafsson et al. 2008, A&A 486, 951), as here; Martins et al. 2014 (arXiv:1405.1055) fit many
blended lines at once, by a random search instead of the linear response.

What LTE and one dimension get wrong in the Sun ends up in the corrections; they are astrophysical. Cores of strong
lines, telluric bands and the detector's gap are left out.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from specnb.lte.linelists import CORRECTIONS, LOW, log_ion_fraction, wider
from specnb.lte.synthesis import BOLTZMANN, LOG_STEP, Synthesizer
from specnb.training.grid_files import broadened
from specnb.world.prior import microturbulence

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

SUN = (5772.0, 4.44, 0.0, 0.0)
"""teff, logg, m_h, alpha_m."""

TOP = 6865.0
"""Last wavelength of the observed spectrum that is used, Å in air: O₂ follows."""

MASKED = ((5880, 5900), (5912, 5950), (6275, 6330), (6465, 6500), (6515, 6530))
"""Telluric bands of water and oxygen, and the sodium doublet, Å in air."""

RESOLUTION = 40_000.0
"""Both spectra are compared at this resolving power."""

STEP = 2 * LOG_STEP
"""Step of ln λ of the comparison."""

KNOT = 0.035
"""Distance of two knots of the continuum's spline in ln λ: 150 native pixels."""

WEAKEST, WIDE = -1.0, 2.0
"""Least strength of the lines whose log gf is fitted (about 2.5 % deep in the Sun), and whose damping is."""

SMALLEST = 12
"""Parameters that are worth a synthesis of their own."""

PRIOR = {"gf": 0.15, "vdw": 0.10, "molecule": 0.10}
LARGEST = {"gf": 0.60, "vdw": 0.30, "molecule": 0.20}
CHANGE = {"gf": 0.05, "vdw": 0.05, "molecule": 0.05}
SIGMA, CORE = 0.012, 0.3
"""Error of a pixel of the model (it is the model's, not the photons'); flux below which a pixel weighs little."""


def lattice() -> np.ndarray:
    """Make the wavelengths of the comparison, Å in air, (m,)."""
    return np.exp(np.arange(np.log(LOW), np.log(TOP), STEP))


def observed(path: Path | str, velocity: float = 0.23) -> tuple[np.ndarray, np.ndarray]:
    """Read a FITS spectrum (linear wavelengths, Å in air) onto :func:`lattice`: flux, and which pixels are good.

    ``velocity`` (km/s) is what the HARPS spectrum of Ganymede needs against the synthetic one.
    """
    from astropy.io import fits

    with fits.open(path) as file:
        flux, h = file[0].data.astype("f8"), file[0].header
    wave = h["CRVAL1"] + h["CDELT1"] * (np.arange(len(flux)) + 1 - h["CRPIX1"])
    at = lattice() * (1 + velocity / 299_792.458)
    good = np.interp(at, wave, (flux > 0).astype(float)) > 0.999
    good &= broadened((~good).astype(float), 1e-3, STEP) < 1e-3  # near the gap too
    for low, high in MASKED:
        good &= ~((at > low) & (at < high))
    level = np.interp(at, at[good], np.interp(at, wave, flux)[good])
    return level, good


def normalised(
    flux: np.ndarray, model: np.ndarray, good: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Divide the observed flux by the spline that takes it to the model; all arguments (m,) on :func:`lattice`."""
    from scipy.interpolate import make_lsq_spline

    x = np.log(lattice())
    inner = np.linspace(x[0], x[-1], int((x[-1] - x[0]) / KNOT) + 1)[1:-1]
    knots = np.r_[[x[0]] * 4, inner, [x[-1]] * 4]
    w = np.where(good, weight, 1e-6) * np.clip(model, 0.05, None)
    return flux / make_lsq_spline(x, flux / np.clip(model, 0.05, None), knots, w=w)(x)


def strengths(
    synthesizer: Synthesizer, labels: tuple[float, float, float, float] = SUN
) -> np.ndarray:
    """Compute the strength of every line of the table in a star, as :class:`specnb.lte.linelists.Lines` defines it."""
    n, t = synthesizer.lines.table, 0.87 * labels[0]
    _, temperature, _, electrons = synthesizer.atmosphere(*labels).T
    pressure = np.interp(t, temperature, np.log10(BOLTZMANN * temperature * electrons))
    ion = log_ion_fraction(t, pressure, synthesizer.lines.energy, n.ionization)
    return (n.base - 5040 / t * n.excit + ion).to_numpy()


def parameters(table: pd.DataFrame, strength: np.ndarray) -> pd.DataFrame:
    """List what is fitted: a table with kind, wavelength, reach (Å), group of the synthesis, and the lines' rows.

    Components of one species and excitation within 0.15 Å of each other are one parameter.
    """
    atom = table[(table.kind == "atom").to_numpy() & (table.wlcent < TOP + 2).to_numpy()]
    atom = atom.assign(strength=strength[atom.index], level=atom.excit.round(2))
    atom = atom.sort_values(["species", "level", "wlcent"])
    apart = (atom.wlcent.diff().abs() > 0.15) | (atom.species != atom.species.shift())
    apart |= atom.level != atom.level.shift()
    rows = []
    for _, lines in atom.groupby(apart.cumsum()):
        total = np.log10((10**lines.strength).sum())
        if total > WEAKEST:
            weight = 10**lines.strength
            centre = float((lines.wlcent * weight).sum() / weight.sum())
            reach = float(np.interp(total, [0, 1, 2, 3], [0.3, 0.45, 0.9, 1.8]))
            rows.append(("gf", centre, reach, total, lines.index.to_numpy()))
            if total > WIDE and lines.gamvw.ne(0).all():
                rows.append(("vdw", centre, 2.5, total, lines.index.to_numpy()))
    found = pd.DataFrame(rows, columns=["kind", "wave", "reach", "strength", "lines"])
    found["group"] = -1
    first = 0
    for kind in ("gf", "vdw"):
        chosen = found[found.kind == kind].sort_values("strength", ascending=False)
        groups: list[list[tuple[float, float]]] = []
        for k, wave, reach in zip(chosen.index, chosen.wave, chosen.reach, strict=True):
            free = (
                g
                for g, members in enumerate(groups)
                if all(abs(wave - w) > reach + r for w, r in members)
            )
            number = next(free, len(groups))
            if number == len(groups):
                groups.append([])
            groups[number].append((wave, reach))
            found.loc[k, "group"] = first + number
        first += len(groups)
    found = found[
        found.groupby("group").wave.transform("size") >= SMALLEST
    ]  # not a synthesis for a handful of lines
    found["group"] = found.group.rank(method="dense").astype(int) - 1
    found, first = found.reset_index(drop=True), found.group.max() + 1
    for name in sorted(set(table.kind) - {"atom", "H"}):
        lines = table.index[table.kind == name].to_numpy()
        found.loc[len(found)] = ("molecule", 0.5 * (LOW + TOP), np.inf, 99.0, lines, first)
        first += 1
    return found


def changed(
    table: pd.DataFrame, found: pd.DataFrame, p: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns gflog and gamvw of ``table`` with corrections ``p`` (dex) of the parameters ``found``."""
    gf, gamma = table.gflog.to_numpy(copy=True), table.gamvw.to_numpy(copy=True)
    for kind, lines, value in zip(found.kind, found.lines, p, strict=True):
        if kind == "vdw":
            gamma[lines] = wider(gamma[lines], value)
        else:
            gf[lines] += value
    return gf, gamma


_worker: dict[str, Any] = {}


def _start(sources, corrections):
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")
    _worker["synthesizer"] = Synthesizer(sources, corrections=corrections)


def _spectrum(columns, finer):
    synthesizer = _worker["synthesizer"]
    synthesizer.lines.table["gflog"], synthesizer.lines.table["gamvw"] = columns
    wave, flux, _ = synthesizer(*SUN, microturbulence(SUN[1]), window=(LOW, TOP + 5), finer=finer)
    return np.interp(lattice(), wave, flux)


def jacobian(
    found: pd.DataFrame, base: np.ndarray, changed_spectra: dict[int, np.ndarray], fwhm: float
) -> "csc_matrix":
    """Compute the sparse J at the comparison's resolution from the spectra with each group changed.

    Parameters
    ----------
    found : pandas.DataFrame
        From :func:`parameters`.
    base : numpy.ndarray
        Spectrum without corrections on :func:`lattice`, (m,).
    changed_spectra : dict
        Group → spectrum with its parameters changed by ``CHANGE``, (m,).
    fwhm : float
        1/R to broaden by.

    Returns
    -------
    scipy.sparse.csc_matrix
        Flux for one dex, shape (m, number of parameters).
    """
    from scipy.sparse import csc_matrix

    wave, columns, rows, values = lattice(), [], [], []
    by_group = {g: broadened(s - base, fwhm, STEP) for g, s in changed_spectra.items()}
    for k, (kind, centre, reach, group) in enumerate(
        zip(found.kind, found.wave, found.reach, found.group, strict=True)
    ):
        a, b = np.searchsorted(wave, [centre - reach, centre + reach])
        rows.append(np.arange(a, b))
        columns.append(np.full(b - a, k))
        values.append(by_group[group][a:b] / CHANGE[kind])
    shape = (len(wave), len(found))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return csc_matrix(entries, shape=shape)


def step(
    j: "csc_matrix", residual: np.ndarray, weight: np.ndarray, p: np.ndarray, found: pd.DataFrame
) -> np.ndarray:
    """Take a Gauss-Newton step: the corrections that follow from residual = observed − model at ``p``, clipped."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import spsolve

    prior = found.kind.map(PRIOR).to_numpy() ** -2.0
    weighted = j.T @ diags(weight)
    delta = spsolve((weighted @ j + diags(prior)).tocsc(), weighted @ residual - prior * p)
    limit = found.kind.map(LARGEST).to_numpy()
    return np.clip(p + delta, -limit, limit)


def weights(residual: np.ndarray, model: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Weight pixels by 1/σ², less for outliers (Huber) and cores, (m,)."""
    sigma = np.where(model < CORE, 5 * SIGMA, SIGMA)
    huber = 1 / np.maximum(np.abs(residual) / (2 * sigma), 1)
    return np.where(good, huber / sigma**2 / 3, 0.0)  # three points to a resolution element


def calibrate(
    sources: Path | str,
    sun: Path | str,
    path: Path | str = CORRECTIONS,
    workers: int = 2,
    iterations: int = 4,
    progress: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Fit the corrections to the Sun and write them to ``path``, a table with one row a line.

    Parameters
    ----------
    sources : path
        Line lists (:func:`specnb.lte.linelists.fetch`).
    sun : path
        The solar spectrum, for example HARPS of Ganymede, R = 115,000 (ESO; see :func:`observed`).
    path : path
        Where the table goes.
    workers, iterations : int
        Processes; Gauss-Newton steps.
    progress : callable
        Told of every step.

    Returns
    -------
    pandas.DataFrame
        species, wlcent, excit, d_gf, d_vdw (dex), one row a line.
    """
    synthesizer = Synthesizer(sources, corrections=None)
    table = synthesizer.lines.table
    found = parameters(table, strengths(synthesizer))
    flux, good = observed(sun)
    observed_resolution = 115_000.0
    own = np.sqrt(RESOLUTION**-2 - observed_resolution**-2)
    flux = broadened(flux, own, STEP)
    good = broadened((~good).astype(float), 1 / RESOLUTION, STEP) < 0.01
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (sources, None)) as pool:
        p = np.zeros(len(found))
        progress(f"{len(found)} parameters in {found.group.max() + 1} groups")

        def submit(p, finer):
            return pool.submit(_spectrum, changed(table, found, p), finer)

        exact, coarse = submit(p, 1), submit(p, 0.5)
        size = found.kind.map(CHANGE).to_numpy()
        jobs = {
            int(g): submit(size * (found.group == g), 0.5) for g in range(found.group.max() + 1)
        }
        raw = exact.result()
        fwhm = broadening(raw, flux, good)
        progress(f"the Sun's lines are as wide as R = {1 / fwhm:.0f} at R = {RESOLUTION:.0f}")
        j = jacobian(found, coarse.result(), {g: job.result() for g, job in jobs.items()}, fwhm)
        for _ in range(iterations):
            model = broadened(raw, fwhm, STEP)
            weight = np.ones(len(model))
            for _ in range(3):
                level = normalised(flux, model, good, np.sqrt(weight))
                weight = weights(level - model, model, good)
            rms = np.sqrt(np.mean((level - model)[good] ** 2))
            progress(
                f"RMS {rms:.4f}, weighted {np.sqrt(np.average((level - model) ** 2, weights=weight)):.4f}"
            )
            p = step(j, level - model, weight, p, found)
            raw = submit(p, 1).result()
        model = broadened(raw, fwhm, STEP)
        rms = np.sqrt(np.mean((normalised(flux, model, good, np.sqrt(weight)) - model)[good] ** 2))
        progress(f"RMS {rms:.4f}")
    return write(table, found, p, path)


def broadening(raw: np.ndarray, flux: np.ndarray, good: np.ndarray) -> float:
    """Find the FWHM in ln λ that takes the synthetic spectrum to the observed one.

    Instrument, macroturbulence and rotation together; all arguments (m,) on :func:`lattice`.
    """
    from scipy.optimize import minimize_scalar

    inside = good & (lattice() > 6000) & (lattice() < 6250)

    def misfit(fwhm):
        model = broadened(raw, fwhm, STEP)
        return np.mean(((normalised(flux, model, good, np.ones(len(model))) - model)[inside]) ** 2)

    return minimize_scalar(misfit, bounds=(0.8 / RESOLUTION, 2 / RESOLUTION), method="bounded").x


def write(
    table: pd.DataFrame, found: pd.DataFrame, p: np.ndarray, path: Path | str
) -> pd.DataFrame:
    """Write corrections as a table with one row a line; molecules and what is below 0.01 dex are left out."""
    d = pd.DataFrame(0.0, index=table.index, columns=["d_gf", "d_vdw"])
    for kind, lines, value in zip(found.kind, found.lines, p, strict=True):
        if kind != "molecule":
            d.loc[lines, "d_vdw" if kind == "vdw" else "d_gf"] = value
    out = table[["species", "wlcent", "excit"]].join(d)[(d.abs() >= 0.01).any(axis=1)]
    out = out.round({"wlcent": 3, "excit": 3, "d_gf": 2, "d_vdw": 2})
    out = out.drop_duplicates(["species", "wlcent", "excit"])
    out.to_csv(Path(path), index=False)
    return out
