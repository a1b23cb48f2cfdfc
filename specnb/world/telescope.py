r"""Stars as telescopes see them: real stars' spectra, arms, wiggles, correlated noise, the air and the gas between.

.. math:: y = m \cdot t \cdot (1 + g) \cdot \Big(1 + \sum_k c_k P_k\Big)\, F_a(\theta) + \lambda\,\sigma\,e\,\epsilon

F is the corrected emulator with components of its own (:mod:`specnb.world.correction`), seen by each arm a with a
zero-point of velocity and a resolving power of its own; g are wiggles of 50 to 300 pixels, t what the gas between the
stars and the oxygen of the air let through, m a step where arms meet, e factors by which files misstate their errors,
and ε is correlated from pixel to pixel. It is what :mod:`specnb.world.sky` assumes, and some things that it does not.
"""

from dataclasses import dataclass

import numpy as np
import torch

from specnb.grid import N_PIXELS, RESOLUTION, SIGMA_PER_FWHM, SPEED_OF_LIGHT, WAVE
from specnb.world import noise
from specnb.world.continuum import splines
from specnb.world.correction import load_corrected
from specnb.world.instrument import LAMOST, OXYGEN, Instrument
from specnb.world.prior import draw_labels
from specnb.world.stars import SNR, Batch, legendre

WIGGLE_EVERY = 40
"""Pixels between two knots of the wiggles: they are 50 to 300 pixels long."""

WIGGLES = 0.4
"""Their size as a share of the instrument's floor, which is an error that counts as white noise does."""

STEP, STEP_WIDTH = 0.03, 60.0
"""Standard deviation of the step between two arms, and how gently they meet, in Å."""

MISSTATED = 0.15
"""Standard deviation of the logarithm of the factor of an arm's errors, beside the instrument's own."""

CORRELATION = 0.15
"""Reach of the neighbours' correlation about the instrument's own."""

GAS = (
    (5891.58, 0.35, 1.0),
    (5897.56, 0.35, 0.65),
    (5782.1, 2.1, 0.25),
    (5798.7, 0.9, 0.08),
    (6285.5, 4.0, 0.5),
    (6615.4, 0.9, 0.1),
)
"""Interstellar lines: wavelength (Å, vacuum), own FWHM (Å), strength beside Na D2. Na D after Munari & Zwitter 1997
(A&A 318, 269), diffuse bands after Friedman et al. 2011 (ApJ 727, 33)."""

GAS_EW, GAS_VELOCITY, OWN = 0.35, 25.0, 0.5
"""Median equivalent width of Na D2 (Å; log-normal, of ln-scatter 1), σ of the gas's velocity (km/s), ln-scatter of each
line's own strength."""

OXYGEN_DEPTH = 0.08
"""Largest depth of the O₂ band."""


@dataclass
class SkyBatch(Batch):
    """Stars of a sky on one device: a :class:`specnb.world.stars.Batch`, and what was done to them.

    Attributes
    ----------
    transmission : torch.Tensor
        Of the gas between the stars and of the air, (n, 3136); ``x`` is without it.
    velocity, ln_resolution : torch.Tensor
        Of every arm, in km/s and beside ln 1800, (n, arms).
    amplitudes : torch.Tensor
        Of the components, (n, k).
    """

    transmission: torch.Tensor
    velocity: torch.Tensor
    ln_resolution: torch.Tensor
    amplitudes: torch.Tensor


class _Draws:
    """Random numbers for n stars on the generator's device."""

    def __init__(self, n: int, rng: torch.Generator):
        self.n, self.rng = n, rng

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(self.n, *shape, generator=self.rng, device=self.rng.device)

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(self.n, *shape, generator=self.rng, device=self.rng.device)


def draw(
    n: int,
    rng: torch.Generator,
    level: torch.Tensor | None = None,
    snr: tuple[float, float] = SNR,
    instrument: Instrument = LAMOST,
) -> SkyBatch:
    """Simulate ``n`` stars as :func:`specnb.world.stars.draw` does, as an instrument sees them.

    ``sigma`` is what a file would say; the noise is as much larger or smaller as such files are wrong.
    """
    device, draws = rng.device, _Draws(n, rng)
    emulator, components = load_corrected(str(device))
    labels = draw_labels(n, rng)
    of_arm = torch.tensor(instrument.of_arm, device=device)
    spread = torch.tensor(
        [[arm.velocity, arm.ln_resolution] for arm in instrument.arms], device=device
    )
    velocity, ln_resolution = (
        spread.T[:, None] * draws.normal(2, len(spread)).movedim(1, 0)
    ).unbind()
    flux = torch.ones(n, N_PIXELS, device=device)
    for a, pixels in enumerate(of_arm):
        power = RESOLUTION * torch.exp(ln_resolution[:, a])
        seen = emulator(labels[:, :4], labels[:, 4] + velocity[:, a], labels[:, 5], power)
        flux = torch.where(pixels, seen, flux)
    amplitudes = draws.normal(len(components))
    flux = flux + (amplitudes[:, None] @ components.at(labels[:, 4]))[:, 0]
    x = flux * (1 + labels[:, 6:] @ legendre(str(device)))
    transmission = _gas(draws) * _oxygen(draws)
    sigma, good = noise.draw_sigma(n, rng), noise.draw_mask(n, rng)
    if level is None:
        share = draws.uniform(1)
        level = noise.SNR_AT_UNIT_LEVEL / snr[0] * (snr[0] / snr[1]) ** share
    level = torch.as_tensor(level, dtype=torch.float32, device=device)
    error = level * sigma * _misstated(draws, instrument, of_arm)
    bent = x * transmission * _wiggles(draws, instrument) * _steps(draws, instrument)
    y = torch.where(
        good, bent + error * _correlated(draws, instrument), 2 * draws.normal(N_PIXELS).abs()
    )
    return SkyBatch(
        x, y, sigma, level, good, labels, transmission, velocity, ln_resolution, amplitudes
    )


