"""What the recipe of the LTE spectra costs: more points, more angles, all lines, in a few windows of five stars.

Needs the extra ``specnb[grid]``. Differences are taken at R = 1800, recipe minus better spectrum. What 1D LTE itself
costs cannot be computed here; :mod:`specnb.training.real_stars` shows it on real stars.
"""

import logging
import warnings
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from specnb import storage
from specnb.grid import RESOLUTION
from specnb.lte.linelists import MOLECULES
from specnb.lte.synthesis import ANGLES, LOG_STEP, Synthesizer
from specnb.training.grid_files import broadened
from specnb.training.lte_emulator import rms
from specnb.world.prior import microturbulence

STARS = {
    "corner of the domain": (4300.0, 1.0, 0.5, 0.5),
    "cool giant": (4400.0, 1.5, 0.2, 0.1),
    "metal-poor giant": (4800.0, 1.8, -2.0, 0.3),
    "K dwarf": (4600.0, 4.6, 0.3, 0.0),
    "Sun": (5777.0, 4.44, 0.0, 0.0),
}
"""teff, logg, m_h, alpha_m."""

WINDOWS = [(4290, 4350), (4640, 4700), (5140, 5200), (6480, 6540), (8490, 8550)]
"""Å in air; 8 Å at either end are not judged."""

EVERYTHING = {
    "cut": -5.0,
    "recipe": {name: (10**6, *rest) for name, (_, *rest) in MOLECULES.items()},
}


def _smooth(wave, flux, at):
    return np.interp(at, wave, broadened(flux, 1 / RESOLUTION, np.log(wave[1] / wave[0])))


def check(sources: Path | str, output: Path | str) -> dict[str, Any]:
    """Compute the differences into ``output``/lte_check.json; returns the numbers, bias and rms by star and window."""
    start, made = monotonic(), storage.provenance("cpu", 0)
    logging.getLogger("pysme").setLevel(
        logging.ERROR
    )  # it remarks on the atmospheres' electrons at every window
    recipe, complete = Synthesizer(sources), Synthesizer(sources, **EVERYTHING)
    variants = {
        f"points {LOG_STEP / 4:.1e} apart in ln λ, not {LOG_STEP:.0e}": (recipe, {"finer": 4}),
        f"8 angles, not {ANGLES}": (recipe, {"angles": 8}),
        f"all {len(complete.lines.table):,} lines, not {len(recipe.lines.table):,}": (complete, {}),
    }
    numbers: dict[str, dict[str, dict[str, Any]]] = {
        name: {star: {} for star in STARS} for name in variants
    }
    for star, labels in STARS.items():
        for low, high in WINDOWS:
            at = np.arange(low + 8, high - 8, 0.5)

            def spectrum(synthesizer, options, y=labels, window=(low, high), at=at):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return _smooth(
                        *synthesizer(*y, microturbulence(y[1]), window=window, **options)[:2], at
                    )

            ours = spectrum(recipe, {})
            for name, better in variants.items():
                delta = ours - spectrum(*better)
                numbers[name][star][f"{low}-{high}"] = {
                    "bias": float(delta.mean()),
                    "rms": float(rms(delta)),
                }
    path = storage.write(
        Path(output) / "lte_check.json", {"variants": numbers}, made, monotonic() - start
    )
    return storage.read(path)
