r"""What the denoiser needs: the same training with one thing changed, judged on the same test stars.

Everything is a ratio of two root mean square errors on the same spectra, so that what a star happens to be cancels:
:math:`\mathrm{RMSE}(\mathrm{variant}) / \mathrm{RMSE}(\mathrm{reference})`, 1 if the change does not matter.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from specnb import storage
from specnb.denoising import networks
from specnb.experiments import results
from specnb.experiments.results import Record
from specnb.metrics import SNR_BINS, Interval, bootstrap, improvement, mse
from specnb.training.loop import fit
from specnb.training.profiles import Profile, moments
from specnb.world import streams
from specnb.world.simulate import Stars, simulate

ASSET = files("specnb") / "assets" / "ablation.json"
SEED = streams.ABLATION_SEED
"""Of the test stars, which nothing else is tested on."""

NOISIER, SHARE = 5.0, 0.05
"""How much noisier than their neighbours some pixels are, and how many."""

_NET = dict(kind="subspace", rank=60, components=200, width=256, blocks=2)
_UNET = dict(kind="unet", stem=16, channels=(64, 96, 128), kernel=5)


@dataclass(frozen=True)
class Variant(Record):
    """One variant of the training, or one way of computing with the reference.

    Attributes
    ----------
    ratio : list of Interval
        RMSE over that of the reference, for every bin of S/N.
    seconds, parameters : float, int
        Of the training; None where nothing was trained.
    rho_5, rho_10, rho_20, rho_50, rho_100 : float
        ρ on the validation stars by S/N, likewise.
    """

    ratio: list[Interval]
    seconds: float | None = None
    parameters: int | None = None
    rho_5: float | None = None
    rho_10: float | None = None
    rho_20: float | None = None
    rho_50: float | None = None
    rho_100: float | None = None


@dataclass(frozen=True)
class Worth(Record):
    """What the noise map is worth in one bin of S/N: MSE improvements, and RMSE without it over that with it."""

    with_map: Interval
    without_map: Interval
    ratio: Interval


@dataclass(frozen=True)
class Measured(Record):
    """What the file that ships holds.

    Attributes
    ----------
    stars : int
        In each bin of S/N.
    steps, batch_size : int
        Of the reference.
    variants : dict
        Name → :class:`Variant`.
    noise_map : dict
        "all pixels" and "noisier pixels" → :class:`Worth` for every bin.
    """

    stars: int
    steps: int
    batch_size: int
    variants: dict[str, Variant]
    noise_map: dict[str, list[Worth]]


@dataclass(frozen=True)
class Ablation(Measured):
    """What ablation.json holds."""

    trained_here: bool


def variants(steps: int = 600, batch_size: int = 64) -> dict[str, Profile]:
    """Return :class:`specnb.training.profiles.Profile` by what is changed; all are compared with ``reference``."""
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


def train(profile: Profile, seed: int = 0) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Train a model at a profile; return it with ``seconds``, ``parameters`` and ρ on the validation stars."""
    start = monotonic()
    model, rows = fit(
        networks.fresh(*moments(profile.net), **profile.net, seed=seed), profile, seed
    )
    parameters = sum(p.numel() for p in model.parameters())
    rho = {k: v for k, v in rows[-1].items() if k.startswith("rho")}
    return model, {"seconds": round(monotonic() - start, 1), "parameters": parameters, **rho}


def observed(n: int, which: int, noisier: bool = False) -> tuple[Stars, np.ndarray]:
    """Observe ``n`` test stars of bin ``which`` of S/N.

    If ``noisier``, some pixels (a mask) have ``NOISIER`` times the noise, and their ``ivar`` says so.

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


def precisions(model: Any) -> dict[str, Callable[..., Any]]:
    """Let the same model compute less exactly: name → function (flux, ivar) → flux."""
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


def ratio(a: np.ndarray, b: np.ndarray) -> Interval:
    """Return the RMSE of ``a`` over that of ``b``, mean squares of every spectrum (n,)."""
    return bootstrap(lambda x, y: np.sqrt(x.mean() / y.mean()), a, b)


def _worth(stars, judged, estimates) -> Worth:
    """Compare the estimates "reference" and "no noise map" of one bin."""
    before, with_map, without = (
        mse(x, stars.flux, judged)
        for x in (stars.observed, estimates["reference"], estimates["no noise map"])
    )
    gains = improvement(with_map, before), improvement(without, before)
    return Worth(*gains, ratio(without, with_map))


def measure(steps: int = 600, batch_size: int = 64, n: int = 256) -> Measured:
    """Train every variant and judge it on ``n`` stars of every bin of S/N."""
    made, cost = {}, {}
    for name, profile in variants(steps, batch_size).items():
        made[name], cost[name] = train(profile)
    apply = {
        name: lambda *spectra, model=model: networks.apply(model, *spectra)
        for name, model in made.items()
    }
    apply |= precisions(made["reference"])
    ratios: dict[str, list[Interval]] = {name: [] for name in apply}
    noise_map: dict[str, list] = {"all pixels": [], "noisier pixels": []}
    for which in range(len(SNR_BINS)):
        stars, judged = observed(n, which)
        estimates = {name: one(stars.observed, stars.ivar) for name, one in apply.items()}
        errors = {name: mse(x, stars.flux, judged) for name, x in estimates.items()}
        for name in apply:
            ratios[name].append(ratio(errors[name], errors["reference"]))
        noise_map["all pixels"].append(_worth(stars, judged, estimates))
        stars, judged = observed(n, which, noisier=True)
        pair = ("reference", "no noise map")
        estimates = {name: apply[name](stars.observed, stars.ivar) for name in pair}
        noise_map["noisier pixels"].append(_worth(stars, judged, estimates))
    table = {name: Variant(ratios[name], **cost.get(name, {})) for name in apply}
    return Measured(n, steps, batch_size, table, noise_map)


def shipped() -> Measured:
    """Read the measurement that ships."""
    return results.read(str(ASSET), Measured)[0]


def write(path: Path | str | None = None) -> Path:
    """Write :func:`measure` into the file that ships (20 minutes on two cores); return its path."""
    start, made = monotonic(), storage.provenance("cpu", SEED)
    return storage.write(path or Path(str(ASSET)), measure(), made, monotonic() - start)
