"""Three tests on the sky: labels against a survey's, spectra degraded by noise, and pairs of visits.

The last two need no truth. Where no real spectra are at hand, :func:`mock_survey` writes files of simulated stars.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from specnb import metrics
from specnb.denoising.denoise import denoise
from specnb.experiments import estimators
from specnb.experiments.parameters import columns
from specnb.experiments.results import Error, Record
from specnb.grid import WAVE
from specnb.labels.inference import infer
from specnb.metrics import Interval
from specnb.observing import native, products, readers, survey_files
from specnb.world import prior
from specnb.world.simulate import simulate

SURVEY = ("teff", "logg", "feh")
"""Columns of a survey's labels."""

NEEDED = ("file", "desig", *SURVEY)
"""Columns of labels.csv."""

NEEDED_OF_PAIRS = ("file", "subclass", "GroupID")
"""Columns of index.csv."""

PLACES = ("../real/lamost", "../real/pairs")
"""Where a clone keeps real spectra, seen from its notebooks: the only folders that may be missing."""

BINS = {"all": (0, np.inf), "S/N < 30": (0, 30), "30 to 70": (30, 70), "70 and more": (70, np.inf)}
"""Bins of S/N, the upper edge belongs to the next."""

HOT = 7300.0
"""Teff in K, by the survey, above which a star is certainly outside of the prior."""


@dataclass(frozen=True)
class Agreement(Record):
    """Labels of an estimator against a survey's own."""

    stars: int
    teff: Error
    logg: Error
    m_h: Error


@dataclass(frozen=True)
class Pulls(Record):
    """Differences of two visits over their errors: scatter of each label, and the share within 1."""

    teff: Interval
    logg: Interval
    m_h: Interval
    alpha_m: Interval
    rv: Interval
    vsini: Interval
    within_1_error: Interval


@dataclass(frozen=True)
class YourSpectra(Record):
    """What own.json holds.

    Attributes
    ----------
    real : bool
        Whether the spectra are real, or those of a mock survey.
    stars, pairs : int
        Stars with labels; stars with two visits.
    labels : dict
        Bin of S/N (of ``BINS``) → estimator → :class:`Agreement`, of bins with enough stars.
    degraded : Interval
        MSE improvement of spectra that were degraded to S/N 10.
    repeats : dict
        Whose errors → :class:`Pulls`.
    flagged : dict
        Kind of star → share of spectra with a quality flag.
    """

    real: bool
    stars: int
    labels: dict[str, dict[str, Agreement]]
    degraded: Interval
    pairs: int
    repeats: dict[str, Pulls]
    flagged: dict[str, Interval]


def mock_survey(folder: Path | str, n: int, seed: int = 0) -> None:
    """Write LAMOST files of ``n`` simulated stars, two visits each, with ``labels.csv``; errors in them are 20 % off.

    The files have a response, counts as units, and every star a second visit at another S/N.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    response = 800 * np.exp(-(((np.log(WAVE) - 8.7) / 0.4) ** 2))
    stars, rng, rows = simulate(n, seed), np.random.default_rng(seed), []
    for i in range(n):
        for visit in range(2):
            snr = rng.uniform(20, 80)
            sigma = stars.sigma[i] / np.median(stars.sigma[i]) / snr
            y = stars.flux[i] + sigma * rng.standard_normal(len(WAVE))
            name = f"star{i:03d}-{visit}.fits.gz"
            ivar = np.where(stars.ivar[i] > 0, (1.2 * sigma * response) ** -2, 0)
            survey_files.lamost(folder / name, y * response, ivar)
            labels = (float(stars.labels[k][i]) for k in ("teff", "logg", "m_h"))
            rows.append((name, f"star{i:03d}", *labels, snr))
    Table(rows=rows, names=("file", "desig", *SURVEY, "snrr")).write(
        folder / "labels.csv", overwrite=True
    )


def observe(paths: Iterable[Path | str], inflate: bool = True) -> dict[str, native.Observation]:
    """Read and normalise files: path → observation; unreadable ones are left out."""
    out = {}
    for path in paths:
        try:
            out[str(path)] = native.observe(readers.read(path), inflate=inflate)
        except ValueError:
            continue
    return out


def inside(table: Table) -> np.ndarray:
    """Tell which stars of a survey are inside the prior, by the survey's labels, (n,) bool."""
    return prior.inside(*(np.asarray(table[k], "f8") for k in SURVEY))


def degrade(
    observation: native.Observation, snr: float, seed: int = 0
) -> native.Observation | None:
    """Add noise in the shape of an observation's own errors, down to a median S/N; None if it has no more."""
    good = observation.ivar > 0
    if observation.snr < 1.5 * snr:
        return None
    more = (observation.snr / snr) ** 2  # of the variance
    sigma = np.sqrt((more - 1) / np.where(good, observation.ivar, np.inf))
    noise = sigma * np.random.default_rng(seed).standard_normal(len(WAVE))
    ivar = (observation.ivar / more).astype("f4")
    flux = (observation.flux + noise).astype("f4")
    return replace(observation, flux=flux, ivar=ivar)


