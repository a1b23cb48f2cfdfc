"""Every model that ships, by name: trained, judged on test stars, written with its model card."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from specnb import storage
from specnb.denoising import networks
from specnb.labels import flows
from specnb.training import cards, denoiser, flow, loop
from specnb.training.objectives import OBJECTIVES
from specnb.training.profiles import MODELS, chosen


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of models.

    Attributes
    ----------
    make : callable
        (profile, seed, device, folder of checkpoints, name) → trained model and log.
    read : callable
        File → model, as users get it.
    progress : str
        How the columns of the log begin that tell how good it has become.
    score : callable
        Model → numbers on test stars.
    card : callable
        (name, numbers of the results file) → model card.
    """

    make: Callable[..., tuple[Any, list[dict[str, Any]]]]
    read: Callable[[Path], Any]
    progress: str
    score: Callable[[Any], dict[str, Any]]
    card: Callable[[str, dict[str, Any]], cards.Card]


DENOISER = Kind(denoiser.make, networks.read, "rho", denoiser.score, denoiser.card)
FLOW = Kind(flow.make, flows.read, "nll", flow.score, flow.card)
SKY_FLOW = replace(FLOW, read=flow.read_sky, score=partial(flow.score, sky=True))
KINDS = {**dict.fromkeys(MODELS, DENOISER), "labels": FLOW, "labels_sky": SKY_FLOW}
"""Name → kind."""


def train(
    name: str, profile: str, output: str | Path, seed: int = 0, device: str = "cpu"
) -> Path | None:
    """Train a model that ships into ``output``: weights, numbers, training log and card.

    Parameters
    ----------
    name, profile : str
        As in :data:`specnb.training.profiles.MODELS`.
    output : path
        A folder. An interrupted run goes on from its checkpoints there.
    seed : int
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    Path or None
        The card; None in all but the first of several processes, which alone writes.

    Raises
    ------
    ValueError
        If there is no such model or profile.
    """
    how, kind = chosen(name, profile), KINDS[name]
    start, made, output = monotonic(), storage.provenance(device, seed), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints = output / f"{name}-{profile}-{seed}"
    model, rows = kind.make(profile, seed, device, checkpoints, name)
    if not loop.first_process():
        return None
    loop.write_log(output / f"{name}.csv", rows)
    completes = OBJECTIVES[how.objective].completes
    weights = output / f"{how.start if completes else name}.safetensors"
    networks.save(model, how.net, weights)
    numbers = {
        "profile": profile,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": rows[-1]["step"],
        "stars_seen": rows[-1]["step"] * how.batch_size,
        kind.progress: {k: v for k, v in rows[-1].items() if k.startswith(kind.progress)},
        "test": kind.score(kind.read(weights).to(device)),  # in half precision, as users get it
    }
    path = storage.write(output / f"{name}.json", numbers, made, monotonic() - start)
    card = cards.write(path, kind.card(name, storage.read(path)))
    shutil.rmtree(checkpoints)
    return card
