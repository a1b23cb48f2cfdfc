"""Train the flow over labels that ships, judge it on test stars, and write its model card."""

import shutil
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.labels import flows
from specnb.labels.inference import infer
from specnb.training import objectives
from specnb.training.denoiser_card import chosen
from specnb.training.loop import fit, write_log
from specnb.world import prior
from specnb.world.stars import draw, generator, simulate

SNRS, N_STARS, SEED, TEST_SEED, N_TEST = (5, 10, 20, 50, 100), 128, 20261126, 1003, 512


@torch.no_grad()
def judge(flow):
    """{"nll_5": …, "nll_100": …}: mean -ln q of the labels of validation stars by S/N, in normal coordinates."""
    out = {}
    for snr in SNRS:
        batch = draw(N_STARS, generator("validation", SEED, snr), snr=(snr, snr))
        z = prior.to_normal(batch.labels.double()).float()
        out[f"nll_{snr}"] = -float(flow.log_prob(z, *objectives.observed(flow.eyes, batch)).mean())
    return out


def score(flow, snr):
    """Coverage at 68 and 95 % of every label, (value, low, high), and seconds a star, on test stars of one S/N."""
    stars = simulate(N_TEST, TEST_SEED, snr=snr)
    start = monotonic()
    table = infer(stars.observed, stars.ivar, 199, TEST_SEED, flow=flow)
    out = {"seconds": round((monotonic() - start) / N_TEST, 5)}
    for name in prior.LABELS:
        draws, truth = np.asarray(table[name]), np.asarray(stars.labels[name], "f8")
        out[name] = {str(q): list(metrics.coverage(draws, truth, q / 100)) for q in (68, 95)}
    return out


def train(profile, output, seed=0, device="cpu"):
    """Train the flow into ``output``: weights, numbers, training log and card; returns the card's path.

    A run that was interrupted goes on from its checkpoints in ``output``.
    """
    how = chosen("labels", profile)
    start, made, output = monotonic(), storage.provenance(device, seed), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = output / f"labels-{profile}-{seed}"
    flow, rows = fit(flows.fresh(**how.net, seed=seed), how, seed, device, checkpoints, judge)
    write_log(output / "labels.csv", rows)
    networks.save(flow, how.net, output / "labels.safetensors")
    kept = flows.read(output / "labels.safetensors").to(device)  # as users get it: half precision
    numbers = {
        "profile": profile,
        "parameters": sum(p.numel() for p in kept.parameters()),
        "steps": rows[-1]["step"],
        "stars_seen": rows[-1]["step"] * how.batch_size,
        "nll": {k: v for k, v in rows[-1].items() if k.startswith("nll")},
        "test": {str(snr): score(kept, snr) for snr in SNRS},
    }
    path = storage.write(output / "labels.json", numbers, made, monotonic() - start)
    card = output / "labels.md"
    storage.write_bytes(card, render(storage.read(path)).encode())
    shutil.rmtree(checkpoints)
    return card


def render(numbers):
    """The model card as Markdown."""
    made = numbers["provenance"]
    rows = [
        f"| {snr} | "
        + " | ".join(f"{v[name]['68'][0]:.2f}, {v[name]['95'][0]:.2f}" for name in prior.LABELS)
        + " |"
        for snr, v in numbers["test"].items()
    ]
    nll = ", ".join(f"{value:.2f} (S/N {key[4:]})" for key, value in numbers["nll"].items())
    return "\n".join([
        "# Flow over labels", "",
        f"p(θ | y) of six labels; looks through the denoiser `bounded`. LAMOST-like noise maps, S/N 5 to 2000, "
        f"R = 1800, 1 % bad pixels; {numbers['parameters']:,} parameters, profile `{numbers['profile']}`, "
        f"{numbers['steps']:,} steps, {numbers['stars_seen']:,} simulated stars, each seen once.", "",
        f"- {made['date'][:10]}, seed {made['seed']}, {made['device']}, {made['wall_s']} s, commit {made['commit']}",
        f"- mean -ln q on validation stars, in normal coordinates: {nll}",
        f"- coverage of 68 and 95 % intervals on {N_TEST} test stars a row (± 0.04), half precision", "",
        "| S/N | " + " | ".join(prior.LABELS) + " |", "|" + "---|" * 7, *rows, "",
    ])  # fmt: skip
