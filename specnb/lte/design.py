r"""A grid of LTE spectra: which stars, computed in parallel, packed for the emulator (extra ``specnb[grid]``).

The design is a scrambled Sobol sequence: teff = 4300 + 2700 u₁; log g from 0.8 + (teff − 4300)/1000 to 5 by u₂;
[M/H] = 0.5 − 3 u₃^1.3; [α/M] = −0.1 + 0.6 u₄. Its points with i % 8 = 5 are kept for judges outside of this project and
never computed here. They are one octant, the cool giants, because a Sobol sequence deals its points into octants in
turn; so that octant is filled by a second sequence (numbers from 100,000 on). The corners of the domain are added
(from 200,000 on), because an emulator must not extrapolate, and a third sequence below 5100 K (from 300,000 on), where
molecules and strong lines make the emulator's error three times that of warm stars. After 700 stars a fourth one (from
400,000 on) adds cool dwarfs and cool metal-rich stars, where cross-validation inside those 700 found
the worst errors.
"""

import fcntl
import hashlib
import itertools
import logging
import multiprocessing
import os
import time
import warnings
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from specnb.grid import FINE_LOGLAM, FINE_RESOLUTION
from specnb.lte.linelists import CUT, ISOTOPES, MOLECULES, SOURCES, verify
from specnb.lte.synthesis import ANGLES, LOG_STEP, Synthesizer, microturbulence, wavelengths
from specnb.training.grid_files import broadened
from specnb.world.prior import ALPHA_M, LOGG_MAX, M_H, TEFF, logg_min

GAP, CORNER, COOL, HARD = 100_000, 200_000, 300_000, 400_000
"""First numbers of the stars that fill the octant left out, of the corners, of more cool stars, of hard ones."""

COOL_TEFF = 5100.0

EVEN = 700
"""Stars of the design before those from ``HARD`` on."""

RECIPE = hashlib.sha256(
    repr((SOURCES, CUT, ISOTOPES, MOLECULES, LOG_STEP, ANGLES, 3)).encode()
).hexdigest()[:12]
"""Mark of the recipe in every file, so that spectra of two recipes are never packed together."""

BIN = 4
"""Points of the synthesis that a star's file keeps as one: 2e-5 in ln λ, five to a native pixel."""

SPARSE = 250
"""Points (of a star's file, of the fine grid) between two of its continuum."""


def sobol(n, seed):
    """Points of the design: (n, 4) labels teff, logg, m_h, alpha_m, and (n, 4) unit coordinates."""
    from scipy.stats import qmc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a prefix whose length is no power of 2 is meant
        u = qmc.Sobol(4, seed=seed).random(n)
    teff = TEFF[0] + (TEFF[1] - TEFF[0]) * u[:, 0]
    low = logg_min(teff)
    labels = [
        teff,
        low + u[:, 1] * (LOGG_MAX - low),
        M_H[1] - 3.0 * u[:, 2] ** 1.3,
        ALPHA_M[0] + 0.6 * u[:, 3],
    ]
    return np.stack(labels, 1), u


