"""Train the flow over labels that ships and judge it on test stars."""

from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from specnb import metrics
from specnb.labels import flows
from specnb.labels.inference import infer
from specnb.training import cards, loop, objectives
from specnb.training.profiles import chosen
from specnb.world import prior, streams
from specnb.world.simulate import simulate
from specnb.world.stars import draw

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


def make(
    profile: str, seed: int, device: str, folder: str | Path | None, name: str = "labels"
) -> tuple[Any, list[dict[str, Any]]]:
    """Make a flow and train it at a profile; arguments and result as of :func:`specnb.training.denoiser.make`."""
    how = chosen(name, profile)
    return loop.fit(flows.fresh(**how.net, seed=seed), how, seed, device, folder, judge)


def coverage(flow: flows.LabelFlow, snr: float) -> dict[str, Any]:
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


def score(flow: flows.LabelFlow) -> dict[str, Any]:
    """Measure coverage on test stars, by S/N."""
    return {str(snr): coverage(flow, snr) for snr in SNRS}


def card(name: str, numbers: dict[str, Any]) -> cards.Card:
    """Make the model card."""
    return cards.flow(numbers, N_TEST)
