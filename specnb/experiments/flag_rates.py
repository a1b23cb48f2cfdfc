"""How often flags forbid the use of spectra: on a survey's own files, one half apart from the other."""

import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.stats import binomtest

from specnb.experiments.your_spectra import inside, observe
from specnb.metrics import Interval
from specnb.observing import flags, products


def flag_rates(folder: Path | str, n: int | None = None, seed: int = 0) -> dict[str, Interval]:
    """Measure how many spectra of a survey are flagged "do not use", inside the prior and outside of it.

    Thresholds of the flags were set on one half of the files, chosen by a hash of their names, and are judged on the
    other.

    Parameters
    ----------
    folder : pathlib.Path or str
        With ``labels.csv`` of the survey.
    n : int, optional
        Files to read at most.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        ``"inside, learnt"``, ``"inside, judged"``, ``"outside, learnt"``, ``"outside, judged"`` → share of spectra
        above S/N 5 with a flag that forbids use, and its 95 % interval (Wilson).
    """
    table = Table.read(Path(folder) / "labels.csv")[:n]
    kinds = dict(zip(table["file"], inside(table), strict=True))
    found: dict[str, list[bool]] = defaultdict(list)
    names = [str(name) for name in kinds]
    for first in range(0, len(names), 32):
        paths = {str(Path(folder) / name): name for name in names[first : first + 32]}
        seen = observe(paths)
        for path, made in zip(seen, products.process(list(seen.values()), seed), strict=True):
            name = paths[path]
            half = ("learnt", "judged")[zlib.crc32(name.encode()) % 2]
            if made.observation.snr > flags.LEAST_SNR:
                found[f"{'inside' if kinds[name] else 'outside'}, {half}"].append(not made.good)
    out = {}
    for name, bad in found.items():
        low, high = binomtest(sum(bad), len(bad)).proportion_ci(method="wilson")
        out[name] = Interval(float(np.mean(bad)), float(low), float(high))
    return out
