"""Spectra from pure noise (MVP-0.0): samples of the prior, and the plan's failure on purpose."""

from dataclasses import dataclass

import numpy as np
import torch

from specnb.denoising.local_prior import SubspaceDenoiser
from specnb.denoising.networks import TARGETS, PixelDenoiser
from specnb.experiments.realism import Distances
from specnb.experiments.results import Record
from specnb.sampling import reverse
from specnb.training.denoiser import make
from specnb.world.simulate import simulate

HELD_OUT, DDIM = "held-out", "DDIM, 50 steps"
"""Names of two sets of spectra."""


@dataclass(frozen=True)
class Baseline(Record):
    """What baseline.json holds.

    Attributes
    ----------
    n, n_slow : int
        Samples of each set; of DDPM with 1,000 steps.
    distances : dict
        Set of samples → :class:`specnb.experiments.realism.Distances` from held-out spectra.
    eps_loss : float
        Of the network of the failure.
    roughness : dict
        How its answer is read, "eps" or "x0" → pixel-to-pixel scatter of its samples over that of stars.
    """

    n: int
    n_slow: int
    distances: dict[str, Distances]
    eps_loss: float
    roughness: dict[str, float]


def samples(model: SubspaceDenoiser, n: int, seed: int, n_slow: int = 0) -> dict[str, np.ndarray]:
    """Draw sets of spectra, (n, 3136) each, by several ways; ``n_slow`` by DDPM with 1,000 steps."""
    rng = torch.Generator().manual_seed(seed)

    def sampled(count, steps, eta):
        return reverse.sample_prior(count, steps, eta, seed, model).cpu().numpy()

    sets = {
        HELD_OUT: simulate(n, seed + 2).flux,
        DDIM: sampled(n, 50, 0.0),
        "one step": sampled(n, 1, 0.0),
        "Gaussian": model.draw_gaussian(n, rng).cpu().numpy(),
    }
    if n_slow:
        sets["DDPM, 1000 steps"] = sampled(n_slow, 1000, 1.0)
    return sets


def eps_loss(model: PixelDenoiser, n: int, seed: int) -> float:
    """Return the mean square error of the noise in units of itself over DDPM's levels, each alike, as in the plan."""
    stars = simulate(n, seed)
    x = torch.as_tensor(stars.flux, device=model.mean.device)
    ms = reverse.levels(float(model.scatter().mean()))[:-1]
    rng = torch.Generator(x.device).manual_seed(seed)
    m = ms[torch.linspace(0, len(ms) - 1, n).long()].float().to(x.device)[:, None].expand_as(x)
    with torch.no_grad():
        error = model(x + m * torch.randn(x.shape, generator=rng, device=x.device), m) - x
    return float((error / m).square().mean())


def failure(
    profile: str, seed: int, device: str, n: int = 8
) -> tuple[float, dict[str, np.ndarray]]:
    """Train a network to answer the noise ε, and read its answer as that and as the spectrum.

    Returns
    -------
    loss : float
    samples : dict
        "eps" and "x0" → samples, (n, 3136).
    """
    model, _ = make(profile, seed, device, name="eps")
    loss = eps_loss(model, 64, seed + 3)
    read = {}
    for target in ("eps", "x0"):
        model.target = TARGETS[target]
        read[target] = reverse.sample_prior(n, 50, 0.0, seed, model).cpu().numpy()
    return loss, read


def roughness(flux: np.ndarray, stars: np.ndarray) -> float:
    """Return the pixel-to-pixel scatter of spectra over that of stars, (n, 3136) each."""
    return float(np.diff(flux).std() / np.diff(stars).std())
