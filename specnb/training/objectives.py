r"""What a network learns from: of every star an error, and the noise level at which it was made.

Each loss is a function (model, batch) → error, noise coordinate, of shape (n,) each:

- ``mse``: mean square error of D(y, m); its minimum is the posterior mean.
- ``wmae``: mean of \|D(y, m) − x\| / σ (the plan's MVP-0.6); its minimum is the posterior median of every pixel.
- ``diffused``: mean square error of D(u, m | y), u a state of x's diffusion that knows nothing of y's noise.
- ``spread``: -ln p(z | y) of the local posterior a component, for the part of a network that draws need. There is no
  level: it is in units of its own.
- ``labels``: -ln q(θ | y) of a flow over labels (:mod:`specnb.labels.flows`); no level, either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from specnb.denoising.noisemaps import coordinate
from specnb.observed import MASKED, Observed
from specnb.world import prior
from specnb.world.stars import Batch, DiffusedBatch

Errors = tuple[torch.Tensor, torch.Tensor | None]
"""Error and noise coordinate, (n,) each; None if the error is in units of its own."""


def observed(denoiser: Any, batch: Batch) -> Observed:
    """Show a batch of stars as a denoiser takes them, bad pixels filled with its mean."""
    noise = torch.where(batch.good, batch.level * batch.sigma, MASKED)
    return Observed.state(torch.where(batch.good, batch.y, denoiser.mean), noise)


def mse(denoiser: Any, batch: Batch) -> Errors:
    """Take the mean square error over good pixels."""
    seen = observed(denoiser, batch)
    square = (denoiser(seen.flux, seen.noise) - batch.x).square()
    return (square * batch.good).sum(1) / batch.good.sum(1), coordinate(seen.noise)


def wmae(denoiser: Any, batch: Batch) -> Errors:
    """Take the mean absolute error over good pixels in units of σ at unit level."""
    seen = observed(denoiser, batch)
    absolute = (denoiser(seen.flux, seen.noise) - batch.x).abs() / batch.sigma
    return (absolute * batch.good).sum(1) / batch.good.sum(1), coordinate(seen.noise)


def diffused(denoiser: Any, batch: DiffusedBatch) -> Errors:
    """Take the mean square error given a state and an observation; the level is that of both together."""
    beside = observed(denoiser, batch)
    _, seen = denoiser.look(beside)
    flat = batch.again_level.expand_as(beside.flux)
    error = (denoiser(batch.again, flat, seen) - batch.x).square().mean(1)
    both = torch.logaddexp(-2 * coordinate(beside.noise), -2 * coordinate(flat))
    return error, -0.5 * both


def spread(denoiser: Any, batch: Batch) -> Errors:
    """Measure how little the local posterior expected the truth; a star counts for at most 20 a component."""
    surprise = denoiser.surprise(batch.x, observed(denoiser, batch))
    return (surprise / denoiser.rank).clamp(max=20).float(), None


def labels(flow: Any, batch: Batch) -> Errors:
    """Take -ln q of the true labels in normal coordinates, and of the guess; beyond 10 it grows as a logarithm."""
    z = prior.to_normal(batch.labels.double()).float()
    seen = flow.world.weigh(observed(flow.denoiser, batch))
    first, second = (
        part.clamp(max=10) + (part - 10).clamp(min=0).log1p() for part in flow.surprise(z, seen)
    )
    return first + second, None


def the_spread(model: nn.Module) -> set[nn.Parameter]:
    """Find what says how far stars scatter about a network's answer; networks on pixels have no such part."""
    part = getattr(model.net, "spread", None)
    return set() if part is None else set(part.parameters())


def the_answer(model: nn.Module) -> set[nn.Parameter]:
    """Find all parameters but those of the spread."""
    return set(model.parameters()) - the_spread(model)


@dataclass(frozen=True)
class Objective:
    """What training minimises, and over which parameters.

    Attributes
    ----------
    loss : callable
        (model, batch) → :data:`Errors`.
    part : callable
        Model → the parameters that are trained; the others stay as they are.
    diffused : bool
        The loss needs batches with a state of each star's diffusion.
    completes : bool
        What is trained completes the model that training starts from, and is saved under its name.
    """

    loss: Callable[[Any, Any], Errors]
    part: Callable[[nn.Module], set[nn.Parameter]] = the_answer
    diffused: bool = False
    completes: bool = False


OBJECTIVES = {
    "mse": Objective(mse),
    "wmae": Objective(wmae),
    "diffused": Objective(diffused, diffused=True),
    "spread": Objective(spread, part=the_spread, completes=True),
    "labels": Objective(labels),
}
"""Name in a profile → objective."""
