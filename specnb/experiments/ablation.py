r"""What the denoiser needs: the same training with one thing changed, judged on the same test stars.

Everything is a ratio of two root mean square errors on the same spectra, so that what a star happens to be cancels:
:math:`\mathrm{RMSE}(\mathrm{variant}) / \mathrm{RMSE}(\mathrm{reference})`, 1 if the change does not matter.
"""

from copy import deepcopy
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from specnb import storage
from specnb.denoising import networks
from specnb.metrics import SNR_BINS, bootstrap, improvement, per_spectrum
from specnb.training.loop import fit
from specnb.training.profiles import Profile, moments
from specnb.world.stars import simulate

ASSET = files("specnb") / "assets" / "ablation.json"
SEED = 3001
"""Of the test stars, which nothing else is tested on."""

NOISIER, SHARE = 5.0, 0.05
"""How much noisier than their neighbours some pixels are, and how many."""

_NET = dict(kind="subspace", rank=60, components=200, width=256, blocks=2)
_UNET = dict(kind="unet", stem=16, channels=(64, 96, 128), kernel=5)


def variants(steps=600, batch_size=64):
    """:class:`specnb.training.profiles.Profile` by what is changed; the first, ``reference``, is what all are
    compared with."""
    reference = Profile(_NET, steps, batch_size, rate=1e-3)

    def but(**net):
        return replace(reference, net=_NET | net)

    return {
        "reference": reference,
        "no noise map": but(kind="blind"),
        "half the steps": replace(reference, steps=steps // 2),
        "twice the steps": replace(reference, steps=2 * steps),
        "half the width": but(width=128),
        "twice the width": but(width=512),
        "half the rank": but(rank=30),
        "100 of rank": but(rank=100),
        "3 directions": but(directions=3),
        "U-Net on pixels": replace(reference, net=_UNET, rate=2e-3),
    }


def train(profile, seed=0):
    """A model trained at a profile, and ``seconds``, ``parameters`` and ρ on the validation stars."""
    start = monotonic()
    model, rows = fit(
        networks.fresh(*moments(profile.net), **profile.net, seed=seed), profile, seed
    )
    parameters = sum(p.numel() for p in model.parameters())
    rho = {k: v for k, v in rows[-1].items() if k.startswith("rho")}
    return model, {"seconds": round(monotonic() - start, 1), "parameters": parameters, **rho}


def observed(n, which, noisier=False):
    """``n`` test stars of bin ``which`` of S/N; if ``noisier`` with the pixels (a mask) whose noise is five times that.

    Returns
    -------
    specnb.Stars, numpy.ndarray
        The pixels to judge, shape (n, 3136): the good ones, or the noisier ones.
    """
    rng = np.random.default_rng([SEED, which, noisier])
    low, high = SNR_BINS[which]
    stars = simulate(n, SEED + which, snr=low * (high / low) ** rng.random(n))
    good = stars.ivar > 0
    if not noisier:
        return stars, good
    hit = good & (rng.random(good.shape) < SHARE)
    sd = np.sqrt(NOISIER**2 - 1) * (stars.level[:, None] * stars.sigma)
    stars.observed = np.where(
        hit, stars.observed + sd * rng.standard_normal(good.shape), stars.observed
    ).astype("f4")
    stars.ivar = np.where(hit, stars.ivar / NOISIER**2, stars.ivar).astype("f4")
    return stars, hit


def precisions(model):
    """The same model, computing less exactly: name → function (flux, ivar) → flux."""
    half = deepcopy(model)
    for p in half.parameters():
        p.data = p.data.half().float()

    def bfloat16(flux, ivar):
        with torch.autocast("cpu", torch.bfloat16):
            return networks.apply(model, flux, ivar)

    return {
        "weights in half precision": lambda *spectra: networks.apply(half, *spectra),
        "network in bfloat16": bfloat16,
    }


def ratio(a, b):
    """Root mean square error of ``a`` over that of ``b``, mean squares of every spectrum (n,); value, low, high."""
    return list(bootstrap(lambda x, y: np.sqrt(x.mean() / y.mean()), a, b))


def measure(steps=600, batch_size=64, n=256):
    """Train every variant and judge it on ``n`` stars of every bin of S/N.

    Returns
    -------
    dict
        ``variants``: name → ``seconds``, ``parameters``, ``rho_…`` and ``ratio``, for every bin (value, low, high).
        ``noise_map``: "all pixels" and "noisier pixels" → for every bin the MSE improvement over the observation
        "with" and "without" the map, and their "ratio" of RMSE, without over with.
    """
    table, made = {}, {}
    for name, profile in variants(steps, batch_size).items():
        made[name], table[name] = train(profile)
    apply = {
        name: lambda *spectra, model=model: networks.apply(model, *spectra)
        for name, model in made.items()
    }
    apply |= (rough := precisions(made["reference"]))
    table |= {name: {} for name in rough}
    noise_map = {"all pixels": [], "noisier pixels": []}
    for which in range(len(SNR_BINS)):
        for kind, rows in noise_map.items():
            stars, judged = observed(n, which, kind == "noisier pixels")
            names = apply if kind == "all pixels" else ("reference", "no noise map")
            estimates = {name: apply[name](stars.observed, stars.ivar) for name in names}
            mse = {
                name: per_spectrum("mse", x, stars.flux, judged) for name, x in estimates.items()
            }
            gain = {
                name: list(improvement("mse", estimates[name], stars.observed, stars.flux, judged))
                for name in ("reference", "no noise map")
            }
            both = {"with": gain["reference"], "without": gain["no noise map"]}
            rows.append({**both, "ratio": ratio(mse["no noise map"], mse["reference"])})
            if kind == "all pixels":
                for name in apply:
                    table[name].setdefault("ratio", []).append(ratio(mse[name], mse["reference"]))
    return {
        "stars": n,
        "steps": steps,
        "batch_size": batch_size,
        "variants": table,
        "noise_map": noise_map,
    }


def write(path=None):
    """:func:`measure` into the file that ships (20 minutes on two cores); its path."""
    start, made = monotonic(), storage.provenance("cpu", SEED)
    return storage.write(path or Path(str(ASSET)), measure(), made, monotonic() - start)
