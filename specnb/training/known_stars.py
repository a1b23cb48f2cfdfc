"""Real stars of known labels, on the native grid: what the models are compared with, and what a correction learns from.

A table says which: columns ``file`` (beside the table), ``teff``, ``logg``, ``feh``; ``name``, if stars come more than
once (``desig`` or ``GroupID`` in LAMOST's tables); and what files do not say themselves: ``medium``, ``resolution``, or
``fwhm`` in Å where that is what is constant, and ``snr`` where files have no errors. Halves are drawn by name, so that
two visits of a star are never on both sides.
"""

import hashlib
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.table import Row, Table
from numpy.typing import ArrayLike
from specutils import Spectrum

from specnb.grid import N_PIXELS
from specnb.observing import native, readers
from specnb.observing.arrays import add_errors
from specnb.observing.flags import TRAINED
from specnb.observing.normalise import normalise
from specnb.world import prior
from specnb.world.operators import velocity_shift

NAMES = ("name", "desig", "GroupID", "file")
"""Columns that may say which spectra are of the same star; the first that is there."""

GIANT = 3.5
"""log g below which a star is called a giant."""

TYPES = {
    "F dwarfs": lambda t: (t["teff"] >= 6000) & (t["logg"] > GIANT) & (t["feh"] > -1),
    "G dwarfs": lambda t: (
        (t["teff"] < 6000) & (t["teff"] >= 5300) & (t["logg"] > GIANT) & (t["feh"] > -1)
    ),
    "K dwarfs": lambda t: (t["teff"] < 5300) & (t["logg"] > GIANT) & (t["feh"] > -1),
    "giants": lambda t: (t["logg"] <= GIANT) & (t["feh"] > -1),
    "metal-poor": lambda t: t["feh"] <= -1,
}
"""Name of a kind of star → which rows of a table are of it."""

NEEDED = {"file", "teff", "logg", "feh"}

HALF = 5
"""Least number of stars of a half."""


def _spectrum(folder: Path, row: Row) -> tuple[Spectrum, str | None, float | None]:
    """Read a star: its spectrum, medium and resolving power as far as the table says them."""
    spectrum = readers.read(folder / str(row["file"]))
    said = {k: row[k] for k in ("medium", "resolution", "fwhm", "snr") if k in row.colnames}
    if spectrum.uncertainty is None and "snr" in said:
        add_errors(spectrum, float(said["snr"]))
    medium = str(said["medium"]) if "medium" in said else None
    if "fwhm" not in said:
        return spectrum, medium, float(said["resolution"]) if "resolution" in said else None
    power = spectrum.spectral_axis.to_value(u.AA, u.spectral()) / float(said["fwhm"])
    # what varies along a spectrum is smoothed, pixel by pixel
    spectrum.meta |= {"resolving_power": power, "resolution": max(TRAINED[1] + 1, power.mean())}
    return spectrum, medium, None


def by_snr(snr: np.ndarray, bins: tuple[tuple[float, float], ...]) -> list[tuple[str, np.ndarray]]:
    """List bins of S/N, each with its name and which of n stars are in it."""
    return [
        (
            f"S/N {low:.0f} to {high:.0f}" if np.isfinite(high) else f"S/N above {low:.0f}",
            (snr >= low) & (snr < high),
        )
        for low, high in bins
    ]


def by_kind(stars: Table) -> list[tuple[str, np.ndarray]]:
    """List ``TYPES``, each with its name and which of the stars are of it."""
    return [(name, np.asarray(choose(stars))) for name, choose in TYPES.items()]


def by_kind_and_snr(
    stars: Table, bins: tuple[tuple[float, float], ...]
) -> list[tuple[str, np.ndarray]]:
    """List dwarfs and giants by S/N, each with its name and which of the stars are of it."""
    giant = np.asarray(stars["logg"]) <= GIANT
    in_bins = by_snr(np.asarray(stars["snr"]), bins)
    kinds = (("dwarfs", ~giant), ("giants", giant))
    return [(f"{kind}, {name}", some & of) for kind, of in kinds for name, some in in_bins]


def _table(folder: Path) -> Path:
    """Find the table of a folder: labels.csv, or index.csv where labels are not known."""
    index = folder / "index.csv"
    return (
        index
        if index.is_file() and not (folder / "labels.csv").is_file()
        else folder / "labels.csv"
    )


def names(stars: Table) -> np.ndarray:
    """Return what says which spectra are of the same star, (n,) of str."""
    column = next(k for k in NAMES if k in stars.colnames)
    return np.array(
        [Path(str(name)).name for name in stars[column]]
    )  # of a file without its folder


def load(
    path: Path | str, snr_min: float = 0.0, halves: bool = True, labelled: bool = True
) -> Table:
    """Read stars inside the emulator's domain.

    Parameters
    ----------
    path : path
        A folder with ``labels.csv`` (or ``index.csv``), or a table of this kind.
    snr_min : float
        Least median S/N.
    halves : bool
        Refuse tables of which a half has fewer than five stars.
    labelled : bool
        Refuse tables that do not know labels; else all of their stars are read.

    Returns
    -------
    astropy.table.Table
        The rows that are left, with flux and ivar, normalised, of the files' errors (n, 3136); ``start``, the labels of
        a first fit (n, 6); ``snr``; and ``judge``, True in the half that nothing is learnt from.

    Raises
    ------
    ValueError
        What is missing, and where.
    """
    path = Path(path)
    path = _table(path) if path.is_dir() else path
    table = Table.read(path, format="csv")
    missing = NEEDED - set(table.colnames)
    if "file" in missing or (missing and labelled):
        raise ValueError(f"{path.name} in {str(path.parent)!r} lacks {sorted(missing)}")
    if not missing:
        table = table[prior.inside(table["teff"], table["logg"], table["feh"])]
    if not len(table):
        raise ValueError(f"{str(path)!r} has no star inside the emulator's domain")
    prepared = [native.prepare(*_spectrum(path.parent, row)) for row in table]
    flux, ivar = (np.stack([getattr(p, k) for p in prepared]) for k in ("flux", "ivar"))
    found = normalise(flux, ivar, inflate=False)
    table["flux"], table["ivar"], table["start"] = found.flux, found.ivar, found.labels
    snr = [np.median(np.sqrt(w[w > 0])) if (w > 0).mean() > 0.5 else 0.0 for w in found.ivar]
    table["snr"] = snr  # after the telluric bands are masked
    table["judge"] = [hashlib.sha256(n.encode()).digest()[0] % 2 == 1 for n in names(table)]
    table = table[table["snr"] > snr_min]
    if halves and not HALF <= table["judge"].sum() <= len(table) - HALF:
        raise ValueError(
            f"{str(path)!r} has {len(table)} stars of S/N above {snr_min:.0f} inside the emulator's domain; "
            "two halves of five are the least"
        )
    return table


def at_rest(rows: np.ndarray, rv: ArrayLike) -> np.ndarray:
    """Shift rows (n, 3136) to rest from radial velocities (n,) km/s by whole pixels; NaN where nothing is left.

    Interpolation would average noise away that a known error still counts.
    """
    out = np.full_like(rows, np.nan)
    shift = velocity_shift(torch.tensor(np.asarray(rv, "f8"))).round().int().tolist()
    for row, new, k in zip(rows, out, shift, strict=True):
        new[max(0, -k) : N_PIXELS - max(0, k)] = row[max(0, k) : N_PIXELS - max(0, -k)]
    return out
