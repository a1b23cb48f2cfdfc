"""Train a denoiser that ships, judge it on test stars, and write its model card."""

import os
import shutil
from importlib.resources import files
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd
import torch

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.denoising.denoise import denoise
from specnb.sampling import reverse
from specnb.training.loop import fit, write_log
from specnb.training.profiles import MODELS, moments
from specnb.world.stars import simulate

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
TEST_SEED, N_TEST = 1001, 512


def chosen(name, profile):
    """The :class:`specnb.training.loop.Profile` of a model; ValueError if there is none."""
    if name not in MODELS:
        raise ValueError(f"name is {name!r}; choose one of {sorted(MODELS)}")
    if profile not in MODELS[name]:
        raise ValueError(f"profile is {profile!r}; {name} has {sorted(MODELS[name])}")
    return MODELS[name][profile]


def make(profile, seed=0, device="cpu", folder=None, name="bounded"):
    """A denoiser trained at a profile (name), see :func:`specnb.training.loop.fit`; the averaged model, the log's
    rows."""
    how = chosen(name, profile)
    before = networks.load(how.start) if how.start else None
    prior = (before.mean, before.basis, before.diagonal) if before else moments(how.net)
    fresh = networks.fresh(*prior, **how.net, seed=seed)
    if before:
        fresh.net.load_state_dict(before.net.state_dict())
    return fit(fresh, how, seed, device, folder)


def shipped(name):
    """Training log (a table) and numbers (a dict) of a model that ships."""
    folder = files("specnb") / "assets"
    with (folder / f"{name}.csv").open() as file:
        return pd.read_csv(file), storage.read(folder / f"{name}.json")


def improvements(estimate, stars):
    """MSE, wMSE and wMAE improvement of an estimate over the observation, each (value, low, high)."""
    good = stars.ivar > 0
    return {
        kind: metrics.improvement(kind, estimate, stars.observed, stars.flux, good, stars.sigma)
        for kind in ("mse", "wmse", "wmae")
    }


def compare(model, level, n, seed, methods=()):
    """What a model in hand, with one pass and with ten steps, and methods by name gain on ``n`` test stars of a level.

    Returns
    -------
    dict
        ``mse``, ``wmse``, ``wmae`` → "one pass", "ten steps" and every method → (value, low, high).
    """
    stars = simulate(n, seed, level=level)
    estimates = {
        "one pass": networks.apply(model, stars.observed, stars.ivar),
        "ten steps": networks.apply(model, stars.observed, stars.ivar, steps=10),
        **{name: denoise(stars.observed, stars.ivar, method=name) for name in methods},
    }
    scores = {name: improvements(estimate, stars) for name, estimate in estimates.items()}
    return {
        kind: {name: score[kind] for name, score in scores.items()}
        for kind in ("mse", "wmse", "wmae")
    }


def eps_loss(model, n, seed):
    """Mean square error of the noise in units of itself over DDPM's levels, each alike, as in the plan."""
    stars = simulate(n, seed)
    x = torch.as_tensor(stars.flux, device=model.mean.device)
    ms = reverse.levels(float(model.scatter().mean()))[:-1]
    rng = torch.Generator(x.device).manual_seed(seed)
    m = ms[torch.linspace(0, len(ms) - 1, n).long()].float().to(x.device)[:, None].expand_as(x)
    with torch.no_grad():
        error = model(x + m * torch.randn(x.shape, generator=rng, device=x.device), m) - x
    return float((error / m).square().mean())


def train(name, profile, output, seed=0, device="cpu"):
    """Train model ``name`` into ``output``: weights, numbers, training log and card; returns the card's path.

    A run that was interrupted goes on from its checkpoints in ``output``. Of several processes only the first writes;
    the others return None.
    """
    how = chosen(name, profile)
    start, made = monotonic(), storage.provenance(device, seed)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = output / f"{name}-{profile}-{seed}"
    model, rows = make(profile, seed, device, checkpoints, name)
    if int(os.environ.get("RANK", 0)):  # torchrun: the first process writes
        return None
    write_log(output / f"{name}.csv", rows)
    weights = output / f"{how.start if how.objective == 'spread' else name}.safetensors"
    networks.save(model, how.net, weights)
    judged = networks.read(weights).to(device)  # as users get it: half precision
    numbers = {
        "profile": profile,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": rows[-1]["step"],
        "stars_seen": rows[-1]["step"] * how.batch_size,
        "rho": {k: v for k, v in rows[-1].items() if k.startswith("rho")},
        "test": {},
    }
    for level in LEVELS:
        stars = simulate(N_TEST, TEST_SEED, level=level)
        numbers["test"][str(level)] = improvements(
            networks.apply(judged, stars.observed, stars.ivar), stars
        )
    path = storage.write(output / f"{name}.json", numbers, made, monotonic() - start)
    card = output / f"{name}.md"
    storage.write_bytes(card, render(name, storage.read(path)).encode())
    shutil.rmtree(checkpoints)
    return card


def render(name, numbers):
    """The model card as Markdown."""
    made = numbers["provenance"]

    def cell(score):
        value, low, high = np.multiply(score, 100)
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"

    rows = [
        f"| {level} | {' | '.join(cell(s[kind]) for kind in ('mse', 'wmse', 'wmae'))} |"
        for level, s in numbers["test"].items()
    ]
    rho = ", ".join(f"{value:.2f} (S/N {key[4:]})" for key, value in numbers["rho"].items())
    return "\n".join([
        f"# Denoiser `{name}`", "",
        f"E[x | y] at a given noise map; trained on LAMOST-like maps, S/N 5 to 2000, R = 1800, 1 % bad pixels; "
        f"{numbers['parameters']:,} parameters, profile `{numbers['profile']}`, "
        f"{numbers['steps']:,} steps, {numbers['stars_seen']:,} simulated stars, each seen once.", "",
        f"- {made['date'][:10]}, seed {made['seed']}, {made['device']}, {made['wall_s']} s, commit {made['commit']}",
        f"- ρ on the validation stars of `specnb.training.yardstick`: {rho}",
        f"- judged in half precision on {N_TEST} test stars a level, one pass", "",
        "Improvement over the observation in % (95 % interval, bootstrap over spectra):", "",
        "| level λ | MSE | wMSE | wMAE |", "|---|---|---|---|", *rows, "",
    ])  # fmt: skip
