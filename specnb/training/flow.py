"""Train the flow over labels that ships and judge it on test stars."""

from functools import partial
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
from specnb.world import prior, stars, streams, telescope
from specnb.world.instrument import LAMOST
from specnb.world.simulate import simulate
from specnb.world.sky import of_instrument

SNRS, N_STARS, N_TEST = (5, 10, 20, 50, 100), 128, 512
SEED, TEST_SEED = streams.FLOW_SEED, streams.FLOW_CARD_SEED


@torch.no_grad()
def judge(flow: flows.LabelFlow, sky: bool = False) -> dict[str, float]:
    """Measure the mean -ln q of the labels of validation stars, in normal coordinates; ``sky``: as a survey sees them.

    Returns
    -------
    dict
        ``nll_5``, …, ``nll_100``, by S/N.
    """
    out, draw = {}, telescope.draw if sky else stars.draw
    for snr in SNRS:
        batch = draw(N_STARS, streams.generator("validation", SEED, snr), snr=(snr, snr))
        z = prior.to_normal(batch.labels.double()).float()
        observed = flow.world.weigh(objectives.observed(flow.denoiser, batch))
        out[f"nll_{snr}"] = -float(flow.log_prob(z, observed).mean())
    return out


def make(
    profile: str, seed: int, device: str, folder: str | Path | None, name: str = "labels"
) -> tuple[Any, list[dict[str, Any]]]:
    """Make a flow and train it at a profile; arguments and result as of :func:`specnb.training.denoiser.make`."""
    how = chosen(name, profile)
    flow = flows.fresh(seed, of_instrument(LAMOST, device) if how.sky else None, **how.net)
    if how.start:
        flow.net.load_state_dict(flows.load().net.state_dict())
    return loop.fit(flow, how, seed, device, folder, partial(judge, sky=how.sky))


def read_sky(path: Path | str) -> flows.LabelFlow:
    """Read a flow of stars as LAMOST sees them."""
    return flows.read(path, of_instrument(LAMOST))


def coverage(flow: flows.LabelFlow, snr: float, sky: bool = False) -> dict[str, Any]:
    """Measure coverage on test stars of one S/N; ``sky``: as a survey sees them.

    Returns
    -------
    dict
        ``seconds`` a star, and for every label the share of truths in its intervals of 68 and
        95 %: value, low, high.
    """
    test = simulate(N_TEST, TEST_SEED, snr=snr, sky=sky)
    start = monotonic()
    table = infer(test.observed, test.ivar, 199, TEST_SEED, flow=flow)
    out: dict[str, Any] = {"seconds": round((monotonic() - start) / N_TEST, 5)}
    for name in prior.LABELS:
        draws, truth = np.asarray(table[name]), np.asarray(test.labels[name], "f8")
        out[name] = {str(q): list(metrics.coverage(draws, truth, q / 100)) for q in (68, 95)}
    return out


def score(flow: flows.LabelFlow, sky: bool = False) -> dict[str, Any]:
    """Measure coverage on test stars, by S/N; ``sky``: as a survey sees them."""
    return {str(snr): coverage(flow, snr, sky) for snr in SNRS}


def card(name: str, numbers: dict[str, Any]) -> cards.Card:
    """Make the model card."""
    return cards.flow(numbers, N_TEST)
