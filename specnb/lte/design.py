r"""A grid of LTE spectra: which stars, computed in parallel, packed for the emulator (extra ``specnb[grid]``).

The design is a scrambled Sobol sequence in five dimensions: teff = 4300 + 2700 u₁; log g from 0.8 + (teff −
4300)/1000 to 5 by u₂; [M/H] = 0.5 − 3.5 u₃^1.3; [α/M] = −0.1 + 0.6 u₄; vmic within 0.5 km/s of the relation of
:func:`specnb.world.prior.microturbulence` by u₅. Its points with i % 8 = 5 are kept for judges outside of this
project and never computed here. They are one octant, the cool giants, because a Sobol sequence deals its points into
octants in turn; so that octant is filled by a second sequence (numbers from 100,000 on). The corners of the domain
come first (from 200,000 on), because an emulator must not extrapolate; a third sequence (from 300,000 on) adds stars
below 5100 K and a fourth (from 400,000 on) cool dwarfs and cool metal-rich stars, where molecules and strong lines
make an emulator's error three times that of warm stars. All are dealt out in turn, so that any prefix fills the
domain evenly.

Stars are packed into parts that are never written again: each holds the stars that no earlier part has.
"""

import fcntl
import hashlib
import itertools
import logging
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm.auto import tqdm

from specnb.grid import FINE_LOGLAM, FINE_RESOLUTION
from specnb.lte.linelists import (
    CORRECTIONS,
    CUT,
    EXTRAPOLATED_CH,
    ISOTOPES,
    MOLECULES,
    SOURCES,
    STRONGEST_CH,
    verify,
)
from specnb.lte.synthesis import ANGLES, LOG_STEP, Synthesizer, wavelengths
from specnb.training.grid_files import broadened
from specnb.world.prior import ALPHA_M, LOGG_MAX, M_H, TEFF, VMIC, logg_min, microturbulence

Star: TypeAlias = tuple[int, np.ndarray]
"""Number of a star and its labels, (5,)."""

GAP, CORNER, COOL, HARD = 100_000, 200_000, 300_000, 400_000
"""First numbers of the stars that fill the octant left out, of the corners, of more cool stars, of hard ones."""

COOL_TEFF = 5100.0

POOREST = -3.0
"""Least [M/H] of the grid; the prior over stars ends earlier."""

DEALT = (7, 1, 3, 1)
"""Stars of the four sequences in every twelve of the design."""

RECIPE = hashlib.sha256(
    repr(
        (SOURCES, CUT, ISOTOPES, MOLECULES, LOG_STEP, ANGLES, STRONGEST_CH, EXTRAPOLATED_CH, 4)
    ).encode()
    + CORRECTIONS.read_bytes()
).hexdigest()[:12]
"""Mark of the recipe in every file, so that spectra of two recipes are never packed together."""

BIN = 4
"""Points of the synthesis that a star's file keeps as one: 2e-5 in ln λ, five to a native pixel."""

SPARSE = 250
"""Points (of a star's file, of the fine grid) between two of its continuum."""


