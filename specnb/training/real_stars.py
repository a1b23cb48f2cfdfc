r"""How real the emulator is: against stars of a survey, and a model error that real spectra need.

Each star's spectrum is fitted with free labels and a smooth continuum (cubic B-splines, a knot every 150 pixels). What
is left, :math:`r = y/C - F`, shifted to rest, is noise and the model's own error. On one half of the stars, pixel by
pixel,

.. math:: \text{share of stars with } |r| < \sqrt{\sigma_{noise}^2 + \sigma_{model}^2} \text{ is } 0.683,

so that :math:`\sigma_{model}` is one σ of a normal error or the size of an offset that all stars share. The other half
shows whether :math:`r/\sqrt{\sigma_{noise}^2 + \sigma_{model}^2}` is a unit normal there too. Halves are drawn by name,
so that two visits of a star are never on both sides. Residuals are shifted by whole pixels: interpolation would average
the noise away that :math:`\sigma_{noise}` still counts.

What it is not: labels are free in the fits, so an error that wrong labels absorb is not in it; it is correlated between
pixels, which a diagonal covariance does not say; and errors of the files' ivar go into it.
"""

from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from numpy.lib.stride_tricks import sliding_window_view

from specnb import metrics, storage
from specnb.grid import N_PIXELS
from specnb.observed import Observed
from specnb.observing.model_error import observed_frame
from specnb.training import grid_files, known_stars
from specnb.training.lte_emulator import by_region, rms
from specnb.world import fit, prior
from specnb.world.continuum import splines
from specnb.world.emulator import load_emulator, residuals

KNOT_EVERY = 150
SNR_MIN = 50.0
RESOLUTIONS = (1600.0, 1700.0, 1800.0, 1900.0, 2000.0, 2200.0)
POOL = 5
"""Neighbouring pixels that share one σ_model: about a resolution element."""


