"""Train the flow over labels that ships and judge it on test stars."""

import shutil
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from specnb import metrics, storage
from specnb.denoising import networks
from specnb.labels import flows
from specnb.labels.inference import infer
from specnb.training import cards, loop, objectives
from specnb.training.profiles import chosen
from specnb.world import prior, streams
from specnb.world.stars import draw, simulate

SNRS, N_STARS, N_TEST = (5, 10, 20, 50, 100), 128, 512
SEED, TEST_SEED = streams.FLOW_SEED, streams.FLOW_CARD_SEED


@torch.no_grad()
def judge(flow: flows.LabelFlow) -> dict[str, float]:
    """Measure the mean -ln q of the labels of validation stars, in normal coordinates.

    Returns
    -------
    dict
        ``nll_5``, …, ``nll_100``, by S/N.
    """
    out = {}
    for snr in SNRS:
        batch = draw(N_STARS, streams.generator("validation", SEED, snr), snr=(snr, snr))
        z = prior.to_normal(batch.labels.double()).float()
        observed = objectives.observed(flow.denoiser, batch)
        out[f"nll_{snr}"] = -float(flow.log_prob(z, observed).mean())
    return out


def score(flow: flows.LabelFlow, snr: float) -> dict[str, Any]:
    """Measure coverage on test stars of one S/N.

    Returns
    -------
    dict
        ``seconds`` a star, and for every label the share of truths in its intervals of 68 and
        95 %: value, low, high.
    """
    stars = simulate(N_TEST, TEST_SEED, snr=snr)
    start = monotonic()
    table = infer(stars.observed, stars.ivar, 199, TEST_SEED, flow=flow)
    out: dict[str, Any] = {"seconds": round((monotonic() - start) / N_TEST, 5)}
    for name in prior.LABELS:
        draws, truth = np.asarray(table[name]), np.asarray(stars.labels[name], "f8")
        out[name] = {str(q): list(metrics.coverage(draws, truth, q / 100)) for q in (68, 95)}
    return out


def train(
    name: str, profile: str, output: str | Path, seed: int = 0, device: str = "cpu"
) -> Path | None:
    """Train the flow and write weights, numbers, training log and card.

    A run that was interrupted goes on from its checkpoints in ``output``.

    Returns
    -------
    Path or None
        The card; None in all but the first of several processes, which alone writes.
    """
    how = chosen(name, profile)
    start, made, output = monotonic(), storage.provenance(device, seed), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = output / f"{name}-{profile}-{seed}"
    fresh = flows.fresh(**how.net, seed=seed)
    flow, rows = loop.fit(fresh, how, seed, device, checkpoints, judge)
    if not loop.first_process():
        return None
    loop.write_log(output / f"{name}.csv", rows)
    weights = output / f"{name}.safetensors"
    networks.save(flow, how.net, weights)
    kept = flows.read(weights).to(device)  # as users get it: half precision
    numbers = {
        "profile": profile,
        "parameters": sum(p.numel() for p in kept.parameters()),
        "steps": rows[-1]["step"],
        "stars_seen": rows[-1]["step"] * how.batch_size,
        "nll": {k: v for k, v in rows[-1].items() if k.startswith("nll")},
        "test": {str(snr): score(kept, snr) for snr in SNRS},
    }
    path = storage.write(output / f"{name}.json", numbers, made, monotonic() - start)
    card = cards.write(path, cards.flow(storage.read(path), N_TEST))
    shutil.rmtree(checkpoints)
    return card
