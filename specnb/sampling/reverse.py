r"""Spectra from pure noise: the reverse of a diffusion, by any denoiser D(u, m).

DDPM (Ho et al. 2020, arXiv:2006.11239) diffuses :math:`x_t = \sqrt{\bar\alpha_t}\,\tilde x + \sqrt{1-\bar\alpha_t}\,
\epsilon` with linear :math:`\beta_t` and flux in units of its scatter, :math:`\tilde x = (x - \mu)/s`. Divided by
:math:`\sqrt{\bar\alpha_t}/s` that is the observation :math:`u_t = x + m_t \epsilon` of a spectrum with flat noise

.. math:: m_t = s\,\sqrt{1/\bar\alpha_t - 1} .

A step to the next level :math:`m' < m` is, with :math:`\hat x = D(u, m)`,

.. math:: u' = \hat x + \frac{\sqrt{m'^2 - c^2}}{m}\,(u - \hat x) + c\,\epsilon, \qquad
          c = \eta\, m' \sqrt{1 - m'^2/m^2} ,

DDPM's own for η = 1 and deterministic for η = 0 (DDIM; Song et al. 2021, arXiv:2010.02502).
"""

from collections.abc import Iterable

import torch
from tqdm.auto import tqdm

from specnb import validate
from specnb.denoising import networks
from specnb.denoising.base import Denoiser, Estimate, StarDenoiser, by_mean
from specnb.observed import Observed

STEPS, BETA = 1000, (1e-4, 0.02)
BATCH = 64
"""Spectra that are sampled together."""


def levels(scale: float, steps: int = STEPS) -> torch.Tensor:
    """Compute m from pure noise down to 0 along DDPM's schedule, shape (steps + 1,), float64; ``scale`` is s."""
    kept = torch.cumprod(1 - torch.linspace(*BETA, STEPS, dtype=torch.float64), 0)
    chosen = torch.linspace(STEPS - 1, 0, steps, dtype=torch.float64).round().long()
    return torch.cat([scale * (1 / kept[chosen] - 1).sqrt(), torch.zeros(1, dtype=torch.float64)])


@torch.no_grad()
def reverse(
    estimate: Estimate,
    u: torch.Tensor,
    ms: Iterable[float],
    eta: float,
    rng: torch.Generator,
    base: torch.Tensor | float = 1.0,
) -> torch.Tensor:
    """Take noisy spectra down the levels of a noise map.

    Parameters
    ----------
    estimate : callable
        Takes states to clean spectra (n, 3136): the mean of a denoiser's posterior, or a *draw* of it, with which the
        steps of ``eta`` = 1 are exact however few they are (:func:`specnb.denoising.base.by_draw`).
    u : torch.Tensor
        Spectra with noise ``ms[0] * base``, shape (n, 3136).
    ms : sequence of float
        Falling levels, to 0.
    eta : float
        0 is deterministic, 1 is the ancestral sampler.
    rng : torch.Generator
    base : torch.Tensor, optional
        The noise map at level 1, shape (1, 3136); by default the same in all pixels.

    Returns
    -------
    torch.Tensor
        Shape (n, 3136).
    """
    ms = [float(m) for m in ms]
    for m, after in zip(ms, ms[1:], strict=False):
        x = estimate(Observed.state(u, m * base * torch.ones_like(u[:1])))
        c = eta * after * (1 - (after / m) ** 2) ** 0.5
        u = x + (after**2 - c**2) ** 0.5 / m * (u - x)
        if c:
            u = u + c * base * torch.randn(u.shape, generator=rng, device=u.device)
    return u


@torch.no_grad()
def heun(
    denoiser: Denoiser,
    u: torch.Tensor,
    ms: Iterable[float],
    churn: float,
    rng: torch.Generator,
    base: torch.Tensor | float = 1.0,
) -> torch.Tensor:
    """Take the same way in steps of second order: up to m + churn · (m - m'), then down to m' by Heun's rule.

    Karras et al. 2022 (arXiv:2206.00364), algorithm 2. As the steps become small, ``churn`` = 1 is the reverse
    diffusion and 0 the probability-flow ODE; arguments and result as for :func:`reverse`, but two calls of the
    denoiser, for its mean, a step.
    """
    estimate, ones = by_mean(denoiser), torch.ones_like(u[:1])
    ms = [float(m) for m in ms]
    for m, after in zip(ms, ms[1:], strict=False):
        up = m + churn * (m - after)
        if churn:
            normal = torch.randn(u.shape, generator=rng, device=u.device)
            u = u + (up**2 - m**2) ** 0.5 * base * normal
        slope = (u - estimate(Observed.state(u, up * base * ones))) / up
        end = u + (after - up) * slope
        if after:
            then = (end - estimate(Observed.state(end, after * base * ones))) / after
            slope = 0.5 * (slope + then)
        u = u + (after - up) * slope
    return u


def noise_start(
    denoiser: StarDenoiser, n: int, steps: int, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw states of pure noise, (n, pixels), and compute the levels down from there, (steps + 1,)."""
    scatter = denoiser.scatter()
    ms = levels(float(scatter.mean()), steps)
    noise = torch.randn(n, len(scatter), generator=rng, device=scatter.device)
    return denoiser.mean + (scatter**2 + float(ms[0]) ** 2).sqrt() * noise, ms


def sample_prior(
    n: int,
    steps: int = 50,
    eta: float = 0.0,
    seed: int = 0,
    denoiser: StarDenoiser | None = None,
) -> torch.Tensor:
    """Draw stars that no one has observed: clean spectra from pure noise.

    Parameters
    ----------
    n : int
    steps : int
        Evaluations of the network for each, at most 1000.
    eta : float
        0 is deterministic (DDIM), 1 is DDPM's ancestral sampling, which wants all 1000 steps.
    seed : int
        Same seed, same spectra.
    denoiser : StarDenoiser, optional
        Trained with flat noise; by default the one that ships.

    Returns
    -------
    torch.Tensor
        Normalised flux, shape (n, 3136).

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> sample_prior(2, steps=10, seed=1).shape
    torch.Size([2, 3136])
    """
    n, steps = validate.integer("n", n, 1), validate.integer("steps", steps, 1, STEPS)
    seed = validate.integer("seed", seed, 0)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; give a number from 0 (DDIM) to 1 (DDPM)")
    denoiser = denoiser or networks.load("bounded", "cpu")
    rng, out = torch.Generator(denoiser.mean.device).manual_seed(seed), []
    for first in tqdm(range(0, n, BATCH), desc="sampling", unit="batch", disable=n <= BATCH):
        start, ms = noise_start(denoiser, min(BATCH, n - first), steps, rng)
        out.append(reverse(by_mean(denoiser), start, ms, eta, rng))
    return torch.cat(out)
