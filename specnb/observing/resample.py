r"""From the pixels of a spectrum to those of the native grid: sliced, shifted, resampled or smoothed.

A pixel of the file covers an interval of wavelengths; what no pixel covers is a gap, and absent pixels never become
data. With the step :math:`\Delta_i` between pixels i and i + 1, and the local spacing of the pixels on either side of
it, a gap is where

.. math:: \Delta_i > 1.5\,\max(s_{\rm left}, s_{\rm right}) .

Pixels of the native lattice that all lie at the same fraction of a pixel beside it are shifted by a windowed sinc:
spectra of R = 1800 have nothing near the Nyquist frequency, and a sinc leaves white noise white. Other pixels are
averaged by the share of the native pixel that they cover, which conserves flux; the information is conserved too:
:math:`\sigma_{out}^2 W^2 = \sum_i o_i\,w_i\,\sigma_i^2` with overlaps o, widths w of pixels and W of the native one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d

from specnb.grid import DLOGLAM, LOGLAM, N_PIXELS, RESOLUTION, SIGMA_PER_FWHM, WAVE

GAP = 1.5
"""Times the local spacing: a wider step is a gap."""

NEAR, SMALL = 12, 1
"""Steps on either side of one that tell the local spacing, and which of them in ascending order is taken: rows may be
missing there, too."""

JITTER = 0.02
"""Pixels by which wavelengths of a lattice may scatter (they are rounded in some files)."""

AT_REST = 3e-3
"""Offsets from the lattice below this share of a pixel (0.2 km/s) are none: wavelengths in float32 have them."""

RADIUS = 8
"""Pixels on either side that a shifted one is made of."""

SPOILT = 0.15
"""Share of a shifted pixel's weights that may fall on bad pixels."""

FAINTEST = 1e-6
"""Times the typical inverse variance: less is as little, and sums keep their digits."""

WIDTHS = 9
"""Gaussians between which one of any width is interpolated."""

LEAST_WIDTH = 0.1
"""Fine points: a Gaussian of this width changes nothing, where the spectrum is no sharper than the models."""