def sobol(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw points of the design: (n, 5) labels teff, logg, m_h, alpha_m, vmic, and (n, 5) unit coordinates."""
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a prefix whose length is no power of 2 is meant
        u = qmc.Sobol(5, seed=seed).random(n)
    teff = TEFF[0] + (TEFF[1] - TEFF[0]) * u[:, 0]
    low = logg_min(teff)
    logg = low + u[:, 1] * (LOGG_MAX - low)
    m_h = M_H[1] - (M_H[1] - POOREST) * u[:, 2] ** 1.3
    alpha_m = ALPHA_M[0] + (ALPHA_M[1] - ALPHA_M[0]) * u[:, 3]
    return np.stack(
        [teff, logg, m_h, alpha_m, microturbulence(logg) + VMIC * (2 * u[:, 4] - 1)], 1
    ), u


def corners() -> np.ndarray:
    """List the 32 corners of the domain, labels (32, 5), hot dwarfs and cool giants in turn."""
    ends = itertools.product((-VMIC, VMIC), ALPHA_M, (POOREST, M_H[1]), (True, False), TEFF)
    logg = [(t, logg_min(t) if giant else LOGG_MAX, m, a, v) for v, a, m, giant, t in ends]
    return np.array([(t, g, m, a, microturbulence(g) + v) for t, g, m, a, v in logg])


def design(n: int) -> list[Star]:
    """List the first ``n`` stars in the order in which they are computed: (number, labels of shape (5,))."""
    size = 4 * n + 256  # of each sequence; the rarest stars wanted are one point in twenty
    main, _ = sobol(size, seed=7)
    gap, u = sobol(size, seed=11)
    cool, _ = sobol(size, seed=13)
    hard, _ = sobol(size, seed=17)
    rich_or_dwarf = (hard[:, 1] > 4.3) | (hard[:, 2] > 0.25)
    sequences = [
        (0, main, np.arange(size) % 8 != 5),
        (GAP, gap, (u[:, 0] < 0.25) & (u[:, 1] < 0.5)),
        (COOL, cool, cool[:, 0] < COOL_TEFF),
        (HARD, hard, (hard[:, 0] < 4900) & rich_or_dwarf),
    ]
    dealt = [
        [(first + int(i), y[i]) for i in np.flatnonzero(chosen)] for first, y, chosen in sequences
    ]
    rounds = (
        stars[share * k : share * (k + 1)]
        for k in range(n // sum(DEALT) + 1)
        for share, stars in zip(DEALT, dealt, strict=True)
    )
    first = [(CORNER + j, y) for j, y in enumerate(corners())]
    return [*first, *itertools.chain.from_iterable(rounds)][:n]


def parts(path: Path | str) -> list[Path]:
    """List the files of a packed grid: the parts in a folder, or the file itself; none if it does not exist."""
    path = Path(path)
    return (
        sorted(path.glob("part-[0-9]*.npz")) if path.is_dir() else [path] if path.exists() else []
    )


def numbers(path: Path | str) -> set[int]:
    """Read the numbers of the stars in a packed grid of this recipe, a folder of parts or one file."""
    found = set()
    for part in parts(path):
        with np.load(part, allow_pickle=False) as packed:
            _same_recipe(packed, part)
            found |= set(packed["design_index"].tolist())
    return found


def _same_recipe(arrays, path):
    if "recipe" not in arrays or str(arrays["recipe"]) != RECIPE:
        raise ValueError(
            f"{str(path)!r} was computed by another recipe than this builder's ({RECIPE}); keep them apart"
        )


def compute(synthesizer: Callable, number: int, labels: np.ndarray, folder: Path) -> None:
    """Synthesize one star into ``folder/NNNNNN.npz``, or say why not in ``folder/NNNNNN.skipped``."""
    try:
        _, flux, continuum = synthesizer(*labels)
        if not (
            np.isfinite(flux).all()
            and flux.min() > -1e-3
            and flux.max() < 1.5
            and np.mean(flux < 1e-4) < 0.01
        ):
            raise ValueError(
                f"flux from {flux.min():.3g} to {flux.max():.3g}, black in {np.mean(flux < 1e-4):.1%}"
            )
    except (ValueError, RuntimeError) as error:
        (folder / f"{number:06d}.skipped").write_text(f"{np.round(labels, 3).tolist()}: {error}\n")
        return
    temporary = folder / f"{number:06d}.tmp.npz"
    star: dict[str, Any] = {
        "labels": np.asarray(labels),
        "flux": bins(flux).astype("f4"),
        "continuum": bins(continuum)[::SPARSE],
    }
    np.savez(temporary, recipe=RECIPE, **star)
    os.replace(temporary, folder / f"{number:06d}.npz")


def _finished(folder, number):
    return any((folder / f"{number:06d}{end}").exists() for end in (".npz", ".skipped"))


def fill(folder: Path, stars: Iterable[Star], do: Callable[[int, np.ndarray], object]) -> None:
    """Call ``do(number, labels)`` for every star that is neither finished nor being worked on by another process.

    Who works on a star holds a lock on its file, which the system drops when the process ends, however it ends: a kill
    loses the star in hand and nothing else, and no star is computed twice.
    """
    parent = os.getppid()
    for number, labels in stars:
        if os.getppid() != parent:
            return  # the builder was killed: do not outlive it
        if _finished(folder, number):
            continue
        path = folder / f"{number:06d}.lock"
        with open(path, "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not _finished(folder, number):
                do(number, labels)
            path.unlink(missing_ok=True)


def _work(sources, folder, stars):
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")
    synthesizer = Synthesizer(sources)
    fill(folder, stars, lambda number, labels: compute(synthesizer, number, labels, folder))


def build(
    sources: Path | str,
    folder: Path | str,
    n: int,
    workers: int = 1,
    start: Path | str | None = None,
) -> None:
    """Compute the first ``n`` stars of the design; stop and continue at will, from several processes if you like.

    Parameters
    ----------
    sources, folder : path
        Line lists; where the stars go, one ``.npz`` each.
    n : int
        Stars of the design.
    workers : int
        Processes, one core each.
    start : path, optional
        A packed grid (folder of parts or a file) whose stars need not be computed again.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    verify(sources)
    have = numbers(start) if start is not None else set()
    stars = [(i, y) for i, y in design(n) if i not in have]
    os.environ["OMP_NUM_THREADS"] = "1"  # for the workers: a star is one core's work
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_work, args=(sources, folder, stars), daemon=True)
        for _ in range(workers)
    ]
    for process in processes:
        process.start()

    def finished():
        return sum(_finished(folder, i) for i, _ in stars)

    with tqdm(total=len(stars), initial=finished(), desc="stars", unit="star") as bar:
        while any(process.is_alive() for process in processes):
            time.sleep(1)
            bar.update(finished() - bar.n)
    if failed := [p.exitcode for p in processes if p.exitcode]:
        raise RuntimeError(
            f"{len(failed)} of {workers} workers ended with {failed}; their messages are above"
        )


