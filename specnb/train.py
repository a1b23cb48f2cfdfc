r"""Training on the endless stream of simulated stars.

The loss is the mean square error on good pixels in units of what a network that says nothing would make, so that every
noise level weighs the same. AdamW, linear warm-up then a cosine to zero, gradient clipping, and an
exponential moving average of the weights, which is what is kept.
"""

import copy
import csv
import math
import time
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from specnb import baselines
from specnb.denoisers import MASKED
from specnb.stars import draw, generator, stream


@dataclass(frozen=True)
class Profile:
    """How much to train: network configuration, steps, batch size, peak learning rate."""

    net: dict
    steps: int
    batch_size: int
    rate: float = 2e-3


_SMALL, _PLAIN, _COMPONENTS = dict(stem=16, kernel=5), dict(kind="dncnn", kernel=5), dict(kind="components")
MODELS = {
    "bounded": {
        "smoke": Profile(dict(rank=20, width=32, blocks=1, **_COMPONENTS), steps=20, batch_size=16),
        "quick": Profile(dict(rank=60, width=256, blocks=2, **_COMPONENTS), steps=800, batch_size=64, rate=1e-3),
        "cpu": Profile(dict(rank=100, width=512, blocks=3, **_COMPONENTS), steps=5000, batch_size=128, rate=1e-3),
        "full": Profile(dict(rank=200, width=2048, blocks=6, **_COMPONENTS), steps=20000, batch_size=1024, rate=5e-4),
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


def moments(net, n=baselines.N_STARS):
    """What a denoiser of network configuration ``net`` must know of ``n`` training stars, for ``denoisers.fresh``."""
    if net.get("kind") == "components":
        return baselines.moments(n, net["rank"])
    x = draw(n, generator("train", 0, 2**31)).x
    return x.mean(0), x.std(0)


def loss(denoiser, batch):
    """Mean square over good pixels of the denoiser's misfit, a scalar tensor; 1 is a network that says nothing."""
    m = torch.where(batch.good, batch.level * batch.sigma, MASKED)
    u = torch.where(batch.good, batch.y, denoiser.mean)
    return (denoiser.misfit(u, m, batch.x, batch.good).square() * batch.good).sum() / batch.good.sum()


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
        CSV with step, loss, rate, seconds.

    Returns
    -------
    Denoiser, list of dict
        The averaged model in evaluation mode, and the log's rows (every tenth step).
    """
    denoiser = denoiser.to(device).train()
    averaged = copy.deepcopy(denoiser).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(denoiser.parameters(), lr=profile.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    rows, start, running = [], time.monotonic(), None
    batches = stream(profile.batch_size, seed, device=device)
    for step in tqdm(range(profile.steps), desc="training", mininterval=2, unit="step"):
        rate = profile.rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / profile.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        value = loss(denoiser, next(batches))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimiser.step()
        keep = min(0.998, (1 + step) / (10 + step))
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), denoiser.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
            for a, b in zip(averaged.buffers(), denoiser.buffers(), strict=True):
                a.copy_(b)  # DnCNN's running statistics; at the end of the cosine the weights stand still
        running = value.item() if running is None else 0.9 * running + 0.1 * value.item()
        if step % 10 == 9 or step == profile.steps - 1:
            rows.append(dict(step=step + 1, loss=running, rate=rate, seconds=round(time.monotonic() - start, 3)))
    if log is not None:
        with open(log, "w", newline="") as file:
            writer = csv.DictWriter(file, ["step", "loss", "rate", "seconds"])
            writer.writeheader()
            writer.writerows(rows)
    return averaged, rows
