r"""What a network learns from: of every star an error, and the noise level at which it was made.

Each is a function (denoiser, batch) → error, noise coordinate, of shape (n,) each:

- ``mse``: mean square error of D(y, m); its minimum is the posterior mean.
- ``wmae``: mean of \|D(y, m) − x\| / σ (the plan's MVP-0.6); its minimum is the posterior median of every pixel.
- ``diffused``: mean square error of D(u, m | y), u a state of x's diffusion that knows nothing of y's noise.
- ``spread``: -ln p(z | y) of the local posterior a component, for the part of a network that draws need. There is no
  level: it is in units of its own.
- ``labels``: -ln q(θ | y) of a flow over labels (:mod:`specnb.labels.flows`); no level, either.
"""

import torch

from specnb.denoising.noisemaps import MASKED, coordinate
from specnb.world import prior


def observed(denoiser, batch):
    """Flux and noise map as a denoiser takes them."""
    m = torch.where(batch.good, batch.level * batch.sigma, MASKED)
    return torch.where(batch.good, batch.y, denoiser.mean), m


def mse(denoiser, batch):
    """Mean square error over good pixels."""
    u, m = observed(denoiser, batch)
    square = (denoiser(u, m) - batch.x).square()
    return (square * batch.good).sum(1) / batch.good.sum(1), coordinate(m)


def wmae(denoiser, batch):
    """Mean absolute error over good pixels in units of σ at unit level."""
    u, m = observed(denoiser, batch)
    absolute = (denoiser(u, m) - batch.x).abs() / batch.sigma
    return (absolute * batch.good).sum(1) / batch.good.sum(1), coordinate(m)


def diffused(denoiser, batch):
    """Mean square error given both a state and an observation; the level is that of both together."""
    y, m = observed(denoiser, batch)
    _, seen = denoiser.look(y, m)
    flat = batch.again_level.expand_as(y)
    error = (denoiser(batch.again, flat, seen) - batch.x).square().mean(1)
    return error, -0.5 * torch.logaddexp(-2 * coordinate(m), -2 * coordinate(flat))


def spread(denoiser, batch):
    """How little the local posterior expected the truth; a star cannot count for more than 20 a component."""
    u, m = observed(denoiser, batch)
    return (denoiser.surprise(batch.x, u, m) / denoiser.rank).clamp(max=20).float(), None


def labels(flow, batch):
    """-ln q of the true labels in normal coordinates, and of the guess; what exceeds 10 counts by its logarithm."""
    z = prior.to_normal(batch.labels.double()).float()
    parts = flow.surprise(z, *observed(flow.eyes, batch))
    return sum(part.clamp(max=10) + (part - 10).clamp(min=0).log1p() for part in parts), None


OBJECTIVES = {"mse": mse, "wmae": wmae, "diffused": diffused, "spread": spread, "labels": labels}
