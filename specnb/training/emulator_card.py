"""Train the emulator that ships, judge it on left-out stars, and write its model card."""

from pathlib import Path
from time import monotonic

import numpy as np

from specnb import metrics, storage
from specnb.grid import WAVE
from specnb.training import grid_files
from specnb.world import emulator

GRID = Path(__file__).parents[2] / "lte_grid" / "first.npz"
"""The packed grid that the emulator is trained on: LTE spectra at R = 10,000 (:mod:`specnb.lte.design`); in a clone."""

REGIONS = [(4251, 4500), (4500, 5000), (5000, 5500), (5500, 6500), (6500, 8751)]
"""Wavelength regions of the card, Å."""

TEFF_BINS, M_H_BINS = (4300, 5000, 5700, 6350, 7000), (-2.5, -1.5, -0.75, 0.0, 0.5)

COMPONENTS = 128
"""Size of the emulator's linear basis."""


def left_out(index):
    """Stars that judge and never train: an eighth of those that fill the domain, drawn by design index alone.

    Not every n-th star: a Sobol design puts each residue of 8 into one corner of the label space. Always in training
    are the corners (design indices from 200,000), because an emulator must not extrapolate, and the stars that were
    added where it erred most (from 400,000): a judge there would count that region twice.
    """
    return ~_added(index) & np.array(
        [np.random.default_rng(int(i)).random() < 1 / 8 for i in index]
    )


