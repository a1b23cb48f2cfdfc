r"""Radial velocity, rotation, line-spread function and pixel integration, as one filter in Fourier space.

On a lattice of constant :math:`\Delta\log\lambda` all four are convolutions, so their product is one
transfer function of the frequency :math:`f` (cycles per native pixel):

.. math::
    H(f) = e^{-2\pi i f s}\; \hat G(2\pi f w)\; e^{-2\pi^2\sigma^2 f^2}\; \mathrm{sinc}(f)

with the shift :math:`s = \log_{10}(1 + v/c)/\Delta` of the radial velocity, Gray's rotation profile of
half-width :math:`w = v\sin i/69.03`, a Gaussian of :math:`\sigma^2 = \sigma_R^2 - \sigma_{10000}^2`
(resolutions in quadrature), and the exact mean over a pixel. Nothing is interpolated, everything is
differentiable. Rotation: Gray, *The Observation and Analysis of Stellar Photospheres*, 3rd ed., eq. 18.14.
"""

import math

import torch

from specnb.grid import (
    DLOGLAM,
    FINE_RESOLUTION,
    FIRST_PIXEL,
    N_FINE,
    N_PIXELS,
    OVERSAMPLING,
    PIXEL_VELOCITY,
    SIGMA_PER_FWHM,
    SPEED_OF_LIGHT,
)

N_FFT = 16200
"""Fine points padded to a multiple of 5 with small prime factors."""

TAPER = 80
"""Fine points at either end that fade to the continuum; the native grid starts 175 points in."""

COARSE_RESOLUTION = 2500.0
"""Up to here nothing is left above one cycle per native pixel, and a transform of 2/5 of the length is enough."""

LIMB_DARKENING = 0.6
"""Linear limb-darkening coefficient of the rotation profile (Gray's usual value)."""


class _BesselJ0(torch.autograd.Function):
    """J0 with its derivative −J1, which torch.special.bessel_j0 lacks."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.special.bessel_j0(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, grad):
        return -grad * _BesselJ1.apply(*ctx.saved_tensors)

    @staticmethod
    def jvp(ctx, tangent):
        return -tangent * _BesselJ1.apply(*ctx.saved_tensors)


class _BesselJ1(torch.autograd.Function):
    """J1 with its derivative J0 − J1/x, for x > 0; both can be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.special.bessel_j1(x)

    setup_context = _BesselJ0.setup_context

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (_BesselJ0.apply(x) - _BesselJ1.apply(x) / x)

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return tangent * (_BesselJ0.apply(x) - _BesselJ1.apply(x) / x)


def rotation_transfer(x: torch.Tensor, limb_darkening: float = LIMB_DARKENING) -> torch.Tensor:
    r"""Compute the Fourier transform of Gray's rotation profile of unit half-width and unit area.

    Parameters
    ----------
    x : torch.Tensor
        :math:`2\pi f w`, dimensionless, not negative, any shape.
    limb_darkening : float
        Linear coefficient ε.

    Returns
    -------
    torch.Tensor
        Same shape; 1 at ``x = 0``.
    """
    # areas of the two terms of G: 2(1-ε)√(1-v²) → π(1-ε), πε/2 (1-v²) → 2πε/3
    weight = (2 * limb_darkening / 3) / (1 - limb_darkening / 3)
    square, safe = x**2, x.clamp(min=0.3)
    uniform = 2 * _BesselJ1.apply(safe) / safe
    darkened = 3 * (torch.sin(safe) - safe * torch.cos(safe)) / safe**3
    second, fourth = (1 - weight) / 8 + weight / 10, (1 - weight) / 192 + weight / 280
    series = 1 - square * second + square**2 * fourth
    # near 0 the closed forms lose digits in float32; the series is exact to 1e-7
    return torch.where(x < 0.3, series, (1 - weight) * uniform + weight * darkened)


def velocity_shift(rv: torch.Tensor) -> torch.Tensor:
    """Compute the shift in native pixels of a radial velocity in km/s: ``log10(1 + rv/c) / 1e-4``, with z = rv/c."""
    return torch.log1p(rv / SPEED_OF_LIGHT) / (math.log(10) * DLOGLAM)


def lsf_width(
    resolution: torch.Tensor, base: float | torch.Tensor = FINE_RESOLUTION
) -> torch.Tensor:
    """Compute Gaussian σ in native pixels that takes resolving power ``base`` to ``resolution``, in quadrature."""
    fwhm = torch.sqrt(1 / resolution**2 - 1 / base**2)
    return fwhm * SIGMA_PER_FWHM / (math.log(10) * DLOGLAM)


def transfer(
    frequency: torch.Tensor,
    rv: torch.Tensor,
    vsini: torch.Tensor,
    resolution: torch.Tensor,
    base: float | torch.Tensor = FINE_RESOLUTION,
) -> torch.Tensor:
    """Compute the transfer function from the spectrum at resolving power ``base`` to native pixels.

    Parameters
    ----------
    frequency : torch.Tensor
        Cycles per native pixel, shape (m,).
    rv, vsini : torch.Tensor
        km/s, shape (n,).
    resolution : torch.Tensor
        Resolving power λ/FWHM below ``base``, shape (n,), or (1,) for all.
    base : float or scalar torch.Tensor
        Resolving power of the spectrum on the fine grid.

    Returns
    -------
    torch.Tensor
        Complex, shape (n, m).
    """
    width = vsini[:, None] / PIXEL_VELOCITY
    gauss = torch.exp(-2 * (math.pi * lsf_width(resolution, base)[:, None] * frequency) ** 2)
    modulus = rotation_transfer(2 * math.pi * frequency * width) * gauss * torch.sinc(frequency)
    return modulus * shifting(frequency, rv)