def pulls(first: Table, second: Table) -> np.ndarray:
    """Return differences of labels of two visits over their errors, (n, 6), from tables of draws."""
    a, b = columns(first), columns(second)
    return (a.mean(1) - b.mean(1)) / np.sqrt(a.var(1) + b.var(1))


def _lacks(folder: Path, name: str, columns: tuple[str, ...]) -> list[str]:
    """Say what a folder lacks to be a set of spectra with a table."""
    path = folder / name
    if not folder.is_dir():
        return [f"{str(folder)!r} is no folder that is there"]
    if not path.exists():
        return [f"{str(folder)!r} lacks {name} with columns {', '.join(columns)}"]
    try:
        table = Table.read(path)
    except Exception as error:  # whatever a reader of tables says of a foreign file
        return [f"{str(path)!r} is no table: {error}"]
    if missing := [column for column in columns if column not in table.colnames]:
        return [f"{str(path)!r} lacks {', '.join(missing)}; it has {', '.join(table.colnames)}"]
    if not len(table):
        return [f"{str(path)!r} has no rows"]
    gone = [str(file) for file in table["file"] if not (folder / str(file)).exists()]
    some = f"{', '.join(gone[:3])}{' …' if len(gone) > 3 else ''}"
    return [f"{str(folder)!r} lacks {len(gone)} files of {name}: {some}"] if gone else []


def _may_be_missing(folder: Path) -> bool:
    """Tell whether a folder is where a clone would keep real spectra, and is not there."""
    places = {Path(place).parts for place in PLACES}
    return not folder.exists() and folder.parts[-3:] in places


def check(real: Path | str, pairs: Path | str) -> None:
    """Look at the folders of notebook 10 before anything runs.

    Parameters
    ----------
    real, pairs : path
        Folders with ``labels.csv`` and ``index.csv``; those of ``PLACES`` may be missing.

    Raises
    ------
    ValueError
        What they lack, all of it.
    """
    lacks: list[str] = []
    if not _may_be_missing(Path(real)):
        lacks += _lacks(Path(real), "labels.csv", NEEDED)
    if not _may_be_missing(Path(pairs)):
        lacks += _lacks(Path(pairs), "index.csv", NEEDED_OF_PAIRS)
    if lacks:
        raise ValueError("; ".join(lacks))


def survey(real: Path | str, n: int, seed: int) -> tuple[Any, ...]:
    """Open a survey: that of a folder with ``labels.csv``, or a mock survey of ``n`` stars if that of ``PLACES`` lacks.

    Returns
    -------
    folder : pathlib.Path
    table : astropy.table.Table
        Of its ``labels.csv``.
    is_real : bool

    Raises
    ------
    ValueError
        Another folder, and what it lacks.
    """
    folder = Path(real)
    is_real = not _may_be_missing(folder)
    if is_real and (lacks := _lacks(folder, "labels.csv", NEEDED)):
        raise ValueError("; ".join(lacks))
    if not is_real:
        folder = Path(tempfile.mkdtemp())
        mock_survey(folder, n, seed + 11)
    return folder, Table.read(folder / "labels.csv"), is_real


def arrays(observations: Iterable[native.Observation]) -> tuple[np.ndarray, np.ndarray]:
    """Stack flux and ivar of observations, (n, 3136) each."""
    found = list(observations)
    return np.stack([o.flux for o in found]), np.stack([o.ivar for o in found])


def labelled(
    observations: list[native.Observation], n_training: int, seed: int
) -> dict[str, np.ndarray]:
    """Estimate labels of observations: estimator → (n, 6)."""
    y, w = arrays(observations)
    clean = denoise(y, w)
    return {
        "flow": columns(infer(y, w, 256, seed)).mean(1),
        "perceptron, noisy": estimators.estimate(
            estimators.perceptron, estimators.noisy, y, w, n_training
        ),
        "perceptron, denoised": estimators.estimate(
            estimators.perceptron, estimators.denoised, clean, w, n_training
        ),
    }


def agreement(
    found: dict[str, np.ndarray], truth: np.ndarray, snr: np.ndarray, fewest: int
) -> dict[str, dict[str, Agreement]]:
    """Compare labels with a survey's, by bin of S/N.

    Parameters
    ----------
    found : dict
        From :func:`labelled`.
    truth : numpy.ndarray
        Teff, log g, [M/H] by the survey, (n, 3).
    snr : numpy.ndarray
        Shape (n,).
    fewest : int
        Stars that a bin needs.
    """
    out: dict[str, dict] = {}
    for name, (low, high) in BINS.items():
        some = (snr >= low) & (snr < high)
        if some.sum() < fewest:
            continue
        out[name] = {}
        for estimator, x in found.items():
            pairs = [(x[some, k], truth[some, k]) for k in range(len(SURVEY))]
            errors = [Error(metrics.bias(*pair), metrics.scatter(*pair)) for pair in pairs]
            out[name][estimator] = Agreement(int(some.sum()), *errors)
    return out