def bins(flux: np.ndarray) -> np.ndarray:
    """Average ``BIN`` neighbouring points of the synthesis each: what a star's file keeps."""
    return flux[: len(flux) // BIN * BIN].reshape(-1, BIN).mean(1)


def vacuum_wavelengths() -> np.ndarray:
    """Convert the wavelengths of :func:`bins` to Å in vacuum (Morton 2000)."""
    import astropy.units as u
    from specutils.utils.wcs_utils import air_to_vac

    middle = bins(np.log(wavelengths()))
    return air_to_vac(np.exp(middle) * u.AA, scheme="iteration", method="Morton2000").value


def smooth(flux: np.ndarray, vacuum: np.ndarray) -> np.ndarray:
    """Bring flux in bins of wavelengths ``vacuum`` (Å) to R = 10,000 on the fine grid, (16151,)."""
    return np.interp(
        10**FINE_LOGLAM, vacuum, broadened(flux.astype("f8"), 1 / FINE_RESOLUTION, BIN * LOG_STEP)
    )


def pack(folder: Path | str, path: Path | str) -> tuple[int, Path | None]:
    """Pack those stars of ``folder`` that no part in ``path`` holds into a new part ``path``/part-NNN.npz.

    Returns
    -------
    (int, pathlib.Path or None)
        Number of stars in the new part, and its path; (0, None) when there is no new star.
    """
    path = Path(path)
    have, vacuum = numbers(path), vacuum_wavelengths()
    files = {int(file.stem): file for file in Path(folder).glob("[0-9]*[0-9].npz")}
    if not files:
        raise ValueError(f"folder {str(folder)!r} holds no stars; run: specnb grid build")
    index = sorted(set(files) - have)
    if not index:
        return 0, None
    stars = []
    for number in index:
        with np.load(files[number], allow_pickle=False) as raw:
            _same_recipe(raw, files[number])
            flux = smooth(raw["flux"], vacuum).clip(
                0, 1.2
            )  # what 16 bits hold; a line's core may ring below 0
            continuum = np.interp(10 ** FINE_LOGLAM[::SPARSE], vacuum[::SPARSE], raw["continuum"])
            stars.append((raw["labels"], np.round(flux / 1.2 * 65535).astype("u2"), continuum))
    labels, flux, continuum = (np.stack(column) for column in zip(*stars, strict=True))
    path.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(p.stem.split("-")[1]) for p in parts(path)), default=0)
    part = path / f"part-{number:03d}.npz"
    temporary = path / f"{part.stem}.tmp.npz"
    np.savez_compressed(
        temporary,
        recipe=RECIPE,
        design_index=np.array(index, "i4"),
        labels=labels.astype("f4"),
        label_names=np.array(["teff_K", "logg_cgs", "m_h_dex", "alpha_m_dex", "vmic_km_s"]),
        log10_wave_vac_angstrom=FINE_LOGLAM,
        flux_u16=flux,
        continuum=continuum.astype("f4"),
        continuum_log10_wave=FINE_LOGLAM[::SPARSE],
        resolution=FINE_RESOLUTION,
    )
    os.replace(temporary, part)
    return len(index), part
