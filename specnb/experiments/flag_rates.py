"""How often flags forbid the use of spectra: on a survey's own files, one half apart from the other."""

import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from astropy.table import Table

from specnb.experiments.your_spectra import inside
from specnb.metrics import Interval, share
from specnb.observing import arrays, flags, native, products, readers
from specnb.world import prior

AT_ONCE, FEWEST = 64, 5
"""Spectra together; and spectra without which a share has no interval."""


def flag_rates(
    folder: Path | str,
    n: int | None = None,
    seed: int = 0,
    medium: str | None = None,
    resolution: float | None = None,
    snr: float | None = None,
) -> dict[str, Interval]:
    """Measure how many spectra of a survey are flagged "do not use", inside the prior and outside of it.

    Thresholds of the flags were set on one half of the files, chosen by a hash of their names, and are judged on the
    other.

    Parameters
    ----------
    folder : pathlib.Path or str
        With ``labels.csv`` of the survey: file, teff, logg, feh.
    n : int, optional
        Files to read at most.
    seed : int
        Of the draws.
    medium, resolution, snr
        What the files do not say, as for the commands.

    Returns
    -------
    dict
        ``"inside"``, ``"outside"`` (of 4300 to 7000 K) and ``"between"``, each with ``", learnt"`` or ``", judged"``, →
        share of spectra above S/N 5 with a flag that forbids use, and its 95 % interval (Wilson).
    """
    table = Table.read(Path(folder) / "labels.csv")[:n]
    domain, teff = inside(table), np.asarray(table["teff"], "f8")
    outside = (teff < prior.TEFF[0]) | (teff > prior.TEFF[1])
    kinds = np.where(domain, "inside", np.where(outside, "outside", "between"))
    found: dict[str, list[bool]] = defaultdict(list)
    for first in range(0, len(table), AT_ONCE):
        prepared, names = [], []
        for name, kind in zip(table["file"][first:], kinds[first : first + AT_ONCE], strict=False):
            try:
                spectrum = readers.read(Path(folder) / str(name))
                if snr is not None and spectrum.uncertainty is None:
                    arrays.add_errors(spectrum, snr)
                prepared.append(native.prepare(spectrum, medium, resolution))
            except ValueError:
                continue  # nothing to be flagged
            half = ("learnt", "judged")[zlib.crc32(str(name).encode()) % 2]
            names.append(f"{kind}, {half}")
        for name, made in zip(
            names, products.process(native.normalised(prepared), seed), strict=True
        ):
            if made.observation.snr > flags.LEAST_SNR:
                found[name].append(not made.good)
    return {name: share(bad) for name, bad in sorted(found.items()) if len(bad) >= FEWEST}