def _wave(device: torch.device) -> torch.Tensor:
    return torch.tensor(WAVE, dtype=torch.float32, device=device)


def _gas(draws: _Draws) -> torch.Tensor:
    """Draw what the gas between the stars lets through, (n, 3136): all of its lines at one velocity."""
    wave = _wave(draws.rng.device)
    table = torch.tensor(GAS, dtype=torch.float32, device=wave.device)
    ew = GAS_EW * torch.exp(draws.normal(1) + OWN * draws.normal(len(GAS))) * table[:, 2]
    centre = table[:, 0] * (1 + GAS_VELOCITY * draws.normal(1) / SPEED_OF_LIGHT)
    width = torch.sqrt(table[:, 1] ** 2 + (table[:, 0] / RESOLUTION) ** 2) * SIGMA_PER_FWHM
    depth = ew / (width * np.sqrt(2 * np.pi))
    lines = torch.ones(draws.n, N_PIXELS, device=wave.device)
    for k in range(len(GAS)):
        away = (wave - centre[:, k, None]) / width[k]
        lines = lines * (1 - depth[:, k, None].clamp(max=0.8) * torch.exp(-0.5 * away**2))
    return lines


def _oxygen(draws: _Draws) -> torch.Tensor:
    """Draw what the γ band of oxygen lets through, (n, 3136): a head at its blue end, and a tail."""
    wave, (first, last) = _wave(draws.rng.device), OXYGEN
    inside = (wave > first + 3) & (wave < last)
    shape = inside * torch.exp(-(wave - first - 3).clamp(min=0) / 20)
    return 1 - OXYGEN_DEPTH * draws.uniform(1) * shape


def _misstated(draws: _Draws, instrument: Instrument, of_arm: torch.Tensor) -> torch.Tensor:
    """Draw true errors over the files', (n, 3136)."""
    own = torch.tensor(instrument.errors, dtype=torch.float32, device=of_arm.device)
    factor = torch.exp(MISSTATED * draws.normal(len(of_arm)))
    return own * torch.where(of_arm, factor[:, :, None], 0.0).sum(1).clamp(min=1e-3)


def _wiggles(draws: _Draws, instrument: Instrument) -> torch.Tensor:
    """Draw smooth wiggles about 1, (n, 3136), whose size follows the instrument's floor."""
    device = draws.rng.device
    basis = splines(WIGGLE_EVERY, str(device)).basis
    floor = torch.tensor(instrument.floor, dtype=torch.float32, device=device)
    size = basis.square().sum(0).sqrt()  # rms of a sum with coefficients of unit variance
    return 1 + WIGGLES * floor * (draws.normal(len(basis)) @ basis) / size


def _steps(draws: _Draws, instrument: Instrument) -> torch.Tensor:
    """Draw a step at the start of every arm but the first, (n, 3136)."""
    wave = _wave(draws.rng.device)
    steps = torch.ones(draws.n, N_PIXELS, device=wave.device)
    for arm in instrument.arms[1:]:
        steps = steps + STEP * draws.normal(1) * torch.tanh((wave - arm.first) / STEP_WIDTH)
    return steps


def _correlated(draws: _Draws, instrument: Instrument) -> torch.Tensor:
    """Draw noise of unit variance, (n, 3136), whose neighbours correlate about as the instrument's do.

    A moving average of two: its correlation at lag 1 is that of the autoregression, and there is none beyond.
    """
    device = draws.rng.device
    rho = torch.tensor(instrument.correlation, dtype=torch.float32, device=device)
    own = rho + CORRELATION * (2 * draws.uniform(1) - 1) * (rho > 0)
    own = own.clamp(0, 0.45)
    # y = (e_i + b e_{i-1}) / sqrt(1 + b²) has the correlation b / (1 + b²)
    b = torch.where(own > 1e-4, (1 - (1 - 4 * own**2).sqrt()) / (2 * own.clamp(min=1e-4)), 0.0)
    e = draws.normal(N_PIXELS + 1)
    return (e[:, 1:] + b * e[:, :-1]) * (1 + b**2).rsqrt()