def shifting(frequency: torch.Tensor, rv: torch.Tensor) -> torch.Tensor:
    """Compute the transfer function of radial velocities alone, (n,) km/s at (m,) cycles per native pixel → (n, m)."""
    phase = -2 * math.pi * frequency * velocity_shift(rv)[:, None]
    return torch.complex(torch.cos(phase), torch.sin(phase))


def slopes(
    frequency: torch.Tensor, rv: torch.Tensor, resolution: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute what turns a transfer function H into ∂H/∂rv [1/(km/s)] and ∂H/∂ln R, (n, m) each: ∂H = H times it."""
    per_velocity = 1 / ((SPEED_OF_LIGHT + rv) * math.log(10) * DLOGLAM)
    sigma = SIGMA_PER_FWHM / (resolution * math.log(10) * DLOGLAM)
    moved = -2j * math.pi * frequency * per_velocity[:, None]
    return moved, (2 * math.pi * frequency * sigma[:, None]) ** 2


def to_fourier(lines: torch.Tensor) -> torch.Tensor:
    """Compute the Fourier coefficients of spectra on the fine grid.

    Parameters
    ----------
    lines : torch.Tensor
        Flux − 1 at R = 10,000, shape (n, 16151); the ends are faded to 0 so that the period has no step.

    Returns
    -------
    torch.Tensor
        Real and imaginary parts side by side, float32, shape (n, 16202).
    """
    fade = torch.ones(N_FINE, dtype=torch.float64, device=lines.device)
    angle = torch.linspace(0, math.pi / 2, TAPER, dtype=torch.float64, device=lines.device)
    ramp = torch.sin(angle) ** 2
    fade[:TAPER], fade[-TAPER:] = ramp, ramp.flip(0)
    spectrum = torch.fft.rfft(lines.double() * fade, n=N_FFT)
    return torch.view_as_real(spectrum).flatten(1).float()


def native_to_fourier(curves: torch.Tensor) -> torch.Tensor:
    """Compute the Fourier coefficients of curves on the native grid, as :func:`at_pixels` takes them.

    Parameters
    ----------
    curves : torch.Tensor
        As seen at native pixels, shape (n, 3136); beyond their ends they fade to 0.

    Returns
    -------
    torch.Tensor
        Complex, (n, 1621): up to half a cycle per native pixel, beyond which sampled curves have nothing.
    """
    length = N_FFT // OVERSAMPLING
    right = length - N_PIXELS - FIRST_PIXEL
    ends = [curves[:, :1].expand(-1, FIRST_PIXEL), curves[:, -1:].expand(-1, right)]
    fade = torch.ones(length, dtype=torch.float64, device=curves.device)
    for size, at in ((FIRST_PIXEL, slice(None, FIRST_PIXEL)), (right, slice(-right, None))):
        angle = torch.linspace(0, math.pi / 2, size, dtype=torch.float64, device=curves.device)
        ramp = torch.sin(angle) ** 2
        fade[at] = ramp if size == FIRST_PIXEL else ramp.flip(0)
    extended = torch.cat([ends[0], curves, ends[1]], 1).double() * fade
    return (OVERSAMPLING * torch.fft.rfft(extended)).to(torch.complex64)


def fourier_length(resolution: torch.Tensor) -> int:
    """Return the length of the inverse transform that holds all that spectra of these resolving powers have."""
    return 2 * N_FFT // OVERSAMPLING if float(resolution.max()) <= COARSE_RESOLUTION else N_FFT


def to_native(
    fourier: torch.Tensor,
    rv: torch.Tensor,
    vsini: torch.Tensor,
    resolution: torch.Tensor,
    base: float | torch.Tensor = FINE_RESOLUTION,
) -> torch.Tensor:
    """Observe spectra: shift, rotate, smooth, integrate over native pixels.

    Parameters
    ----------
    fourier : torch.Tensor
        From :func:`to_fourier`, cut to the first ``fourier_length(resolution) + 2`` columns or longer, shape (n, ·).
    rv, vsini, resolution : torch.Tensor
        km/s, km/s, λ/FWHM, shape (n,); a resolution for all may have shape (1,).
    base : float or scalar torch.Tensor
        Resolving power of the spectra.

    Returns
    -------
    torch.Tensor
        Flux − 1 on the native grid, shape (n, 3136).
    """
    frequency = frequencies(resolution)
    spectrum = as_complex(fourier, len(frequency))
    return at_pixels(spectrum * transfer(frequency, rv, vsini, resolution, base))


def frequencies(resolution: torch.Tensor) -> torch.Tensor:
    """Return the frequencies in cycles per native pixel that :func:`to_native` needs, (m,)."""
    bins = fourier_length(resolution) // 2 + 1
    return torch.arange(bins, device=resolution.device) * (OVERSAMPLING / N_FFT)


def as_complex(fourier: torch.Tensor, bins: int) -> torch.Tensor:
    """Take the first Fourier coefficients of :func:`to_fourier` as complex numbers, (n, ·) → (n, bins)."""
    return torch.view_as_complex(fourier[:, : 2 * bins].unflatten(1, (bins, 2)))


def at_pixels(spectrum: torch.Tensor) -> torch.Tensor:
    """Transform Fourier coefficients (…, bins) to flux − 1 on the native grid, (…, 3136)."""
    length = 2 * (spectrum.shape[-1] - 1)
    lines = torch.fft.irfft(spectrum, n=length)
    step = length * OVERSAMPLING // N_FFT  # points to a native pixel
    return lines[..., FIRST_PIXEL * step :: step][..., :N_PIXELS] * (length / N_FFT)
