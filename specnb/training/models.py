"""Every model that ships, by name, and what trains it."""

from collections.abc import Callable
from pathlib import Path

from specnb.training import denoiser, flow
from specnb.training.profiles import MODELS, chosen

Trainer = Callable[[str, str, str | Path, int, str], Path | None]
"""(name, profile, output, seed, device) → the card that was written."""

TRAINERS: dict[str, Trainer] = {**dict.fromkeys(MODELS, denoiser.train), "labels": flow.train}


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
        The card; None in all but the first of several processes.

    Raises
    ------
    ValueError
        If there is no such model or profile.
    """
    chosen(name, profile)
    return TRAINERS[name](name, profile, output, seed, device)
