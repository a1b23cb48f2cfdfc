"""Model cards: what was trained, on what, and how good it is, as Markdown. One renderer for all of them.

Everything a card says comes from the numbers in the JSON file beside the weights, so that a card can be written again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specnb import storage
from specnb.world import prior

Numbers = Mapping[str, Any]
"""What :func:`specnb.storage.read` returns of the JSON file of a model."""


@dataclass(frozen=True)
class Table:
    """A table of a card.

    Attributes
    ----------
    header : tuple of str
    rows : list of tuple
        As many cells as the header has; anything that prints.
    caption : str
        A line above it, or nothing.
    """

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    caption: str = ""

    def lines(self) -> Iterable[str]:
        """Return the lines of Markdown, an empty one first."""
        if self.caption:
            yield from ("", self.caption)
        yield from ("", _row(self.header), "|" + "---|" * len(self.header))
        yield from map(_row, self.rows)


@dataclass(frozen=True)
class Card:
    """A model card, in the order in which it is read.

    Attributes
    ----------
    title, about : str
        Heading, and a paragraph on what the model is and what it was trained on.
    points : list of str
        Where it comes from and its headline numbers.
    tables : list of Table
    note : str
        A last paragraph, or nothing.
    """

    title: str
    about: str
    points: list[str]
    tables: list[Table]
    note: str = ""

    def markdown(self) -> str:
        """Render the card."""
        lines = [f"# {self.title}", "", self.about, "", *(f"- {point}" for point in self.points)]
        for table in self.tables:
            lines += table.lines()
        if self.note:
            lines += ["", self.note]
        return "\n".join([*lines, ""])


def write(numbers: Path, card: Card) -> Path:
    """Write a card beside the JSON file of its numbers."""
    path = numbers.with_suffix(".md")
    storage.write_bytes(path, card.markdown().encode())
    return path


def _row(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def origin(numbers: Numbers) -> str:
    """Date, seed, device, wall time and commit of a run."""
    made = numbers["provenance"]
    return (
        f"{made['date'][:10]}, seed {made['seed']}, {made['device']}, {made['wall_s']} s, "
        f"commit {made['commit']}"
    )


def _stream(numbers: Numbers) -> str:
    """What a network was trained on, and how long."""
    return (
        f"S/N 5 to 2000, R = 1800, 1 % bad pixels; {numbers['parameters']:,} parameters, "
        f"profile `{numbers['profile']}`, {numbers['steps']:,} steps, "
        f"{numbers['stars_seen']:,} simulated stars, each seen once."
    )


def _by_snr(values: Mapping[str, float]) -> str:
    """Join values whose keys end with a signal-to-noise ratio: ``rho_20``."""
    return ", ".join(f"{value:.2f} (S/N {key.split('_')[1]})" for key, value in values.items())


MEASURES = {"mse": "MSE", "wmse": "wMSE", "wmae": "wMAE"}
"""Improvements that a denoiser's card may show, and their headings; early models have the first two."""


def denoiser(name: str, numbers: Numbers, n_test: int) -> Card:
    """Make the card of a denoiser, judged on ``n_test`` stars a noise level."""
    levels = numbers["test"]
    shown = [kind for kind in MEASURES if all(kind in scores for scores in levels.values())]

    def cell(score: tuple[float, float, float]) -> str:
        value, low, high = np.multiply(score, 100)
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"

    points = [origin(numbers)]
    if "rho" in numbers:
        stars = "ρ on the validation stars of `specnb.training.yardstick`"
        points.append(f"{stars}: {_by_snr(numbers['rho'])}")
    points.append(f"judged in half precision on {n_test} test stars a level, one pass")
    improvements = Table(
        ("level λ", *(MEASURES[kind] for kind in shown)),
        [(level, *(cell(scores[kind]) for kind in shown)) for level, scores in levels.items()],
        "Improvement over the observation in % (95 % interval, bootstrap over spectra):",
    )
    about = f"E[x | y] at a given noise map; trained on LAMOST-like maps, {_stream(numbers)}"
    return Card(f"Denoiser `{name}`", about, points, [improvements])


def flow(numbers: Numbers, n_test: int) -> Card:
    """Make the card of the flow over labels, judged on ``n_test`` stars a signal-to-noise ratio."""

    def cell(score: Mapping[str, Any]) -> str:
        return f"{score['68'][0]:.2f}, {score['95'][0]:.2f}"

    return Card(
        "Flow over labels",
        "p(θ | y) of six labels; looks through the denoiser `bounded`. LAMOST-like noise maps, "
        + _stream(numbers),
        [
            origin(numbers),
            "mean -ln q on validation stars, in normal coordinates: " + _by_snr(numbers["nll"]),
            f"coverage of 68 and 95 % intervals on {n_test} test stars a row (± 0.04), "
            "half precision",
        ],
        [
            Table(
                ("S/N", *prior.LABELS),
                [
                    (snr, *(cell(scores[name]) for name in prior.LABELS))
                    for snr, scores in numbers["test"].items()
                ],
            )
        ],
    )


def _headline(score: Numbers) -> str:
    """Error of an emulator over all stars that judge it."""
    low, high = score["rms_interval"]
    return (
        f"RMS {score['rms']:.2e} [{low:.2e}, {high:.2e}], median star {score['median']:.2e}, "
        f"{score['share_within_1.5e-3']:.1%} of stars within 1.5e-3, worst {score['worst']:.2e}"
    )


def _cool_giants(numbers: Numbers) -> str:
    """Error of an emulator where it is hardest."""
    region, judged = "cool giants (teff < 5000, logg < 2.9)", numbers["validation"]["cool_giants"]
    if not numbers["cool_giants"]:
        return (
            f"{region}: none in the grid, so there the emulator extrapolates "
            "and its error is not known"
        )
    found = f"{region}: {numbers['cool_giants']} in the grid, {judged['stars']} left out"
    return found + (f", RMS {judged['rms']:.2e}" if judged["stars"] else "")


def emulator(numbers: Numbers) -> Card:
    """Make the card of an emulator of spectra."""
    score, cross = numbers["validation"], numbers.get("cross_validation")
    points = [f"{_headline(score)} at teff, logg, m_h, alpha_m = {score['worst_labels']}"]
    if cross:
        stars = f"five-fold cross-validation of {cross['stars']} training stars"
        points.append(f"{stars}: {_headline(cross)}")
    points += [_cool_giants(numbers), origin(numbers)]
    curve = {**numbers.get("learning_curve", {}), str(numbers["training_stars"]): score}
    return Card(
        "Emulator of LTE spectra",
        f"Labels (teff, logg, m_h, alpha_m) → normalised flux at R = {numbers['resolution']:,.0f} "
        f"on 16,151 points. Trained on {numbers['training_stars']} stars of {numbers['grid']}, "
        f"judged on {score['stars']} stars that were left out (an eighth of those that fill the "
        "domain, by design index), at R = 1800 in native pixels.",
        points,
        [
            Table(
                ("training stars", "RMS", "median star"),
                [(n, f"{v['rms']:.2e}", f"{v['median']:.2e}") for n, v in curve.items()],
            ),
            Table(
                ("wavelength", "RMS"),
                [(f"{name} Å", f"{rms:.2e}") for name, rms in score["by_wavelength"].items()],
            ),
            Table(
                ("labels", "stars", "RMS"),
                [(k, v["stars"], f"{v['rms']:.2e}") for k, v in score["by_labels"].items()],
            ),
        ],
        "What the spectra of the grid leave out, the emulator leaves out. Rotation, radial "
        "velocity and line-spread function are not learnt but applied afterwards.",
    )
