"""ρ while training: a fixed set of validation stars whose exact posterior means are known once and for all."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from time import monotonic

import numpy as np

from specnb import storage, validate
from specnb.denoising import networks
from specnb.labels.oracle import sample
from specnb.metrics import per_spectrum
from specnb.world.fit import default_world
from specnb.world.stars import draw, generator

SNRS, N_STARS, SEED = (5, 10, 20, 50, 100), 32, 20261125
ASSET = files("specnb") / "assets" / "yardstick.json"


@lru_cache(maxsize=len(SNRS))
def observations(snr):
    """Flux and ivar as checked tensors, truth and good pixels of the stars at one S/N, (32, 3136) each."""
    batch = draw(N_STARS, generator("validation", SEED, snr), snr=(snr, snr))
    flux, ivar, _ = validate.spectra(batch.y, batch.ivar)
    return flux, ivar, batch.x, batch.good


def measure(path=None):
    """Run the exact sampler on all stars (four minutes) and write what its means miss; path of the file."""
    start, made, mse, flagged = monotonic(), storage.provenance("cpu", SEED), {}, 0
    for snr in SNRS:
        flux, ivar, x, good = observations(snr)
        posterior = sample(default_world(), flux, ivar, n_samples=2560, seed=SEED)
        mse[str(snr)] = [float(v) for v in per_spectrum("mse", posterior.mean(), x, good)]
        flagged += int(posterior.flags.sum())
    numbers = {"stars": N_STARS, "flagged": flagged, "mse": mse}
    return storage.write(path or Path(str(ASSET)), numbers, made, monotonic() - start)


def rho(denoiser):
    """{"rho_5": …, "rho_100": …}: one-pass ρ of a denoiser at every S/N."""
    limit, out = storage.read(ASSET)["mse"], {}
    for snr in SNRS:
        flux, ivar, x, good = observations(snr)
        mse = per_spectrum("mse", networks.run(denoiser, flux, ivar), x, good)
        out[f"rho_{snr}"] = float(np.sqrt(mse.mean() / np.mean(limit[str(snr)])))
    return out
