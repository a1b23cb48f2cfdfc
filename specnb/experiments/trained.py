"""The network of a chapter: the one that ships, or one that is trained here."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch

from specnb import storage
from specnb.denoising import networks
from specnb.training import denoiser as training


@dataclass
class Trained:
    """A network and how it was trained.

    Attributes
    ----------
    model : torch.nn.Module
        For :func:`specnb.denoising.networks.apply`.
    log : pandas.DataFrame
        Training log, a row every few steps.
    device : str
        Where it was trained, in words.
    parameters : int
        That were trained.
    """

    model: torch.nn.Module
    log: pd.DataFrame
    device: str
    parameters: int

    @property
    def steps(self) -> int:
        """Count the steps of the training."""
        return int(self.log.step.iloc[-1])

    @property
    def seconds(self) -> float:
        """Tell how long it took."""
        return float(self.log.seconds.iloc[-1])


def pick_device(name: str) -> str:
    """Name a device for torch: ``"auto"`` is the GPU where there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def network(name: str, train: bool, profile: str, seed: int, device: str) -> Trained:
    """Load the network ``name`` that ships, or train it at a profile if ``train``."""
    if train:
        model, rows = training.make(profile, seed, device, name=name)
        count = sum(p.numel() for p in model.parameters())
        return Trained(model, pd.DataFrame(rows), storage.device_name(device), count)
    assets = Path(str(files("specnb") / "assets"))
    with (assets / f"{name}.csv").open() as file:
        log = pd.read_csv(file)
    card = storage.read(assets / f"{name}.json")
    trained_on = card["provenance"]["device"]
    return Trained(networks.load(name, device), log, trained_on, card["parameters"])
