r"""Training on the endless stream of simulated stars.

The loss is an error (:mod:`specnb.training.objectives`) in units of what is usual at a star's noise level. AdamW,
linear warm-up then a cosine to zero, gradient clipping, and an exponential moving average of the weights, which is
what is kept. Batch i depends only on the seed and i, so that the step is all there is to remember of random numbers.

On a GPU the network is compiled and computes in bfloat16. Several GPUs: ``torchrun --nproc-per-node 4 -m
specnb.cli train --device cuda``; each takes its share of every batch, and the result is that of one.
"""

import copy
import math
import os
import time

import pandas as pd
import torch
from tqdm.auto import tqdm

from specnb import storage
from specnb.training import checkpoint, yardstick
from specnb.training.objectives import OBJECTIVES
from specnb.world.stars import stream

WARM_UP, AVERAGE = 50, 0.998


class Balance:
    """The error that is usual at each noise level, learnt on the way: every level weighs the same in the loss.

    The weights depend on nothing but the level, so the best denoiser is still the posterior mean (Karras et al. 2024,
    arXiv:2312.02696, learn them by gradient).
    """

    LOW, STEP, BINS, RATE = -5.0, 0.5, 24, 0.05

    def __init__(self, device):
        self.usual = torch.full((self.BINS,), torch.nan, device=device)
        """ln of the error, shape (24,); NaN where there was none yet."""

    def _row(self, coordinate):
        return ((coordinate - self.LOW) / self.STEP).round().clamp(0, self.BINS - 1).long()

    def __call__(self, error, coordinate):
        """Mean of ``error`` (n,) over what is usual at ``coordinate`` (n,), which were learnt before, a scalar."""
        return (error * torch.exp(-self.usual[self._row(coordinate)])).mean()

    def learn(self, error, coordinate):
        """Take account of the errors of one more batch; arguments as above."""
        row = self._row(coordinate)
        total, count = torch.zeros_like(self.usual), torch.zeros_like(self.usual)
        total.index_add_(0, row, error.detach().log())
        count.index_add_(0, row, torch.ones_like(self.usual[row]))
        mean = total / count  # NaN where the batch has none of a level
        moved = torch.where(self.usual.isnan(), mean, self.usual + self.RATE * (mean - self.usual))
        self.usual = torch.where(count > 0, moved, self.usual)


def rate(step, profile):
    """The learning rate of a step."""
    return (
        profile.rate
        * min(1, (step + 1) / WARM_UP)
        * 0.5
        * (1 + math.cos(math.pi * step / profile.steps))
    )


def _fabric(device):
    """One process, or what torchrun started."""
    from lightning_fabric import Fabric  # here, because `import specnb` can do without

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


def fit(denoiser, profile, seed=0, device="cpu", folder=None, judge=yardstick.rho):
    """Train a denoiser.

    Parameters
    ----------
    denoiser : Denoiser, localprior.SubspaceDenoiser or flows.LabelFlow
        Modified in place; not what to use afterwards.
    profile : specnb.training.profiles.Profile
        Steps, batch size, peak learning rate, share of stars with flat noise, objective.
    seed : int
        Seed of the stream of stars.
    device : str
        ``cpu`` or ``cuda``.
    folder : path, optional
        Where checkpoints go, forty in a run, and where an interrupted run of the same profile and seed goes on.
    judge : callable
        Takes the averaged model and returns numbers on validation stars for the log.

    Returns
    -------
    denoiser, list of dict
        The averaged model in evaluation mode, and the log: step, loss, rate, seconds, and what ``judge`` says, by
        default ρ by S/N (:mod:`specnb.training.yardstick`).

    Raises
    ------
    ValueError
        If ``folder`` holds a run of another profile or seed, or no checkpoint there can be read.
    """
    fabric = _fabric(device)
    for name, p in denoiser.named_parameters():
        p.requires_grad_((".spread." in name) == (profile.objective == "spread"))
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
    objective, diffused = OBJECTIVES[profile.objective], profile.objective == "diffused"
    batches = stream(
        profile.batch_size,
        seed,
        device=fabric.device,
        start=step,
        flat=profile.flat,
        diffused=diffused,
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
        error, coordinate = objective(
            model, type(batch)(*(part[mine] for part in vars(batch).values()))
        )
        if coordinate is not None:
            balance.learn(
                *(fabric.all_gather(part.detach()).flatten() for part in (error, coordinate))
            )
        loss = error.mean() if coordinate is None else balance(error, coordinate)
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(model, optimiser, max_norm=1.0)
        optimiser.step()
        keep = min(AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), denoiser.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        step, total = step + 1, total + fabric.all_reduce(loss.detach()).item()
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


def _tensors(denoiser, averaged, optimiser, balance):
    """All that a run must remember, by name."""
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


def _changing(part):
    """Weights and running statistics, without the moments of the prior."""
    return [(k, v) for k, v in part.state_dict().items() if k.startswith("net.")]


def _resume(folder, run, denoiser, averaged, optimiser, balance):
    """Set everything to where ``folder`` left it; steps, seconds and rows so far."""
    tensors, numbers = checkpoint.latest(folder) if folder is not None else ({}, {})
    if not tensors:
        return 0, 0.0, []
    for name, value in run.items():
        if numbers[name] != value:
            raise ValueError(
                f"{folder} holds a run with {name} {numbers[name]}, not {value}; give another folder"
            )
    state = {}
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


def write_log(path, rows):
    """The log of a run as CSV."""
    storage.write_bytes(path, pd.DataFrame(rows).to_csv(index=False).encode())
