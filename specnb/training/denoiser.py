"""Train a denoiser that ships and judge it on test stars."""

import shutil
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.denoising.denoise import denoise
from specnb.metrics import Interval
from specnb.sampling import reverse
from specnb.training import cards, loop
from specnb.training.objectives import OBJECTIVES
from specnb.training.profiles import chosen, moments
from specnb.world import streams
from specnb.world.stars import Stars, simulate

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
TEST_SEED, N_TEST = streams.DENOISER_CARD_SEED, 512


def make(
    profile: str,
    seed: int = 0,
    device: str = "cpu",
    folder: str | Path | None = None,
    name: str = "bounded",
) -> tuple[Any, list[dict[str, Any]]]:
    """Make a denoiser and train it at a profile.

    Parameters
    ----------
    profile, name : str
        As in :data:`specnb.training.profiles.MODELS`.
    seed : int
        Of the first weights and of the stream of stars.
    device : str
        ``cpu`` or ``cuda``.
    folder : path, optional
        Where checkpoints go.

    Returns
    -------
    denoiser, list of dict
        The averaged model and the log, see :func:`specnb.training.loop.fit`.
    """
    how = chosen(name, profile)
    before = networks.load(how.start) if how.start else None
    prior = (before.mean, before.basis, before.diagonal) if before else moments(how.net)
    fresh = networks.fresh(*prior, **how.net, seed=seed)
    if before:
        fresh.net.load_state_dict(before.net.state_dict())
    return loop.fit(fresh, how, seed, device, folder)


def improvements(estimate: Any, stars: Stars) -> dict[str, Interval]:
    """Measure what an estimate gains over the observation: MSE, wMSE and wMAE."""
    good = stars.ivar > 0
    return {
        kind: metrics.improvement(kind, estimate, stars.observed, stars.flux, good, stars.sigma)
        for kind in cards.MEASURES
    }


def compare(
    model: Any, level: float, n: int, seed: int, methods: tuple[str, ...] = ()
) -> dict[str, dict[str, Interval]]:
    """Compare a model in hand with methods by name on test stars of one noise level.

    Parameters
    ----------
    model : Denoiser
        Judged with one pass and with ten steps.
    level : float
        Noise level λ.
    n, seed : int
        Test stars.
    methods : tuple of str
        Methods of :func:`specnb.denoise`.

    Returns
    -------
    dict
        ``mse``, ``wmse``, ``wmae`` → "one pass", "ten steps" and every method → improvement.
    """
    stars = simulate(n, seed, level=level)
    estimates = {
        "one pass": networks.apply(model, stars.observed, stars.ivar),
        "ten steps": networks.apply(model, stars.observed, stars.ivar, steps=10),
        **{name: denoise(stars.observed, stars.ivar, method=name) for name in methods},
    }
    scores = {name: improvements(estimate, stars) for name, estimate in estimates.items()}
    return {kind: {name: score[kind] for name, score in scores.items()} for kind in cards.MEASURES}


def eps_loss(model: Any, n: int, seed: int) -> float:
    """Measure the error of the noise in units of itself over DDPM's levels, each alike, as in the plan."""
    stars = simulate(n, seed)
    x = torch.as_tensor(stars.flux, device=model.mean.device)
    ms = reverse.levels(float(model.scatter().mean()))[:-1]
    rng = torch.Generator(x.device).manual_seed(seed)
    m = ms[torch.linspace(0, len(ms) - 1, n).long()].float().to(x.device)[:, None].expand_as(x)
    with torch.no_grad():
        error = model(x + m * torch.randn(x.shape, generator=rng, device=x.device), m) - x
    return float((error / m).square().mean())


def train(
    name: str, profile: str, output: str | Path, seed: int = 0, device: str = "cpu"
) -> Path | None:
    """Train a denoiser and write weights, numbers, training log and card.

    A run that was interrupted goes on from its checkpoints in ``output``.

    Returns
    -------
    Path or None
        The card; None in all but the first of several processes, which alone writes.
    """
    how = chosen(name, profile)
    start, made = monotonic(), storage.provenance(device, seed)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = output / f"{name}-{profile}-{seed}"
    model, rows = make(profile, seed, device, checkpoints, name)
    if not loop.first_process():
        return None
    loop.write_log(output / f"{name}.csv", rows)
    completes = OBJECTIVES[how.objective].completes
    weights = output / f"{how.start if completes else name}.safetensors"
    networks.save(model, how.net, weights)
    judged = networks.read(weights).to(device)  # as users get it: half precision
    numbers: dict[str, Any] = {
        "profile": profile,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": rows[-1]["step"],
        "stars_seen": rows[-1]["step"] * how.batch_size,
        "rho": {k: v for k, v in rows[-1].items() if k.startswith("rho")},
        "test": {},
    }
    for level in LEVELS:
        stars = simulate(N_TEST, TEST_SEED, level=level)
        estimate = networks.apply(judged, stars.observed, stars.ivar)
        numbers["test"][str(level)] = improvements(estimate, stars)
    path = storage.write(output / f"{name}.json", numbers, made, monotonic() - start)
    card = cards.write(path, cards.denoiser(name, storage.read(path), N_TEST))
    shutil.rmtree(checkpoints)
    return card
