r"""Training on the endless stream of simulated stars.

The loss is an error (:mod:`specnb.training.objectives`) in units of what is usual at a star's noise level. AdamW,
linear warm-up then a cosine to zero, gradient clipping, and an exponential moving average of the weights, which is
what is kept. Batch i depends only on the seed and i, so that the step is all there is to remember of random numbers.

On a GPU the network is compiled and computes in bfloat16. Several GPUs: ``torchrun --nproc-per-node 4 -m
specnb.cli train --device cuda``; each takes its share of every batch, and the result is that of one.
"""

import copy
import csv
import io
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from tqdm.auto import tqdm

from specnb import extras, storage
from specnb.training import checkpoint, yardstick
from specnb.training.objectives import OBJECTIVES
from specnb.training.profiles import Profile
from specnb.world import stars, telescope

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Row = dict[str, Any]
"""A line of the log: step, loss, rate, seconds, and what the judge says."""

WARM_UP, AVERAGE = 50, 0.998


class Balance:
    """Learn on the way which error is usual at each noise level: every level weighs the same in the loss.

    The weights depend on nothing but the level, so the best denoiser is still the posterior mean (Karras et al. 2024,
    arXiv:2312.02696, learn them by gradient).
    """

    LOW, STEP, BINS, RATE = -5.0, 0.5, 24, 0.05

    def __init__(self, device: str | torch.device):
        self.usual = torch.full((self.BINS,), torch.nan, device=device)
        """ln of the error, shape (24,); NaN where there was none yet."""

    def _row(self, coordinate: torch.Tensor) -> torch.Tensor:
        return ((coordinate - self.LOW) / self.STEP).round().clamp(0, self.BINS - 1).long()

    def __call__(self, error: torch.Tensor, coordinate: torch.Tensor) -> torch.Tensor:
        """Average ``error`` (n,) over what is usual at ``coordinate`` (n,), learnt before; a scalar."""
        return (error * torch.exp(-self.usual[self._row(coordinate)])).mean()

    def learn(self, error: torch.Tensor, coordinate: torch.Tensor) -> None:
        """Take account of the errors of one more batch; arguments as above."""
        row = self._row(coordinate)
        total, count = torch.zeros_like(self.usual), torch.zeros_like(self.usual)
        total.index_add_(0, row, error.detach().log())
        count.index_add_(0, row, torch.ones_like(self.usual[row]))
        mean = total / count  # NaN where the batch has none of a level
        moved = torch.where(self.usual.isnan(), mean, self.usual + self.RATE * (mean - self.usual))
        self.usual = torch.where(count > 0, moved, self.usual)


def rate(step: int, profile: Profile) -> float:
    """Compute the learning rate of a step."""
    return (
        profile.rate
        * min(1, (step + 1) / WARM_UP)
        * 0.5
        * (1 + math.cos(math.pi * step / profile.steps))
    )


def first_process() -> bool:
    """Say whether this process writes: of those that torchrun starts only the first does."""
    return int(os.environ.get("RANK", 0)) == 0


def _fabric(device: str | torch.device) -> "Fabric":
    """Set up one process, or what torchrun started."""
    extras.need("lightning_fabric", extra="train", purpose="Training")
    from lightning_fabric import Fabric

    world, local = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    gpu = str(device).startswith("cuda")
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if gpu else "32-true",
    )
    fabric.launch()
    return fabric


def _gathered(fabric: "Fabric", part: torch.Tensor) -> torch.Tensor:
    """Join what the processes have, (n,) each."""
    parts = fabric.all_gather(part.detach())
    assert isinstance(parts, torch.Tensor)
    return parts.flatten()


def _averaged(fabric: "Fabric", loss: torch.Tensor) -> float:
    """Average a scalar over the processes."""
    mean = fabric.all_reduce(loss.detach())
    assert isinstance(mean, torch.Tensor)
    return mean.item()


