r"""The contract of every denoiser: from a noisy spectrum to what is known of the clean one.

.. math:: p(x \mid u), \qquad u = x + m \odot \epsilon .

Networks, linear and classical methods, fits, and denoisers that are guided by an observation answer it alike, so that
whoever samples need not ask which kind it holds. The shape is azula's (``azula.denoise``: one contract, one posterior
object); here the noise is a map instead of a number.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from specnb.observed import Observed


class SpectrumPosterior(ABC):
    """p(x | u) of n spectra, as a denoiser sees it."""

    @property
    @abstractmethod
    def mean(self) -> torch.Tensor:
        """E[x | u], shape (n, pixels)."""

    def draw(self, rng: torch.Generator) -> torch.Tensor:
        """Draw one clean spectrum for each of the n, shape (n, pixels).

        Raises
        ------
        NotImplementedError
            This denoiser gives a mean and no draws.
        """
        raise NotImplementedError(f"{type(self).__name__} has a mean and no draws")


class PointEstimate(SpectrumPosterior):
    """A clean spectrum without error bars.

    Parameters
    ----------
    mean : torch.Tensor
        Shape (n, pixels).
    """

    def __init__(self, mean: torch.Tensor):
        self._mean = mean

    @property
    def mean(self) -> torch.Tensor:
        """The estimate, shape (n, pixels)."""
        return self._mean


class Denoiser(ABC):
    """Whatever says something of clean spectra, given noisy ones with known diagonal noise."""

    @abstractmethod
    def posterior(self, observed: Observed) -> SpectrumPosterior:
        """Say what is known of the clean spectra.

        Parameters
        ----------
        observed : Observed
            n spectra with their noise: observations, or states of a diffusion.

        Returns
        -------
        SpectrumPosterior
        """

    @torch.no_grad()
    def denoise(self, observed: Observed) -> torch.Tensor:
        """Estimate the clean spectra of any number of observations, shape (n, pixels)."""
        return self.posterior(observed).mean


class StarDenoiser(Denoiser):
    """A denoiser that has learnt a prior over stars, from which samplers can start.

    Attributes
    ----------
    mean : torch.Tensor
        Mean of every pixel over the prior, shape (pixels,).
    """

    mean: torch.Tensor

    AT_ONCE = 64
    """Spectra that are denoised together."""

    @abstractmethod
    def scatter(self) -> torch.Tensor:
        """Standard deviation of every pixel over the prior, shape (pixels,)."""

    @torch.no_grad()
    def denoise(self, observed: Observed) -> torch.Tensor:
        """Estimate the clean spectra of any number of observations, shape (n, pixels); on the denoiser's device."""
        there = observed.to(self.mean.device).filled(self.mean)
        parts = [self.posterior(part).mean for part in there.split(self.AT_ONCE)]
        return torch.cat(parts).to(observed.device)


Estimate = Callable[[Observed], torch.Tensor]
"""What a sampler takes a step from: states → clean spectra, shape (n, pixels)."""


def by_mean(denoiser: Denoiser) -> Estimate:
    """Take the posterior mean at every step."""
    return lambda state: denoiser.posterior(state).mean


def by_draw(denoiser: Denoiser, rng: torch.Generator) -> Estimate:
    """Take a draw of the posterior at every step: ancestral steps are exact then, however few they are."""
    return lambda state: denoiser.posterior(state).draw(rng)


@torch.no_grad()
def descend(denoiser: Denoiser, observed: Observed, steps: int) -> torch.Tensor:
    r"""Take deterministic steps from the observation at its own noise level down to zero (plan's MVP-0.5; DDIM).

    :math:`u_{t-1} = \hat x + \frac{\lambda_{t-1}}{\lambda_t}(u_t - \hat x)` with :math:`\hat x = D(u_t, m_t)` and the
    map shrunk in ``steps`` equal steps. One step is the posterior mean; more steps follow the probability-flow ODE
    to one typical spectrum. In a direction of prior scatter s the mean is μ + (u − μ) s²/(s² + m²), the ODE's end
    μ + (u − μ) s/√(s² + m²): no worse where the data say all (s ≫ m) or nothing (s ≪ m), and stars have few
    directions in between.

    Parameters
    ----------
    denoiser : Denoiser
    observed : Observed
        n spectra, bad pixels filled with what the denoiser expects there.
    steps : int

    Returns
    -------
    torch.Tensor
        Shape (n, pixels).
    """
    u, noise = observed.flux, observed.noise
    for k in range(steps, 0, -1):
        x = denoiser.posterior(Observed.state(u, noise * (k / steps))).mean
        u = x + (k - 1) / k * (u - x)
    return u
