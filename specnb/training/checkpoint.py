"""Checkpoints of a training run: tensors in safetensors and numbers in its header, written as a whole or not at all.

The two newest are kept: should a disk break one, the run goes on from the one before.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from specnb import storage

KEPT = 2


def _paths(folder: str | Path) -> list[Path]:
    return sorted(Path(folder).glob("step-*.safetensors"))


def save(
    folder: str | Path, step: int, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    """Write a checkpoint into ``folder`` and remove all but the two newest.

    Parameters
    ----------
    folder : path
    step : int
        Steps done.
    tensors : dict of str to torch.Tensor
    numbers : dict
        What JSON can hold.
    """
    storage.write_tensors(Path(folder) / f"step-{step:08d}.safetensors", tensors, numbers=numbers)
    for old in _paths(folder)[:-KEPT]:
        old.unlink()


def latest(folder: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the newest checkpoint that can be read.

    Returns
    -------
    tensors : dict of str to torch.Tensor
    numbers : dict
        Both empty if there is no checkpoint.

    Warns
    -----
    UserWarning
        If a newer one is broken.

    Raises
    ------
    ValueError
        If there are checkpoints and none can be read.
    """
    complaints: list[str] = []
    for path in reversed(_paths(folder)):
        try:
            tensors, notes = storage.read_tensors(path)
        except (SafetensorError, OSError) as error:
            complaints.append(f"{path} cannot be read ({error})")
            continue
        if complaints:
            warnings.warn(f"{'; '.join(complaints)}; going on from {path.name}", stacklevel=2)
        return tensors, notes["numbers"]
    if complaints:
        raise ValueError(f"{'; '.join(complaints)}; delete {folder} to start anew")
    return {}, {}