def fitted(
    world: fit.World, stars: Table, model_error: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit every star from its survey labels; labels (n, 6), residuals and noise (n, 3136) in normalised flux."""
    flux, ivar = (torch.tensor(np.asarray(stars[k])) for k in ("flux", "ivar"))
    start = np.stack([stars["teff"], stars["logg"], stars["feh"], 0 * stars["feh"] + 0.1], 1)
    rv = np.asarray(stars["start"])[:, 4]
    z = prior.to_normal(torch.tensor(np.c_[start, rv, 10 + 0 * rv], dtype=torch.float64))
    if model_error is not None:
        ivar = ivar / (
            1
            + ivar
            * torch.tensor(observed_frame(model_error, np.asarray(rv)) ** 2, dtype=torch.float32)
        )
    optimum = fit.solve(world, Observed(flux, ivar), z, fit.LIKELIEST)
    spectrum = world.spectrum(optimum.z)
    shape = world.continuum(world.continuum.best(spectrum, Observed(flux, ivar))[0])
    residual = torch.where(ivar > 0, flux / shape - spectrum, torch.nan)
    noise = torch.where(
        ivar > 0, torch.tensor(np.asarray(stars["ivar"])).rsqrt() / shape, torch.nan
    )
    return prior.from_normal(optimum.z).numpy(), residual.numpy(), noise.numpy()


def model_error_of(residual: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Measure σ_model of every pixel, (3136,), from rest-frame residuals and noise (n, 3136); NaN = no data.

    By bisection, each pixel with its ``POOL`` neighbours. Where there are fewer than 25 values the median of the other
    pixels stands in.
    """
    r, n = (sliding_window_view(np.pad(x, ((0, 0), (POOL // 2, POOL // 2)), constant_values=np.nan), POOL, 1)
            for x in (np.abs(residual), noise**2))  # fmt: skip
    count = np.isfinite(r).sum((0, 2))
    low, high = np.zeros(N_PIXELS), np.ones(N_PIXELS)
    for _ in range(14):
        middle = 0.5 * (low + high)
        inside = (r < np.sqrt(n + middle[:, None] ** 2)).sum(
            (0, 2)
        )  # comparisons with NaN are False
        enough = inside >= 0.683 * count
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    found = np.where(count >= 25, low, np.nan)
    return np.where(np.isfinite(found), found, np.nanmedian(found))


def _summary(residual, noise, model_error):
    """Per wavelength region: robust scatter, noise, bias; shares of |r|/σ below 1 and 2 with bootstrap intervals."""
    out = {}
    for name, inside in by_region().items():
        r, n = residual[:, inside], noise[:, inside]
        seen = np.isfinite(r).any(1)
        r, n = r[seen], n[seen]
        good = np.isfinite(r)
        score = {
            "scatter": float(1.4826 * np.median(np.abs(r[good]))),
            "noise": float(np.median(n[good])),
            "bias": float(np.median(r[good])),
        }
        for which, extra in (("without", 0.0), ("with", model_error[inside])):
            t = np.abs(r) / np.sqrt(n**2 + extra**2)
            shares = [(t < k).sum(1) / good.sum(1) for k in (1, 2)]  # of each star's pixels
            score[f"{which}_model_error"] = {
                f"within_{k}": list(metrics.bootstrap(np.mean, v))
                for k, v in zip((1, 2), shares, strict=True)
            }
        out[name] = score
    return out


def bosz(folder: Path | str) -> tuple[dict[str, dict[str, float]], np.ndarray]:
    """Compare the emulator with BOSZ models at R = 1800: bias and RMS by wavelength region, mean curve (3136,)."""
    grid = grid_files.read(folder)
    delta = residuals(load_emulator("cpu"), grid.labels, grid.flux, base=grid.resolution)
    return {
        k: {"bias": float(delta[:, i].mean()), "rms": float(rms(delta[:, i]))}
        for k, i in by_region().items()
    }, delta.mean(0)


def compare(
    folder: Path | str, output: Path | str, bosz_folder: Path | str | None = None
) -> dict[str, Any]:
    """Write everything above into ``output``, realstars.npz (curves) and realstars.json (numbers); returns the numbers.

    Parameters
    ----------
    folder : path
        LAMOST spectra and ``labels.csv``, as :func:`specnb.training.known_stars.load` reads it.
    output : path
    bosz_folder : path, optional
        BOSZ models in the layout of :func:`specnb.training.grid_files.read`.
    """
    start, made = monotonic(), storage.provenance("cpu", 0)
    stars, emulator = known_stars.load(folder, SNR_MIN), load_emulator("cpu")
    continuum = splines(KNOT_EVERY)
    by_resolution, judge = {}, np.asarray(stars["judge"])
    for resolution in RESOLUTIONS:
        _, residual, _ = fitted(fit.World(emulator, continuum, resolution), stars[~judge])
        by_resolution[resolution] = float(np.nanmedian(np.abs(residual)))
    resolution = min(by_resolution, key=lambda tried: by_resolution[tried])
    world = fit.World(emulator, continuum, resolution)
    model_error: Any = None
    for _ in range(3):  # labels fitted with the error that they help to find
        labels, residual, noise = fitted(world, stars, model_error)
        residual, noise = (known_stars.at_rest(x, labels[:, 4]) for x in (residual, noise))
        model_error = model_error_of(residual[~judge], noise[~judge])
    numbers = {
        "stars": {
            "calibrating": int((~judge).sum()),
            "judging": int(judge.sum()),
            "snr_min": SNR_MIN,
        },
        "resolution": {"best": resolution, "median_abs_residual": by_resolution},
        "judging_half": _summary(residual[judge], noise[judge], model_error),
        "model_error_median": float(np.median(model_error)),
    }
    arrays = {"model_error": model_error}
    if bosz_folder is not None:
        numbers["bosz"], arrays["bosz"] = bosz(bosz_folder)
    output = Path(output)
    storage.write_arrays(
        output / "realstars.npz", {k: np.asarray(v, "f4") for k, v in arrays.items()}
    )
    return storage.read(
        storage.write(output / "realstars.json", numbers, made, monotonic() - start)
    )