def _added(index):
    """Stars of the grid that do not fill the domain evenly but stand where they were wanted."""
    return np.isin(np.asarray(index) // 100_000, (2, 4))


def by_region():
    """Masks (3136,) of the wavelength regions of the card, by name."""
    return {f"{a}-{b}": (a <= WAVE) & (b > WAVE) for a, b in REGIONS}


def rms(r, axis=None):
    """Root mean square of residuals."""
    return np.sqrt(np.mean(np.square(r, dtype="f8"), axis=axis))


def summary(each):
    """The card's headline from the RMS of every star, (n,)."""
    value, *interval = metrics.bootstrap(rms, each)
    return {
        "stars": len(each),
        "rms": value,
        "rms_interval": interval,
        "median": float(np.median(each)),
        "worst": float(each.max()),
        "share_within_1.5e-3": float((each <= 1.5e-3).mean()),
    }


def scores(labels, r):
    """The card's numbers from labels (n, 4) and native residuals (n, 3136)."""
    each = rms(r, axis=1)
    cells = {}
    for low, high in zip(TEFF_BINS, TEFF_BINS[1:], strict=False):
        for poor, rich in zip(M_H_BINS, M_H_BINS[1:], strict=False):
            inside = (
                (labels[:, 0] >= low)
                & (labels[:, 0] < high)
                & (labels[:, 2] >= poor)
                & (labels[:, 2] < rich)
            )
            if inside.any():
                cells[f"teff {low}-{high}, m_h {poor:+.2f}..{rich:+.2f}"] = {
                    "stars": int(inside.sum()), "rms": float(rms(r[inside]))}  # fmt: skip
    giant = (labels[:, 0] < 5000) & (labels[:, 1] < 2.9)
    return {
        **summary(each),
        "worst_labels": [round(float(v), 3) for v in labels[each.argmax()]],
        "cool_giants": {
            "stars": int(giant.sum()),
            "rms": float(rms(r[giant])) if giant.any() else None,
        },
        "by_wavelength": {name: float(rms(r[:, inside])) for name, inside in by_region().items()},
        "by_labels": cells,
        "each": [
            [round(float(v), 4) for v in y] + [float(e)] for y, e in zip(labels, each, strict=True)
        ],
    }


def learning_curve(grid, judge, components, seed):
    """RMS on the stars that judge after training on a quarter, a half and three quarters of the others."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(~judge))
    curve = {}
    for share in (0.25, 0.5, 0.75):
        few = rows[: int(share * len(rows))]
        model = emulator.fit(
            grid.labels[few],
            grid.flux[few],
            grid.resolution,
            min(components, len(few) // 2),
            seed=seed,
        )
        each = rms(emulator.residuals(model, grid.labels[judge], grid.flux[judge]), axis=1)
        curve[str(len(few))] = {"rms": float(rms(each)), "median": float(np.median(each))}
    return curve


def cross_validated(grid, judge, components, seed, folds=5):
    """Scores over the training stars that fill the domain, each judged by a model that has not seen its fold.

    More stars than the left-out ones and so a better look at the rare bad ones; sizes were chosen by it.
    """
    fold = np.random.default_rng(seed).integers(0, folds, len(judge))
    fold[judge | _added(grid.index)] = folds
    each = np.zeros(len(judge))
    for i in range(folds):
        rows, out = ~judge & (fold != i), fold == i
        model = emulator.fit(
            grid.labels[rows], grid.flux[rows], grid.resolution, components, seed=seed
        )
        each[out] = rms(emulator.residuals(model, grid.labels[out], grid.flux[out]), axis=1)
    return summary(each[fold < folds])


def train(path, output, seed=0, curve=False, **said):
    """Train on a grid into ``output``: emulator.safetensors, .json and .md; returns the card's path.

    ``curve`` adds a learning curve and a cross-validation, at six times the cost; ``said`` goes to
    :func:`specnb.training.grid_files.read`: labels, medium, resolution, where the file does not say them.
    """
    start, made = monotonic(), storage.provenance("cpu", seed)
    grid = grid_files.read(path, **said)
    judge = left_out(grid.index)
    if grid.resolution <= 1800:
        raise ValueError(
            f"grid {str(path)!r} has R = {grid.resolution:.0f}; the native spectra need more than 1800"
        )
    if len(judge) < 64:
        raise ValueError(
            f"grid {str(path)!r} has {len(judge)} stars; an emulator needs at least 64, better 500"
        )
    components = min(COMPONENTS, (~judge).sum() // 2)  # a small grid cannot carry more
    model = emulator.fit(
        grid.labels[~judge], grid.flux[~judge], grid.resolution, components, seed=seed
    )
    numbers = {
        "grid": Path(path).name,
        "resolution": grid.resolution,
        "training_stars": int((~judge).sum()),
        "cool_giants": int(((grid.labels[:, 0] < 5000) & (grid.labels[:, 1] < 2.9)).sum()),
        "validation": scores(
            grid.labels[judge], emulator.residuals(model, grid.labels[judge], grid.flux[judge])
        ),
    }
    if curve:
        numbers["learning_curve"] = learning_curve(grid, judge, components, seed)
        numbers["cross_validation"] = cross_validated(
            grid, judge, min(components, (~judge).sum() // 3), seed
        )
    output = Path(output)
    storage.write_tensors(output / "emulator.safetensors", model.state_dict())
    path = storage.write(output / "emulator.json", numbers, made, monotonic() - start)
    card = output / "emulator.md"
    storage.write_bytes(card, render(storage.read(path)).encode())
    return card


def render(numbers):
    """The model card as Markdown."""
    made, score = numbers["provenance"], numbers["validation"]
    rows = [f"| {name} Å | {value:.2e} |" for name, value in score["by_wavelength"].items()]
    cells = [
        f"| {name} | {cell['stars']} | {cell['rms']:.2e} |"
        for name, cell in score["by_labels"].items()
    ]
    curve = [
        f"| {n} | {v['rms']:.2e} | {v['median']:.2e} |"
        for n, v in numbers.get("learning_curve", {}).items()
    ]
    curve += [f"| {numbers['training_stars']} | {score['rms']:.2e} | {score['median']:.2e} |"]
    giants, cross = score["cool_giants"], numbers.get("cross_validation")

    def headline(found):
        low, high = found["rms_interval"]
        return (
            f"RMS {found['rms']:.2e} [{low:.2e}, {high:.2e}], median star {found['median']:.2e}, "
            f"{found['share_within_1.5e-3']:.1%} of stars within 1.5e-3, worst {found['worst']:.2e}"
        )

    said = (
        [f"- five-fold cross-validation of {cross['stars']} training stars: {headline(cross)}"]
        if cross
        else []
    )
    return "\n".join([
        "# Emulator of LTE spectra", "",
        f"Labels (teff, logg, m_h, alpha_m) → normalised flux at R = {numbers['resolution']:,.0f} on 16,151 points. "
        f"Trained on {numbers['training_stars']} stars of {numbers['grid']}, judged on {score['stars']} stars that "
        "were left out (an eighth of those that fill the domain, by design index), at R = 1800 in native pixels.", "",
        f"- {headline(score)} at teff, logg, m_h, alpha_m = {score['worst_labels']}",
        *said,
        "- cool giants (teff < 5000, logg < 2.9): "
        + (
            f"{numbers['cool_giants']} in the grid, {giants['stars']} left out"
            + (f", RMS {giants['rms']:.2e}" if giants["stars"] else "")
            if numbers["cool_giants"]
            else "none in the grid, so there the emulator extrapolates and its error is not known"
        ),
        f"- {made['date'][:10]}, seed {made['seed']}, {made['device']}, {made['wall_s']} s, commit {made['commit']}",
        "", "| training stars | RMS | median star |", "|---|---|---|", *curve,
        "", "| wavelength | RMS |", "|---|---|", *rows,
        "", "| labels | stars | RMS |", "|---|---|---|", *cells, "",
        "What the spectra of the grid leave out, the emulator leaves out. Rotation, radial velocity and line-spread "
        "function are not learnt but applied afterwards.", "",
    ])  # fmt: skip
