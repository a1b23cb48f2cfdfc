"""Judge a correction on stars that it was not learnt from, and write it with its numbers and card.

Every number is of the judging halves, with labels free in the fits as they are for a user's star.
"""

from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from astropy.table import Table, vstack

from specnb import metrics, storage
from specnb.grid import WAVE
from specnb.training import cards, known_stars
from specnb.training import correction as learning
from specnb.training.correction import Source
from specnb.world import fit, prior
from specnb.world.correction import Components
from specnb.world.emulator import Emulator, load_emulator

LABELS = ("teff", "logg", "feh")

SNR_BINS = ((15.0, 30.0), (30.0, 50.0), (50.0, 100.0), (100.0, np.inf))

BRIGHT = 100.0
"""Least S/N of stars in which the model's own misfit is seen."""

SHOWN = {"before": "none", "after": "mean and components"}
"""Which judgements' stacks are kept."""

LEAST = 5
"""Stars without which no interval is printed."""


def _interval(statistic, values: np.ndarray, truth: np.ndarray | float = 0.0) -> list[float] | None:
    if len(values) < LEAST:
        return None
    return list(statistic(values, np.broadcast_to(truth, np.shape(values))))


def _median(values: np.ndarray) -> list[float] | None:
    return list(metrics.bootstrap(np.median, values)) if len(values) >= LEAST else None


def against_labels(stars: Table, found: np.ndarray) -> dict[str, Any]:
    """Compare labels of fits, (n, 6), with known ones: bias and scatter of each, with intervals, and how many stars."""
    numbers: dict[str, Any] = {"stars": len(stars)}
    for i, name in enumerate(LABELS):
        truth = np.asarray(stars[name], "f8")
        numbers[name] = {
            "bias": _interval(metrics.bias, found[:, i], truth),
            "scatter": _interval(metrics.scatter, found[:, i], truth),
        }
    return numbers


def _by_group(
    stars: Table, found: np.ndarray, groups: list[tuple[str, np.ndarray]]
) -> dict[str, Any]:
    return {name: against_labels(stars[rows], found[rows]) for name, rows in groups}


