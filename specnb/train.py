r"""Training on the endless stream of simulated stars.

The loss is the mean square error on good pixels in units of what is usual at a star's noise level. AdamW, linear
warm-up then a cosine to zero, gradient clipping, and an exponential moving average of the weights, which is what is
kept.
"""

import copy
import csv
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from specnb import baselines, denoisers
from specnb.denoisers import MASKED
from specnb.stars import draw, generator, stream


@dataclass(frozen=True)
class Profile:
    """How much to train: network, steps, batch size, peak learning rate, share of stars with flat noise."""

    net: dict
    steps: int
    batch_size: int
    rate: float = 2e-3
    flat: float = 0.0


_SMALL, _PLAIN, _SUBSPACE = dict(stem=16, kernel=5), dict(kind="dncnn", kernel=5), dict(kind="subspace")
MODELS = {
    "bounded": {
        "smoke": Profile(dict(rank=20, components=30, width=32, blocks=1, **_SUBSPACE), steps=20, batch_size=16),
        "quick": Profile(
            dict(rank=60, components=200, width=256, blocks=2, **_SUBSPACE), 800, batch_size=64, rate=1e-3, flat=0.25
        ),
        "cpu": Profile(dict(rank=100, components=400, **_SUBSPACE), steps=8000, batch_size=128, rate=1e-3, flat=0.25),
        "full": Profile(
            dict(rank=200, components=500, directions=24, width=2048, blocks=6, **_SUBSPACE),
            steps=20000,
            batch_size=1024,
            rate=5e-4,
            flat=0.25,
        ),
    },
    "unet": {
        "smoke": Profile(dict(stem=32, channels=(32, 64)), steps=20, batch_size=16),
        "cpu": Profile(dict(channels=(64, 128, 192), **_SMALL), steps=6000, batch_size=64),
        "full": Profile(
            dict(stem=4, channels=(64, 128, 192, 256, 256), kernel=5, blocks=2), steps=20000, batch_size=256
        ),
    },
    "dncnn": {
        "smoke": Profile(dict(depth=3, width=8, **_PLAIN), steps=20, batch_size=4),
        "cpu": Profile(dict(depth=10, width=32, **_PLAIN), steps=2000, batch_size=32),
        "full": Profile(dict(depth=17, width=64, kind="dncnn"), steps=20000, batch_size=128),
    },
}
"""How each model is trained, by profile: ``bounded`` starts from the linear optimum, ``unet`` from the best answer that
looks at one pixel, as does ``dncnn``, the baseline of :class:`specnb.nets.DnCNN1D`."""


def moments(net, n=None):
    """What a denoiser of network configuration ``net`` must know of ``n`` training stars, for ``denoisers.fresh``."""
    if net.get("kind") == "subspace":
        return baselines.moments(n or 16384, net["components"])  # hundreds of components need many stars
    x = draw(n or 4096, generator("train", 0, 2**31)).x
    return x.mean(0), x.std(0)


class Balance:
    """The error that is usual at each noise level, learnt on the way: every level weighs the same in the loss.

    The weights depend on nothing but the level, so the best denoiser is still the posterior mean (Karras et al. 2024,
    arXiv:2312.02696, learn them by gradient).
    """

    LOW, STEP, BINS, RATE = -5.0, 0.5, 24, 0.05

    def __init__(self, device):
        coordinate = self.LOW + self.STEP * torch.arange(self.BINS, device=device)
        self.usual = limit(coordinate).clamp(max=0.02).log()
        """ln of the mean square error, shape (24,)."""

    def __call__(self, error, coordinate):
        """Mean of ``error`` (n,) over what is usual at noise coordinates ``coordinate`` (n,), a scalar tensor."""
        row = ((coordinate - self.LOW) / self.STEP).round().clamp(0, self.BINS - 1).long()
        usual = self.usual[row]
        change, count = torch.zeros_like(self.usual), torch.zeros_like(self.usual)
        change.index_add_(0, row, error.detach().log() - usual)
        count.index_add_(0, row, torch.ones_like(usual))
        self.usual = self.usual + self.RATE * change / count.clamp(min=1)
        return (error * torch.exp(-usual)).mean()


def limit(coordinate):
    """About the mean square error of the exact posterior mean: of 3136 pixels' noise what eleven parameters keep."""
    return 11 / 3136 * denoisers.noise_of(coordinate) ** 2


def errors(denoiser, batch):
    """Mean square error over good pixels and noise coordinate of every star, shape (n,) each."""
    m = torch.where(batch.good, batch.level * batch.sigma, MASKED)
    u = torch.where(batch.good, batch.y, denoiser.mean)
    error = ((denoiser(u, m) - batch.x).square() * batch.good).sum(1) / batch.good.sum(1)
    return error, denoisers.coordinate(m)


def fit(denoiser, profile, seed=0, device="cpu", log=None):
    """Train a denoiser.

    Parameters
    ----------
    denoiser : Denoiser
        Modified in place; not what to use afterwards.
    profile : Profile
        Steps, batch size and peak learning rate.
    seed : int
        Seed of the stream of stars.
    device : str
    log : path, optional
        CSV with step, loss, rho, rate, seconds.

    Returns
    -------
    Denoiser, list of dict
        The averaged model in evaluation mode, and the log's rows (every tenth step).
    """
    denoiser = denoiser.to(device).train()
    averaged = copy.deepcopy(denoiser).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(denoiser.parameters(), lr=profile.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    balance, rows, start, running = Balance(device), [], time.monotonic(), None
    batches = stream(profile.batch_size, seed, device=device, flat=profile.flat)
    for step in tqdm(range(profile.steps), desc="training", mininterval=2, unit="step"):
        rate = profile.rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / profile.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        error, coordinate = errors(denoiser, next(batches))
        value = balance(error, coordinate)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimiser.step()
        keep = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), denoiser.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        excess = 0.5 * (error.detach() / limit(coordinate)).log()[denoisers.noise_of(coordinate) < 0.2]
        now = np.array([value.item(), excess.mean().item()])
        running = now if running is None else 0.9 * running + 0.1 * now
        if step % 10 == 9 or step == profile.steps - 1:
            seconds = round(time.monotonic() - start, 3)
            rows.append(
                dict(step=step + 1, loss=float(running[0]), rho=math.exp(running[1]), rate=rate, seconds=seconds)
            )
    for a, b in zip(averaged.buffers(), denoiser.buffers(), strict=True):
        a.copy_(b)  # DnCNN's running statistics; at the end of the cosine the weights stand still
    if log is not None:
        with open(log, "w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "loss", "rho", "rate", "seconds"])
            writer.writeheader()
            writer.writerows(rows)
    return averaged, rows
