"""The commands with a cheap stand-in for the networks: ``python fast.py infer …``, in worker processes, too.

What a spectrum gives depends on its flux alone. A file ``slow`` in FAST_FOLDER makes a batch wait for a
tenth of a second a spectrum; a spectrum whose object is called KILL ends its process.
"""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from astropy.io import fits
from astropy.table import Table

from specnb.cli import work
from specnb.observing import native, products


def process(prepared, seed=0, device="cpu"):
    if (Path(os.environ.get("FAST_FOLDER", "/nowhere")) / "slow").exists():
        time.sleep(0.1 * len(prepared))
    if any(p.meta["object"] == "KILL" for p in prepared):
        os.kill(os.getpid(), signal.SIGKILL)
    return [
        SimpleNamespace(x=float(np.median(p.flux)), p=p, warnings=[], flags=0) for p in prepared
    ]


def table(names, made):
    rows = []
    for name, one in zip(names, made, strict=True):
        spread = {q: 5000.0 + (q - 50) / 3 + one.p.scale / 7 for q in (16, 50, 84)}
        labels = {f"teff_{q}": value for q, value in spread.items()}
        rows.append(
            {"file": str(name), **labels, "snr": 30 + one.x / 3, "good": True, "warnings": "χ² ± 1"}
        )
    out = Table(rows=rows)
    for name in ("teff_16", "teff_50", "teff_84"):
        out[name].unit = "K"
    return out


def to_fits(one, name):
    header = fits.Header({"OBJECT": str(one.p.meta.get("object", "")), "SCALE": one.p.scale})
    return fits.HDUList([fits.PrimaryHDU(header=header)])


def install(put=setattr):
    """Put the stand-ins in place."""
    put(work, "CHUNK", 16)
    put(native, "normalised", lambda prepared, device: prepared)
    for function in (process, table, to_fits):
        put(products, function.__name__, function)


if __name__ in ("__main__", "__mp_main__"):
    install()

if __name__ == "__main__":
    from specnb.cli import app

    app()
