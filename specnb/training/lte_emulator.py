"""Train the emulator of LTE spectra that ships and judge it on stars that were left out."""

from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from specnb import metrics, storage
from specnb.grid import WAVE
from specnb.training import cards, grid_files
from specnb.training.emulator_fit import fit
from specnb.world import emulator, prior

GRID = Path(__file__).parents[2] / "lte_grid" / "first.npz"
"""The packed grid that the emulator is trained on: LTE spectra at R = 10,000 (:mod:`specnb.lte.design`); in a clone."""

REGIONS = [(4251, 4500), (4500, 5000), (5000, 5500), (5500, 6500), (6500, 8751)]
"""Wavelength regions of the card, Å."""

TEFF_BINS, M_H_BINS = (4300, 5000, 5700, 6350, 7000), (-2.5, -1.5, -0.75, 0.0, 0.5)

COMPONENTS = 128
"""Size of the emulator's linear basis."""


def shipped_grid() -> Path:
    """Find the grid that lies in a clone.

    Raises
    ------
    ValueError
        If the package is installed without one around it.
    """
    if not GRID.is_file():
        raise ValueError(
            "the training grid is not part of the installed package: give --grid FILE, or work in "
            "a clone of the repository, where it is lte_grid/first.npz"
        )
    return GRID


def left_out(index: ArrayLike) -> np.ndarray:
    """Choose the stars that judge and never train: an eighth of those that fill the domain, by design index alone.

    Not every n-th star: a Sobol design puts each residue of 8 into one corner of the label space. Always in training
    are the corners (design indices from 200,000), because an emulator must not extrapolate, and the stars that were
    added where it erred most (from 400,000): a judge there would count that region twice.
    """
    return ~_added(index) & np.array(
        [np.random.default_rng(int(i)).random() < 1 / 8 for i in np.asarray(index)]
    )


def _added(index: ArrayLike) -> np.ndarray:
    """Find the stars of the grid that do not fill the domain evenly but stand where they were wanted."""
    return np.isin(np.asarray(index) // 100_000, (2, 4))


def by_region() -> dict[str, np.ndarray]:
    """Make masks (3136,) of the wavelength regions of the card, by name."""
    return {f"{a}-{b}": (a <= WAVE) & (b > WAVE) for a, b in REGIONS}


def inputs(grid: grid_files.Grid) -> np.ndarray:
    """Take what an emulator learns from: labels (n, 4), or (n, 5) where microturbulence varies by itself."""
    if grid.vmic is None:
        return grid.labels
    away = grid.vmic - prior.microturbulence(grid.labels[:, 1])
    return np.c_[grid.labels, away] if np.abs(away).max() > 1e-3 else grid.labels


def rms(r: ArrayLike, axis: int | None = None) -> Any:
    """Take the root mean square of residuals."""
    return np.sqrt(np.mean(np.square(r, dtype="f8"), axis=axis))


def summary(each: np.ndarray) -> dict[str, Any]:
    """Summarise the RMS of every star, (n,), as the card's headline."""
    value, *interval = metrics.bootstrap(rms, each)
    return {
        "stars": len(each),
        "rms": value,
        "rms_interval": interval,
        "median": float(np.median(each)),
        "worst": float(each.max()),
        "share_within_1.5e-3": float((each <= 1.5e-3).mean()),
    }


def scores(labels: np.ndarray, r: np.ndarray) -> dict[str, Any]:
    """Compute the card's numbers from labels (n, 4) and native residuals (n, 3136)."""
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
    giant = _cool_giant(labels)
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


def _cool_giant(labels: np.ndarray) -> np.ndarray:
    """Find the stars that are hardest to emulate."""
    return (labels[:, 0] < 5000) & (labels[:, 1] < 2.9)


def learning_curve(
    grid: grid_files.Grid, judge: np.ndarray, components: int, seed: int
) -> dict[str, dict[str, float]]:
    """Train on a quarter, a half and three quarters of the stars, and score those that judge."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(~judge))
    curve = {}
    for share in (0.25, 0.5, 0.75):
        few = rows[: int(share * len(rows))]
        model = fit(
            inputs(grid)[few],
            grid.flux[few],
            grid.resolution,
            min(components, len(few) // 2),
            seed=seed,
        )
        each = rms(emulator.residuals(model, inputs(grid)[judge], grid.flux[judge]), axis=1)
        curve[str(len(few))] = {"rms": float(rms(each)), "median": float(np.median(each))}
    return curve


def cross_validated(
    grid: grid_files.Grid, judge: np.ndarray, components: int, seed: int, folds: int = 5
) -> dict[str, Any]:
    """Score the training stars that fill the domain, each by a model that has not seen its fold.

    More stars than the left-out ones and so a better look at the rare bad ones; sizes were chosen by it.
    """
    fold = np.random.default_rng(seed).integers(0, folds, len(judge))
    fold[judge | _added(grid.index)] = folds
    each = np.zeros(len(judge))
    for i in range(folds):
        rows, out = ~judge & (fold != i), fold == i
        model = fit(inputs(grid)[rows], grid.flux[rows], grid.resolution, components, seed=seed)
        each[out] = rms(emulator.residuals(model, inputs(grid)[out], grid.flux[out]), axis=1)
    return summary(each[fold < folds])


def train(
    path: str | Path, output: str | Path, seed: int = 0, curve: bool = False, **said: Any
) -> Path:
    """Train on a grid and write emulator.safetensors, .json and .md.

    Parameters
    ----------
    path : path
        The grid, in any layout of :func:`specnb.training.grid_files.read`.
    output : path
        A folder.
    seed : int
    curve : bool
        Add a learning curve and a cross-validation, at six times the cost.
    **said
        Goes to :func:`specnb.training.grid_files.read`: ``labels``, ``medium``, ``resolution``,
        where the file does not say them.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    ValueError
        If the grid is too coarse or has fewer than 64 stars.
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
    model = fit(inputs(grid)[~judge], grid.flux[~judge], grid.resolution, components, seed=seed)
    numbers: dict[str, Any] = {
        "grid": Path(path).name,
        "resolution": grid.resolution,
        "training_stars": int((~judge).sum()),
        "cool_giants": int(_cool_giant(grid.labels).sum()),
        "validation": scores(
            grid.labels[judge], emulator.residuals(model, inputs(grid)[judge], grid.flux[judge])
        ),
    }
    if curve:
        numbers["learning_curve"] = learning_curve(grid, judge, components, seed)
        numbers["cross_validation"] = cross_validated(
            grid, judge, min(components, (~judge).sum() // 3), seed
        )
    folder = Path(output)
    storage.write_tensors(folder / "emulator.safetensors", model.state_dict())
    written = storage.write(folder / "emulator.json", numbers, made, monotonic() - start)
    return cards.write(written, cards.emulator(storage.read(written)))
