"""How good labels and their errors are on anyone's stars: against known labels, and visit against visit.

A *pull* is a difference over its stated error; its robust width about zero, 1.4826 times the median of its size, is 1
where errors are right. Pairs of visits test the error of a visit; known labels test that of the star. Intervals are
95 %, a bootstrap over stars, and none is given for fewer than five.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table

from specnb import metrics
from specnb.labels.sky_fit import fit_sky
from specnb.metrics import Interval
from specnb.observed import Observed
from specnb.training import known_stars
from specnb.world import prior
from specnb.world.instrument import Instrument
from specnb.world.sky import of_instrument

KNOWN = {"teff": "teff", "logg": "logg", "m_h": "feh"}
"""Label → column of a table that may know it."""

SNR_BINS = ((0.0, 15.0), (15.0, 30.0), (30.0, 50.0), (50.0, 100.0), (100.0, np.inf))

LEAST = 5
"""Stars, or pairs, without which nothing is said."""

PER_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True)
class Row:
    """A line of the report: what was compared, of how many, and for each label intervals by name."""

    name: str
    number: int
    labels: dict[str, dict[str, Interval]]


def width(pull: np.ndarray, stars: np.ndarray | None = None) -> Interval:
    """Compute the robust width of pulls (n,) about zero; ``stars`` (n,) says which are of the same star."""
    of_star = (
        [pull[stars == one] for one in np.unique(stars)] if stars is not None else pull[:, None]
    )

    def statistic(chosen: np.ndarray) -> float:
        values = np.concatenate([of_star[int(i)] for i in chosen])
        return PER_NORMAL * float(np.median(np.abs(values)))

    return metrics.bootstrap(statistic, np.arange(len(of_star)))


def against_known(name: str, stars: Table, found: np.ndarray, errors: np.ndarray) -> Row:
    """Compare labels (n, 6) and errors of stars with what is known: bias, scatter, pull."""
    labels = {}
    for i, label in enumerate(prior.LABELS):
        if KNOWN.get(label) not in stars.colnames or len(stars) < LEAST:
            continue
        truth = np.asarray(stars[KNOWN[label]], "f8")
        labels[label] = {
            "bias": metrics.bias(found[:, i], truth),
            "scatter": metrics.scatter(found[:, i], truth),
            "pull": width((found[:, i] - truth) / errors[:, i]),
        }
    return Row(name, len(stars), labels)


def between_visits(name: str, groups: np.ndarray, found: np.ndarray, errors: np.ndarray) -> Row:
    """Compare visits of the same star, (n,) names: scatter of one visit, and pull, over all pairs of visits."""
    pairs = [
        pair
        for group in np.unique(groups)
        for pair in combinations(np.flatnonzero(groups == group), 2)
    ]
    stars = groups[[one for one, _ in pairs]]
    if len(np.unique(stars)) < LEAST:
        return Row(name, len(pairs), {})
    one, other = np.array(pairs).T
    away = found[one] - found[other]
    pull = away / np.hypot(errors[one], errors[other])
    labels = {
        label: {
            "scatter": width(away[:, i] / np.sqrt(2), stars),
            "pull": width(pull[:, i], stars),
        }
        for i, label in enumerate(prior.LABELS)
    }
    return Row(name, len(pairs), labels)


def validate(path: Path | str, instrument: Instrument) -> list[Row]:
    """Fit the stars of a table and compare.

    Parameters
    ----------
    path : path
        As of :func:`specnb.training.known_stars.load`; labels may be missing where stars were visited again.
    instrument : Instrument

    Returns
    -------
    list of Row
        Against known labels: all, by kind of star, dwarfs and giants by S/N. Visits: all, by S/N of the fainter.

    Raises
    ------
    ValueError
        What the table lacks.
    """
    stars = known_stars.load(path, halves=False, labelled=False)
    flux, ivar = (torch.tensor(np.asarray(stars[k], "f4")) for k in ("flux", "ivar"))
    start = torch.tensor(np.asarray(stars["start"], "f8"))
    fit = fit_sky(of_instrument(instrument), Observed(flux, ivar), start)
    found, star, visit = (x.numpy() for x in (fit.labels, fit.star_err, fit.visit_err))
    snr, groups = np.asarray(stars["snr"]), known_stars.names(stars)
    rows = []
    if set(KNOWN.values()) <= set(stars.colnames):
        everything = [("all", np.ones(len(stars), bool))]
        kinds = known_stars.by_kind(stars) + known_stars.by_kind_and_snr(stars, SNR_BINS)
        for name, some in everything + kinds:
            rows.append(against_known(name, stars[some], found[some], star[some]))
    rows.append(between_visits("pairs of visits", groups, found, visit))
    for name, some in known_stars.by_snr(snr, SNR_BINS):
        row = between_visits(f"pairs of visits, {name}", groups[some], found[some], visit[some])
        rows.append(row)
    return [row for row in rows if row.labels]


def table(rows: list[Row]) -> Table:
    """Tabulate a report: a line a row and label, with intervals as text."""
    digits = {"teff": 0, "rv": 1, "vsini": 1}
    lines: list[dict[str, Any]] = []
    for row in rows:
        for label, found in row.labels.items():
            line: dict[str, Any] = {"stars": row.name, "number": row.number, "label": label}
            for what in ("bias", "scatter", "pull"):
                show = 2 if what == "pull" else digits.get(label, 3)
                line[what] = _shown(found[what], show) if what in found else ""
            lines.append(line)
    return Table(rows=lines, names=["stars", "number", "label", "bias", "scatter", "pull"])


def _shown(x: Interval, digits: int) -> str:
    return f"{x.value:.{digits}f} [{x.low:.{digits}f}, {x.high:.{digits}f}]"
