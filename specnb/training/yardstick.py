"""ρ while training: a fixed set of validation stars whose exact posterior means are known once and for all."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from specnb import metrics, storage, validate
from specnb.labels.oracle import sample
from specnb.observed import Observed
from specnb.world import streams
from specnb.world.fit import default_world
from specnb.world.stars import draw

SNRS, N_STARS, SEED = (5, 10, 20, 50, 100), 32, streams.YARDSTICK_SEED
ASSET = Path(str(files("specnb"))) / "assets" / "yardstick.json"


@lru_cache(maxsize=len(SNRS))
def observations(snr: int) -> tuple[Observed, torch.Tensor, torch.Tensor]:
    """Draw the stars of one S/N.

    Returns
    -------
    observed : Observed
        32 spectra.
    x, good : torch.Tensor
        Truth and good pixels, (32, 3136) each.
    """
    batch = draw(N_STARS, streams.generator("validation", SEED, snr), snr=(snr, snr))
    observed, _ = validate.spectra(batch.y, batch.ivar)
    return observed, batch.x, batch.good


def measure(path: str | Path | None = None) -> Path:
    """Run the exact sampler on all stars (four minutes) and write what its means miss.

    Parameters
    ----------
    path : path, optional
        By default the file that ships.

    Returns
    -------
    Path
        The file.
    """
    start, made, mse, flagged = monotonic(), storage.provenance("cpu", SEED), {}, 0
    for snr in SNRS:
        observed, x, good = observations(snr)
        posterior = sample(default_world(), observed, n_samples=2560, seed=SEED)
        mse[str(snr)] = [float(v) for v in metrics.mse(posterior.mean(), x, good)]
        flagged += int(posterior.flags.sum())
    numbers = {"stars": N_STARS, "flagged": flagged, "mse": mse}
    return storage.write(path or ASSET, numbers, made, monotonic() - start)


def rho(denoiser: Any) -> dict[str, float]:
    """Measure the error of a denoiser's means over that of the exact ones, ``rho_5`` to ``rho_100`` by S/N."""
    best, out = storage.read(ASSET)["mse"], {}
    for snr in SNRS:
        observed, x, good = observations(snr)
        error = metrics.mse(denoiser.denoise(observed), x, good)
        out[f"rho_{snr}"] = float(np.sqrt(error.mean() / np.mean(best[str(snr)])))
    return out