def stacks(stars: Table, residual: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the median residual of each kind of star, of at least five, (3136,); 0 where fewer are seen."""
    curves = {}
    for name, of_kind in known_stars.by_kind(stars):
        rows = residual[of_kind]
        if len(rows) >= LEAST:
            enough = np.isfinite(rows).sum(0) >= LEAST
            curves[name] = np.zeros(rows.shape[1])
            curves[name][enough] = np.nanmedian(rows[:, enough], 0)
    return curves


def worst_lines(stack: np.ndarray, n: int = 12, apart: int = 8) -> list[list[float]]:
    """List wavelengths (Å) and values where a stacked residual is furthest from 0, ``apart`` pixels between them."""
    left, found = np.abs(np.nan_to_num(stack)), []
    for _ in range(n):
        i = int(left.argmax())
        found.append([round(float(WAVE[i]), 1), round(float(stack[i]), 4)])
        left[max(0, i - apart) : i + apart + 1] = 0
    return found


def judge(
    judged: dict[str, Source],
    anchors: dict[str, Source],
    emulator: Emulator,
    components: Components | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fit the judging halves, and stars of no half, with a model.

    Parameters
    ----------
    judged, anchors : dict
        Name → stars: of which medians are taken; of which each is looked at.
    emulator : Emulator
    components : Components, optional

    Returns
    -------
    numbers : dict
        Source → numbers.
    curves : dict
        Kind of star or anchor of a source → median residual in the rest frame, (3136,).
    """
    numbers: dict[str, Any] = {}
    curves: dict[str, np.ndarray] = {}
    for name, source in (judged | anchors).items():
        world = learning.world(source, emulator, components=components)
        fitted = learning.fitted(world, source, source.start, weight=fit.LIKELIEST)
        if name in anchors:
            numbers[name] = dict(zip(prior.LABELS, fitted.labels.T[:4].tolist(), strict=False))
            curves[name] = np.nan_to_num(fitted.residual[0])
            continue
        bright = np.asarray(source.stars["snr"]) > BRIGHT
        of_kind = stacks(source.stars[bright], fitted.residual[bright])
        curves |= {f"{name}: {kind}": curve for kind, curve in of_kind.items()}
        numbers[name] = {
            "bright_stars": int(bright.sum()),
            "misfit": _median(fitted.misfit()[bright]),
            "stack_rms": {k: float(np.sqrt((v[v != 0] ** 2).mean())) for k, v in of_kind.items()},
            "worst_lines": {k: worst_lines(v) for k, v in of_kind.items()},
            "by_kind": _by_group(source.stars, fitted.labels, known_stars.by_kind(source.stars)),
            "by_snr": _by_group(
                source.stars, fitted.labels, known_stars.by_kind_and_snr(source.stars, SNR_BINS)
            ),
        }
    return numbers, curves


def write(surveys: list[Path], libraries: list[Path], sun: Path, folder: Path | str) -> Path:
    """Learn a correction on one half of the stars, judge it on the other, and write both.

    Parameters
    ----------
    surveys, libraries : list of path
        As :func:`specnb.training.known_stars.load` takes them.
    sun : path
        The same, of one star.
    folder : path
        Gets correction.npz, .json and .md, and correction_stacks.npz.

    Returns
    -------
    Path
        The card.
    """
    start, made = monotonic(), storage.provenance("cpu", 0)
    stars = [known_stars.load(path) for path in surveys]
    sources = {"survey": learning.survey(vstack(stars, metadata_conflicts="silent"))}
    sources |= {Path(p).stem: learning.library(known_stars.load(p)) for p in libraries}
    anchors = {"sun": learning.sun(known_stars.load(sun, halves=False))}
    halves = {
        name: source[~np.asarray(source.stars["judge"]) & (source.stars["snr"] > learning.SNR_MIN)]
        for name, source in sources.items()
    }
    judged = {name: source[np.asarray(source.stars["judge"])] for name, source in sources.items()}
    learnt_from = [*halves.values(), *anchors.values()]
    constant, mean = learning.learn_mean(learnt_from, 1), learning.learn_mean(learnt_from)
    components = learning.learn_components(list(halves.values()), mean)
    plain = load_emulator("cpu")
    with_constant, with_mean = (plain.corrected(torch.as_tensor(x)) for x in (constant, mean))
    variants = {
        "none": (plain, None),
        "constant": (with_constant, None),
        "mean": (with_mean, None),
        "mean and components": (with_mean, Components(torch.as_tensor(components))),
    }
    judgements = {name: judge(judged, anchors, *model) for name, model in variants.items()}
    numbers = {
        "stars": {
            name: {"learnt from": len(half.stars), "judging": len(judged[name].stars)}
            for name, half in halves.items()
        },
        "shift": learning.SHIFT,
        "size_of_components": np.sqrt((components**2).mean(1)).tolist(),
        "judging": {name: found for name, (found, _) in judgements.items()},
    }
    folder = Path(folder)
    learnt = {"mean": mean, "components": components}
    storage.write_arrays(folder / "correction.npz", {k: v.astype("f4") for k, v in learnt.items()})
    both = {
        f"{when}, {k}": v.astype("f2")
        for when, name in SHOWN.items()
        for k, v in judgements[name][1].items()
    }
    storage.write_arrays(folder / "correction_stacks.npz", both)
    written = storage.write(folder / "correction.json", numbers, made, monotonic() - start)
    return cards.write(written, card(storage.read(written)))


def _shown(interval: list[float] | None, digits: int) -> str:
    if interval is None:
        return "fewer than 5 stars"
    value, low, high = (f"{x:.{digits}f}" for x in interval)
    return f"{value} [{low}, {high}]"


def _labels(rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    digits = {"teff": 0, "logg": 2, "feh": 3}
    return [
        (
            name,
            v["stars"],
            *(_shown(v[k]["bias"], d) for k, d in digits.items()),
            *(_shown(v[k]["scatter"], d) for k, d in digits.items()),
        )
        for name, v in rows.items()
        if v["stars"] >= LEAST
    ]


HEADER = (
    "",
    "stars",
    *(f"{what} of {k}" for what in ("bias", "scatter") for k in ("Teff, K", "log g", "[M/H]")),
)


def card(numbers: dict[str, Any]) -> cards.Card:
    """Make the card of a correction from its numbers."""
    judging, last = numbers["judging"], "mean and components"
    sun = judging[last]["sun"]
    points = [
        "; ".join(
            f"{name}: learnt from {v['learnt from']} stars, judged on {v['judging']}"
            for name, v in numbers["stars"].items()
        ),
        "the Sun, which the mean was learnt from, too: "
        + ", ".join(f"{label} {values[0]:.4g}" for label, values in sun.items()),
        cards.origin(numbers),
    ]
    sources = list(numbers["stars"])
    misfit = [
        (
            source,
            variant,
            model[source]["bright_stars"],
            _shown([100 * x for x in model[source]["misfit"]], 2),
            ", ".join(f"{k} {100 * v:.2f}" for k, v in model[source]["stack_rms"].items()),
        )
        for source in sources
        for variant, model in judging.items()
        if model[source]["misfit"]
    ]
    tables = [
        cards.Table(
            ("stars", "correction", "bright stars", "misfit, %", "stacks, rms in %"),
            misfit,
            "What the model leaves of stars of S/N above 100, noise taken away (median star), and "
            "the root mean square of the median residual by kind of star:",
        )
    ]
    for source in sources:
        for variant in ("none", "mean", last):
            rows = judging[variant][source]
            tables.append(
                cards.Table(
                    HEADER,
                    _labels(rows["by_kind"] | rows["by_snr"]),
                    f"{source}, fits minus known labels, correction: {variant}:",
                )
            )
    return cards.Card(
        "Correction of the model by real stars",
        "What real stars have beside the model's spectra: a mean that follows temperature, gravity "
        "and the strength of lines, and components that differ from star to star. Every number "
        "is of stars that nothing was learnt from, at their most likely labels, all of them free.",
        points,
        tables,
        "It knows no cause. Smooth structure is not in it, because the continuum is free; nor "
        "what a survey's labels have wrong where nothing else is known: below [M/H] = −1, below "
        "4700 K in dwarfs.",
    )