FINER = 5
"""Points to a native pixel where spectra are smoothed."""

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass
class Pixels:
    """Pixels of a file and what they cover.

    Attributes
    ----------
    wave, flux, ivar : numpy.ndarray
        Vacuum wavelengths in Å, ascending; flux; inverse variance, 0 = bad; (n,).
    low, high : numpy.ndarray
        Where each begins and ends, Å, (n,).
    gap : numpy.ndarray
        Whether nothing was observed between a pixel and the next, (n − 1,) bool.
    """

    wave: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    low: np.ndarray
    high: np.ndarray
    gap: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """Of each pixel, Å, (n,)."""
        return self.high - self.low

    def absent(self, wave: np.ndarray) -> np.ndarray:
        """Tell which wavelengths no pixel covers, of the shape of ``wave``."""
        pixel = np.searchsorted(self.low, wave, side="right") - 1
        return (pixel < 0) | (wave > self.high[pixel.clip(0)])

    def integral(self, density: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Integrate what each pixel has per Å (n,) from the first pixel up to wavelengths ``at``."""
        knots = np.stack([self.low, self.high], 1).ravel()
        total = np.cumsum(density * self.width)
        return np.interp(at, knots, np.stack([total - density * self.width, total], 1).ravel())


def pixels(wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> Pixels:
    """Find what the pixels of a spectrum cover, and the gaps between them; arrays of shape (n,), n > 1."""
    step = np.diff(wave)
    padded = np.pad(step, NEAR, constant_values=np.inf)
    windows = sliding_window_view(padded, NEAR)
    left, right = windows[: len(step)], windows[NEAR + 1 :]
    before, after = (np.partition(side, SMALL, axis=1)[:, SMALL] for side in (left, right))
    before, after = (
        np.where(np.isinf(before), after, before),
        np.where(np.isinf(after), before, after),
    )
    gap = step > GAP * np.maximum(before, after)  # of a few pixels in all, no step is one
    half = 0.5 * step
    high = wave[:-1] + np.where(gap, np.minimum(0.5 * before, half), half)
    low = wave[1:] - np.where(gap, np.minimum(0.5 * after, half), half)
    first, last = wave[0] - (high[0] - wave[0]), wave[-1] + (wave[-1] - low[-1])
    return Pixels(wave, flux, ivar, np.r_[first, low], np.r_[high, last], gap)


def gaps_said(found: Pixels) -> list[str]:
    """Say in a sentence, or in none, where nothing was observed inside the native grid."""
    wide = found.low[1:] - found.high[:-1]
    inside = found.gap & (found.low[1:] > WAVE[0]) & (found.high[:-1] < WAVE[-1])
    if not inside.any():
        return []
    at = int(np.argmax(np.where(inside, wide, 0)))
    where = f"{found.high[at]:.0f}-{found.low[at + 1]:.0f} Å"
    n = int(inside.sum())
    return [
        f"no pixels in {where}" + (f", and in {n - 1} smaller gaps" if n > 1 else "") + ": masked"
    ]


def lattice(wave: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Find the native pixel of every pixel (n,) and their common offset in pixels, or None if there is none."""
    step = (np.log10(wave) - LOGLAM[0]) / DLOGLAM
    # of the fractions, on a circle: some may lie on either side of a half
    turn = np.exp(2j * np.pi * step).mean()
    offset = float(np.angle(turn) / (2 * np.pi))
    place = np.round(step - offset).astype(int)
    offset += float(np.median(step - offset - place))
    on_it = np.all(np.abs(step - offset - place) < JITTER) and np.all(np.diff(place) >= 1)
    return (place, offset) if on_it else None


def sliced(found: Pixels, place: np.ndarray, offset: float) -> Arrays:
    """Put pixels of the lattice onto the native grid, shifted by their offset; flux and ivar (3136,)."""
    margin = RADIUS if abs(offset) > AT_REST else 0
    inside = (place >= -margin) & (place < N_PIXELS + margin)
    y, w = np.zeros((2, N_PIXELS + 2 * margin))
    y[place[inside] + margin], w[place[inside] + margin] = found.flux[inside], found.ivar[inside]
    if not margin:
        return y, w
    return shifted(y, w, offset)


def shifted(flux: np.ndarray, ivar: np.ndarray, offset: float) -> Arrays:
    """Shift pixels by a fraction of one: from where they are, ``offset`` redward of the grid, onto it.

    Parameters
    ----------
    flux, ivar : numpy.ndarray
        With ``RADIUS`` more pixels than the result on either side.
    offset : float
        −0.5 … 0.5 pixels.

    Returns
    -------
    flux, ivar : numpy.ndarray
        Pixels that are made of bad ones have ``ivar`` 0.
    """
    good, at = ivar > 0, np.arange(len(flux))
    if not good.any():
        return flux[RADIUS:-RADIUS], ivar[RADIUS:-RADIUS]
    away = np.arange(-RADIUS, RADIUS + 1) + offset
    kernel = np.sinc(away) * np.i0(8 * np.sqrt(1 - (away / (RADIUS + 1)) ** 2))
    kernel /= kernel.sum()
    windows = sliding_window_view(np.interp(at, at[good], flux[good]), len(kernel))
    variance = sliding_window_view(np.interp(at, at[good], 1 / ivar[good]), len(kernel))
    bad = sliding_window_view((~good).astype(float), len(kernel))
    whole = bad @ np.abs(kernel) < SPOILT
    return windows @ kernel, np.where(whole, 1 / (variance @ kernel**2), 0.0)


def resampled(found: Pixels) -> Arrays:
    """Resample onto the native grid, conserving flux; pixels that a bad one or a gap touches are bad; (3136,)."""
    good = found.ivar > 0
    edges = 10 ** (LOGLAM[0] + DLOGLAM * (np.arange(N_PIXELS + 1) - 0.5))
    seen = np.diff(found.integral(good.astype(float), edges))
    whole = (seen > 0.99 * np.diff(edges)) & (found.low[0] <= WAVE) & (found.high[-1] >= WAVE)
    if not whole.any():
        return np.zeros(N_PIXELS), np.zeros(N_PIXELS)
    scale = (
        np.median(np.abs(found.flux[good])) or 1.0
    )  # sums of fluxes of any size must not overflow
    flux = np.diff(found.integral(np.where(good, found.flux / scale, 0), edges))
    ivar = np.where(good, found.ivar * scale**2, 0)
    ivar = np.maximum(ivar, FAINTEST * np.median(ivar[good]))
    variance = np.where(good, 1 / ivar, 0) * found.width
    spread = np.diff(found.integral(variance, edges))
    y = np.where(whole, scale * flux / np.where(whole, seen, 1), 0)
    return y, np.where(whole, seen**2 / np.where(spread > 0, spread, 1) / scale**2, 0)


def _blurred(values: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Convolve with a Gaussian that may be another one at every point, (m,) each: between a few widths, linearly."""
    low, high = sigma.min(), sigma.max()
    widths = np.linspace(low, high, 1 if high - low < 0.01 * high else WIDTHS)
    blurred = np.stack([gaussian_filter1d(values, width) for width in widths])
    if len(widths) == 1:
        return blurred[0]
    place = (sigma - low) / (high - low) * (WIDTHS - 1)
    below = np.minimum(place.astype(int), WIDTHS - 2)
    share, at = place - below, np.arange(len(values))
    return (1 - share) * blurred[below, at] + share * blurred[below + 1, at]


def smoothed(found: Pixels, power: np.ndarray) -> Arrays:
    """Smooth a spectrum to the models' resolution, on the native grid; bad pixels and gaps spoil their surroundings.

    Parameters
    ----------
    found : Pixels
    power : numpy.ndarray
        λ/FWHM of every pixel, (n,).

    Returns
    -------
    flux, ivar : numpy.ndarray
        Shape (3136,).
    """
    good, wave = found.ivar > 0, found.wave
    inside = (wave[0] <= WAVE) & (wave[-1] >= WAVE)
    if good.sum() < 2 or not inside.any():
        return np.zeros(N_PIXELS), np.zeros(N_PIXELS)
    step, margin = DLOGLAM / FINER, 10 * FINER
    place = np.arange(-margin, FINER * N_PIXELS + margin) - FINER // 2
    finer = 10 ** (LOGLAM[0] + step * place)
    # of the spectrum's pixels, in fine points
    width = np.interp(finer, wave, found.width / wave) / (np.log(10) * step)
    values = _averages(
        found, finer, width, 10 ** (LOGLAM[0] + step * np.r_[place - 0.5, place[-1] + 0.5])
    )
    variance = np.interp(finer, wave[good], 1 / found.ivar[good]) * width
    missing = (1 / RESOLUTION**2 - np.interp(finer, wave, power) ** -2.0).clip(0)
    sigma = np.maximum(SIGMA_PER_FWHM * np.sqrt(missing) / (np.log(10) * step), LEAST_WIDTH)
    bad = np.maximum(np.interp(finer, wave, (~good).astype(float)), found.absent(finer))
    spoilt = _blurred(bad, sigma) > 0.05
    # fine points that a smoothed one averages
    independent = np.maximum(2 * np.sqrt(np.pi) * sigma, width)
    weight = np.where(spoilt, 0, independent / _blurred(variance, sigma))
    smooth = _blurred(values, sigma)
    of_pixels = N_PIXELS, FINER  # the fine points of each native pixel
    smooth = smooth[margin:-margin].reshape(of_pixels).mean(1)
    weight = weight[margin:-margin].reshape(of_pixels).min(1)
    return smooth, np.where(inside, weight, 0)


def _averages(found: Pixels, finer: np.ndarray, width: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Take flux to fine points: interpolated where these are finer than the pixels, averaged where they are wider."""
    good = found.ivar > 0
    filled = np.interp(found.wave, found.wave[good], found.flux[good])
    points = np.interp(finer, found.wave, filled)
    covered = np.diff(found.integral(np.ones_like(filled), edges))
    full = (width < 1) & (covered > 0.99 * np.diff(edges))
    mean = np.diff(found.integral(filled, edges)) / np.where(full, covered, 1)
    return np.where(full, mean, points)