def design(n):
    """The first ``n`` stars in the order in which they are computed: a list of (number, labels of shape (4,))."""
    main = [(i, y) for i, y in enumerate(sobol(2 * n + 8, seed=7)[0]) if i % 8 != 5]
    labels, u = sobol(2 * n + 128, seed=11)
    gap = [(GAP + int(i), labels[i]) for i in np.flatnonzero((u[:, 0] < 0.25) & (u[:, 1] < 0.5))]
    labels, _ = sobol(2 * n + 128, seed=13)
    cool = [(COOL + int(i), labels[i]) for i in np.flatnonzero(labels[:, 0] < COOL_TEFF)]
    corners = [
        (CORNER + j, np.array([t, logg_min(t) if giant else LOGG_MAX, m, a]))
        for j, (t, giant, m, a) in enumerate(itertools.product(TEFF, (True, False), M_H, ALPHA_M))
    ]
    mixed = itertools.chain.from_iterable(
        (*main[7 * k : 7 * k + 7], gap[k], *cool[4 * k : 4 * k + 4]) for k in range(n // 12 + 1)
    )
    more = max(n - EVEN, 0)
    labels, _ = sobol(64 * more + 2, seed=17)
    dwarf_or_rich = (labels[:, 1] > 4.3) | (labels[:, 2] > 0.25)
    hard = [
        (HARD + int(i), labels[i]) for i in np.flatnonzero((labels[:, 0] < 4900) & dwarf_or_rich)
    ]
    return [*[*corners, *mixed][: n - more], *hard[:more]]


def numbers(grid):
    """Numbers of the stars in a packed grid of this recipe."""
    with np.load(grid, allow_pickle=False) as packed:
        _same_recipe(packed, grid)
        return set(packed["design_index"].tolist())


def _same_recipe(arrays, path):
    if "recipe" not in arrays or str(arrays["recipe"]) != RECIPE:
        raise ValueError(
            f"{str(path)!r} was computed by another recipe than this builder's ({RECIPE}); keep them apart"
        )


def compute(synthesizer, number, labels, folder):
    """Synthesize one star into ``folder/NNNNNN.npz``, or say why not in ``folder/NNNNNN.skipped``."""
    vmic = microturbulence(labels[1])
    try:
        _, flux, continuum = synthesizer(*labels, vmic)
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
    star = {
        "labels": np.array([*labels, vmic]),
        "flux": bins(flux).astype("f4"),
        "continuum": bins(continuum)[::SPARSE],
    }
    np.savez(temporary, recipe=RECIPE, **star)
    os.replace(temporary, folder / f"{number:06d}.npz")


def _finished(folder, number):
    return any((folder / f"{number:06d}{end}").exists() for end in (".npz", ".skipped"))


def fill(folder, stars, do):
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


def build(sources, folder, n, workers=1, start=None):
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
        A packed grid whose stars need not be computed again.
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


def bins(flux):
    """Means of ``BIN`` neighbouring points of the synthesis: what a star's file keeps."""
    return flux[: len(flux) // BIN * BIN].reshape(-1, BIN).mean(1)


def vacuum_wavelengths():
    """Wavelengths of :func:`bins`, Å in vacuum (Morton 2000)."""
    import astropy.units as u
    from specutils.utils.wcs_utils import air_to_vac

    middle = bins(np.log(wavelengths()))
    return air_to_vac(np.exp(middle) * u.AA, scheme="iteration", method="Morton2000").value


def smooth(flux, vacuum):
    """Flux in bins → R = 10,000 on the fine grid."""
    return np.interp(
        10**FINE_LOGLAM, vacuum, broadened(flux.astype("f8"), 1 / FINE_RESOLUTION, BIN * LOG_STEP)
    )


def pack(folder, path, start=None):
    """Pack the stars of ``folder``, added to those of an older packed grid ``start``, into ``path``.

    Returns
    -------
    int
        Number of stars.
    """
    stars, vacuum = {}, vacuum_wavelengths()
    if start is not None:
        with np.load(start, allow_pickle=False) as old:
            _same_recipe(old, start)
            rows = zip(old["labels"], old["flux_u16"], old["continuum"], strict=True)
            stars = dict(zip(old["design_index"].tolist(), rows, strict=True))
    for file in sorted(Path(folder).glob("[0-9]*[0-9].npz")):
        with np.load(file, allow_pickle=False) as raw:
            _same_recipe(raw, file)
            flux = smooth(raw["flux"], vacuum).clip(
                0, 1.2
            )  # what 16 bits hold; a line's core may ring below 0
            coarse = 10 ** FINE_LOGLAM[::SPARSE]
            continuum = np.interp(coarse, vacuum[::SPARSE], raw["continuum"])
            stars[int(file.stem)] = (
                raw["labels"],
                np.round(flux / 1.2 * 65535).astype("u2"),
                continuum,
            )
    if not stars:
        raise ValueError(f"folder {str(folder)!r} holds no stars; run: specnb grid build")
    index = sorted(stars)
    labels, flux, continuum = (
        np.stack(column) for column in zip(*(stars[i] for i in index), strict=True)
    )
    temporary = Path(path).with_suffix(".tmp.npz")
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
    os.replace(temporary, path)
    return len(index)