def fit(
    denoiser: Any,
    profile: Profile,
    seed: int = 0,
    device: str = "cpu",
    folder: str | Path | None = None,
    judge: Callable[[Any], dict[str, float]] | None = None,
) -> tuple[Any, list[Row]]:
    """Train a model.

    Parameters
    ----------
    denoiser : PixelDenoiser, SubspaceDenoiser or LabelFlow
        Modified in place; not what to use afterwards.
    profile : specnb.training.profiles.Profile
        Steps, batch size, peak learning rate, share of stars with flat noise, objective.
    seed : int
        Seed of the stream of stars.
    device : str
        ``cpu`` or ``cuda``.
    folder : path, optional
        Where checkpoints go, forty in a run, and where an interrupted run of the same profile and seed goes on.
    judge : callable, optional
        Takes the averaged model and returns numbers on validation stars for the log, by default
        ρ by S/N (:func:`specnb.training.yardstick.rho`).

    Returns
    -------
    denoiser, list of dict
        The averaged model in evaluation mode, and the log: step, loss, rate, seconds, and what
        ``judge`` says.

    Raises
    ------
    ValueError
        If ``folder`` holds a run of another profile or seed, or no checkpoint there can be read.
    """
    fabric, judge = _fabric(device), judge or yardstick.rho
    objective = OBJECTIVES[profile.objective]
    trained = objective.part(denoiser)
    for p in denoiser.parameters():
        p.requires_grad_(p in trained)
    averaged = copy.deepcopy(denoiser).to(fabric.device).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(
        denoiser.parameters(), lr=profile.rate, betas=(0.9, 0.99), weight_decay=1e-4
    )
    if fabric.device.type == "cuda":
        denoiser.net.compile()
    model, optimiser = fabric.setup(denoiser.train(), optimiser)
    balance = Balance(fabric.device)
    run = {"profile": repr(profile), "seed": seed}
    step, seconds, rows = _resume(folder, run, denoiser, averaged, optimiser, balance)
    start, total, every = time.monotonic() - seconds, 0.0, max(profile.steps // 40, 10)
    batches = stars.stream(
        profile.batch_size,
        seed,
        device=fabric.device,
        start=step,
        flat=profile.flat,
        diffused=objective.diffused,
        draw=telescope.draw if profile.sky else stars.draw,
    )
    bar = tqdm(
        total=profile.steps,
        initial=step,
        desc="training",
        unit="step",
        disable=not fabric.is_global_zero,
    )
    while step < profile.steps:
        for group in optimiser.param_groups:
            group["lr"] = rate(step, profile)
        batch, mine = next(batches), slice(fabric.global_rank, None, fabric.world_size)
        error, coordinate = objective.loss(
            model, type(batch)(*(part[mine] for part in vars(batch).values()))
        )
        if coordinate is not None:
            balance.learn(_gathered(fabric, error), _gathered(fabric, coordinate))
        loss = error.mean() if coordinate is None else balance(error, coordinate)
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(model, optimiser, max_norm=1.0)
        optimiser.step()
        keep = min(AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), denoiser.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        step, total = step + 1, total + _averaged(fabric, loss)
        bar.update()
        if step % every == 0 or step == profile.steps:
            for a, b in zip(averaged.buffers(), denoiser.buffers(), strict=True):
                a.copy_(b)  # DnCNN's running statistics
            row = {
                "step": step,
                "loss": total / (step % every or every),
                "rate": rate(step - 1, profile),
            }
            row |= {"seconds": round(time.monotonic() - start, 1)} | judge(averaged)
            rows, total = [*rows, row], 0.0
            bar.set_postfix(
                {k: f"{v:.3g}" for k, v in row.items() if k not in ("step", "rate", "seconds")}
            )
            if folder is not None and fabric.is_global_zero:
                tensors = _tensors(denoiser, averaged, optimiser, balance)
                checkpoint.save(folder, step, tensors, {**run, "step": step, "rows": rows})
    bar.close()
    return averaged, rows


def _tensors(
    denoiser: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer, balance: Balance
) -> dict[str, torch.Tensor]:
    """Collect all that a run must remember, by name."""
    moments = {
        f"optimiser.{i}.{name}": value
        for i, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }
    weights = {
        f"{name}.{k}": v
        for name, part in (("model", denoiser), ("average", averaged))
        for k, v in _changing(part)
    }
    return {**moments, **weights, "balance": balance.usual}


def _changing(part: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """List weights and running statistics, without the moments of the prior."""
    return [(k, v) for k, v in part.state_dict().items() if k.startswith("net.")]


def _resume(
    folder: str | Path | None,
    run: dict[str, Any],
    denoiser: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    balance: Balance,
) -> tuple[int, float, list[Row]]:
    """Set everything to where ``folder`` left it; steps, seconds and rows so far."""
    tensors, numbers = checkpoint.latest(folder) if folder is not None else ({}, {})
    if not tensors:
        return 0, 0.0, []
    for name, value in run.items():
        if numbers[name] != value:
            raise ValueError(
                f"{folder} holds a run with {name} {numbers[name]}, not {value}; give another folder"
            )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimiser":
            i, name = rest.split(".")
            state.setdefault(int(i), {})[name] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    for name, part in (("model.", denoiser), ("average.", averaged)):
        weights = {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
        part.load_state_dict(weights, strict=False)
    balance.usual = tensors["balance"].to(balance.usual.device)
    return numbers["step"], numbers["rows"][-1]["seconds"], numbers["rows"]


def write_log(path: str | Path, rows: list[Row]) -> None:
    """Write the log of a run as CSV, one line for each row; what is not a number stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if v != v else v for k, v in row.items()})
    storage.write_bytes(path, buffer.getvalue().encode())
