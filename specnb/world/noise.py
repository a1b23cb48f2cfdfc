r"""LAMOST-like errors: photons, sky and read-out, two arms with a dichroic, OH lines in the red.

With :math:`a_\lambda` the photons that the star delivers per pixel (throughput × colour), the variance of the
*normalised* flux is

.. math:: \sigma_\lambda^2 \propto \frac{p\,a_\lambda + s\,S_\lambda T_\lambda + r}{a_\lambda^2},
          \qquad p + s + r = 1,

scaled so that the median S/N of the continuum is 5 at level 1. The shape is drawn without regard to the star's
labels: an error vector that knew the star would hand every method information that the best possible error, which
takes the noise as given, does not use.
Functional forms and ranges were set by eye against the error vectors of LAMOST DR10 low-resolution spectra.
"""

from functools import lru_cache

import torch

from specnb.grid import N_PIXELS, RESOLUTION, SIGMA_PER_FWHM, WAVE

SNR_AT_UNIT_LEVEL = 5.0
"""Median S/N per pixel of the continuum at level 1; S/N = 5 / level."""

BAD_RUN = 4
"""Longest run of bad pixels, in pixels."""

# Strong night-sky lines, Å in air (Osterbrock & Martel 1992, PASP 104, 76; Osterbrock et al. 1996, PASP 108, 277):
# wavelength and rough peak brightness relative to the sky continuum as LAMOST sees it.
SKY_LINES = [
    (5577.34, 40), (5889.95, 5), (5895.92, 3), (6300.30, 12), (6363.78, 4), (6498.73, 1), (6533.04, 1), (6553.62, 1),
    (6863.96, 4), (6923.22, 3), (6939.52, 2), (6949.05, 1), (7244.91, 4), (7276.41, 10), (7284.44, 5), (7303.72, 4),
    (7316.28, 9), (7329.15, 4), (7340.89, 9), (7358.67, 3), (7369.25, 6), (7401.86, 4), (7523.0, 3), (7571.75, 4),
    (7712.14, 9), (7750.64, 10), (7780.43, 4), (7794.11, 11), (7808.47, 4), (7821.50, 9), (7841.27, 9), (7853.24, 5),
    (7870.74, 4), (7890.0, 4), (7913.71, 18), (7921.13, 6), (7949.20, 5), (7964.65, 13), (7980.5, 4), (7993.33, 12),
    (8014.06, 5), (8025.81, 8), (8062.36, 3), (8290.62, 8), (8298.6, 9), (8310.72, 4), (8344.60, 22), (8352.79, 8),
    (8382.39, 6), (8399.17, 20), (8415.23, 6), (8430.17, 20), (8452.25, 9), (8465.36, 16), (8493.39, 12),
    (8504.6, 8), (8538.7, 3), (8548.7, 3), (8622.0, 4), (8634.0, 4), (8649.0, 4), (8667.0, 4), (8703.0, 3),
]  # fmt: skip


def _ramp(x: torch.Tensor) -> torch.Tensor:
    return 1 / (1 + torch.exp(-x))


@lru_cache(maxsize=4)
def _templates(device: torch.device) -> list[torch.Tensor]:
    """Return the throughput of the blue arm, of the red arm, and the sky lines; each (3136,)."""
    wave = torch.tensor(WAVE, dtype=torch.float64)
    blue = (0.3 + 0.7 * _ramp((wave - 4480) / 110)) * _ramp((5830 - wave) / 60)
    peak_of_red = 1.1 + 0.6 * torch.exp(-(((wave - 7400) / 800) ** 2))
    red = _ramp((wave - 5960) / 50) * peak_of_red * _ramp((9300 - wave) / 200)
    vacuum = torch.tensor([w * 1.000277 for w, _ in SKY_LINES], dtype=torch.float64)
    peak = torch.tensor([p for _, p in SKY_LINES], dtype=torch.float64)
    width = vacuum / RESOLUTION * SIGMA_PER_FWHM
    away = (wave - vacuum[:, None]) / width[:, None]
    lines = (peak[:, None] * torch.exp(-0.5 * away**2)).sum(0)
    return [t.to(device, torch.float32) for t in (blue, red, lines)]


def draw_sigma(n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw error vectors at unit level.

    Parameters
    ----------
    n : int
        Number of spectra.
    generator : torch.Generator
        Source of randomness; its device is the device of the result.

    Returns
    -------
    torch.Tensor
        Standard deviation per pixel at level 1, shape (n, 3136), float32; median of 1/σ is 5.
    """
    device = generator.device
    blue, red, lines = _templates(device)

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, 1, generator=generator, device=device)

    u = torch.linspace(-1, 1, N_PIXELS, device=device)
    balance = torch.exp(uniform(-0.25, 0.25))  # between the arms
    throughput = blue * balance + red / balance + 0.02
    colour = torch.exp(uniform(-0.5, 0.7) * u)  # of the star, independent of its labels
    counts = throughput * colour
    counts = counts / counts.median(1, keepdim=True).values
    photon, sky, read = uniform(0.2, 1.0), uniform(0.0, 1.0) ** 2, 0.2 * uniform(0.0, 1.0) ** 2
    oh = torch.exp(uniform(-0.7, 0.7)) * lines
    sky_light = 0.6 + 0.4 * _ramp(3 * u) + oh
    background = sky_light * throughput / throughput.median(1, keepdim=True).values
    sigma = torch.sqrt(photon * counts + sky * background + read) / counts
    return sigma * (1 / sigma).median(1, keepdim=True).values / SNR_AT_UNIT_LEVEL


def draw_mask(n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw good pixels: True but for about 1 % in short runs (cosmic rays, bad columns); shape (n, 3136), bool."""
    device = generator.device
    start = torch.rand(n, N_PIXELS, generator=generator, device=device) < 0.004
    length = torch.randint(1, BAD_RUN + 1, (n, N_PIXELS), generator=generator, device=device)
    bad = start.clone()
    for shift in range(1, BAD_RUN):
        bad[:, shift:] |= (start & (length > shift))[:, :-shift]
    return ~bad