def degraded(observations: list[native.Observation], snr: float, seed: int) -> Any:
    """Degrade observations to a S/N, denoise, and compare with what they were.

    The noise of the original and what the models cannot explain are in the difference, too; the former is subtracted.

    Returns
    -------
    n : int
        Spectra that were good enough.
    gain : Interval
        MSE improvement.
    """
    before, after = [], []
    for k, high in enumerate(observations):
        low = degrade(high, snr, seed + k)
        if low is None:
            continue
        good = (high.ivar > 0) & (low.ivar > 0)
        back = denoise(low.flux, low.ivar)
        noise = (1 / high.ivar[good]).mean()
        before.append(((low.flux - high.flux)[good] ** 2).mean())
        after.append(max(((back - high.flux)[good] ** 2).mean() - noise, 0))
    pair = np.array(after), np.array(before)
    return len(before), metrics.bootstrap(lambda a, b: 1 - a.sum() / b.sum(), *pair)


def visits(table: Table, folder: Path | str, column: str, n: int) -> list[list[Path]]:
    """Pair files of a table by a column that names the star, ``n`` stars at most; two paths each."""
    by_star = defaultdict(list)
    for row in table:
        by_star[str(row[column])].append(Path(folder) / str(row["file"]))
    return [paths[:2] for paths in by_star.values() if len(paths) > 1][:n]


def find_visits(
    pairs: Path | str, folder: Path, table: Table, is_real: bool, n: int
) -> list[list[Path]]:
    """Find two visits a star: F, G and K stars of a folder with ``index.csv``, or those of the survey itself."""
    if is_real and (Path(pairs) / "index.csv").exists():
        index = Table.read(Path(pairs) / "index.csv")
        usable = [str(row["subclass"])[0] in "FGK" for row in index]
        return visits(index[usable], pairs, "GroupID", n)
    return visits(table, folder, "desig", n)


def repeated(pairs: list[list[Path]], inflate: bool, seed: int) -> tuple[int, Pulls]:
    """Compare the labels of two visits.

    Parameters
    ----------
    pairs : list
        From :func:`find_visits`.
    inflate : bool
        Whether errors are those that the residuals show, or those of the files.

    Returns
    -------
    n : int
        Pairs that could be read.
    pulls : Pulls
    """
    sides = [observe([pair[k] for pair in pairs], inflate) for k in range(2)]
    both = [pair for pair in pairs if all(str(pair[k]) in sides[k] for k in range(2))]
    draws = []
    for k, side in enumerate(sides):
        flux, ivar = arrays([side[str(pair[k])] for pair in both])
        draws.append(infer(flux, ivar, 256, seed))
    found = pulls(*draws)
    by_label = zip(prior.LABELS, found.T, strict=True)
    scatters = {name: metrics.scatter(pull, 0 * pull) for name, pull in by_label}
    # v sin i is left out: it piles up at zero
    within = metrics.bootstrap(np.mean, (np.abs(found[:, :5]) < 1).mean(1))
    return len(both), Pulls(**scatters, within_1_error=within)


def flagged(kinds: dict[str, list[products.Products]]) -> dict[str, Interval]:
    """Return the share of products with a flag that forbids use; of name → products, empty ones left out."""
    return {
        name: metrics.bootstrap(np.mean, np.array([not p.good for p in made], "f8"))
        for name, made in kinds.items()
        if made
    }


def outside(table: Table, folder: Path, n: int, seed: int) -> list[products.Products]:
    """Process stars of a survey that are hotter than ``HOT``; a list of products."""
    hot = table[~inside(table) & (np.asarray(table["teff"], "f8") > HOT)][:n]
    return products.process(list(observe([folder / name for name in hot["file"]]).values()), seed)


def bad_files(good: Path) -> dict[str, str]:
    """Read files that are broken in several ways; name → what the reader says."""
    folder = Path(tempfile.mkdtemp())
    content = Path(good).read_bytes()
    broken = {
        "empty.fits": b"",
        "cut.fits.gz": content[: len(content) // 2],
        "text.fits": b"no spectrum " * 300,
        "table.csv": b"1,2",
    }
    for name, data in broken.items():
        (folder / name).write_bytes(data)
    (folder / "folder.fits").mkdir()
    answers = {}
    for name in (*broken, "folder.fits"):
        try:
            readers.read(folder / name)
        except ValueError as error:
            answers[name] = str(error).replace(f"{folder}/", "")
    return answers
