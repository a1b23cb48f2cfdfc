r"""Classical denoisers: what a network has to beat.

Each is a :class:`specnb.denoising.base.Denoiser`; bad pixels, whose flux does not matter, come back filled in. With y
the flux and W the diagonal matrix of ivar:

- ``none``: y itself.
- ``savgol``: a polynomial fitted with weights W to a window around every pixel (Savitzky & Golay 1964, Anal. Chem. 36,
  1627, for equal weights).
- ``wavelet``: a translation-invariant transform, each coefficient d in units of its own noise, and BayesShrink's soft
  threshold for each scale, :math:`T = 1/\sqrt{\langle d^2\rangle - 1}` (Chang, Yu & Vetterli 2000, IEEE Trans. Image
  Process. 9, 1532).
- ``gp``: :math:`\mu + K(K + W^{-1})^{-1}(y - \mu)` with the stationary kernel K of the stars' mean autocovariance.
- ``pca``: :math:`\mu + Bz` with principal components B of the stars and z by least squares with weights W.
- ``wiener``: the linear optimum, :math:`\mu + C(C + W^{-1})^{-1}(y - \mu)`, for the stars' covariance
  :math:`C = BB^\top + D` of low rank plus a diagonal (:mod:`specnb.denoising.subspace`).

``gp``, ``pca`` and ``wiener`` learn μ, B, D and K from stars of the training split; ``savgol`` and ``wavelet`` know
nothing about stars.

The constants below come from :func:`tune`: for ``savgol`` and ``pca`` the best of each bin of S/N in MSE on 64 stars of
the validation split. Improvement over the observation there, in %:

=======  =====  =====  =====  =====  ======
S/N      5–8    8–15   15–30  30–50  50–100
=======  =====  =====  =====  =====  ======
savgol   93.20  85.32  73.50  61.22  52.45
wavelet  94.97  91.21  84.68  73.62  65.39
gp       96.13  92.02  83.59  70.59  61.30
pca      99.17  98.83  98.15  97.31  96.30
wiener   99.38  99.11  98.58  97.85  97.05
=======  =====  =====  =====  =====  ======

One wavelet serves all bins: no other of those tried gains more than 0.3 points in any of these. Below S/N 15, savgol's
best windows are wider than lines: at S/N 7 the variance of a median star's pixels is a quarter of that of the noise,
and MSE does not mind losing lines. Ranks of 100 and more agree to 0.1 points; 200 is for S/N above 100. ``gp`` has
nothing to tune.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from specnb.denoising import conjugate_gradients
from specnb.denoising.base import Denoiser, PointEstimate
from specnb.denoising.networks import in_batches
from specnb.denoising.subspace import LinearDenoiser
from specnb.metrics import SNR_BINS, mse
from specnb.observed import Observed
from specnb.world import streams
from specnb.world.stars import draw

BINS = (*SNR_BINS, (100, 250), (250, 600), (600, 2000))
"""Bins of S/N for which parameters are tuned; the first and the last hold all that is below and above."""

COMPONENTS = (15, 25, 40, 50, 70, 120, 200, 200)
"""``pca``: number of components in each of ``BINS``."""

POLYNOMIALS = ((101, 2), (51, 2), (13, 2), (7, 2), (9, 4), (5, 2), (1, 0), (1, 0))
"""``savgol``: pixels of the window and order in each of ``BINS``; (1, 0) is the observation."""

WAVELET, LEVELS = "sym4", 7
"""``wavelet``: pywt's name and number of scales."""

N_STARS, RANK = 4096, 200
"""``wiener`` and ``pca``: training stars and components."""

GAP = 0.01
"""``savgol`` and ``gp``: weight of a filled-in pixel relative to a typical one; without, equations become singular."""


def _by_snr(observed: Observed, table: Any) -> list[tuple[Any, torch.Tensor]]:
    """Look up what each star needs of a table over ``BINS``: pairs (entry, rows)."""
    edges = torch.tensor([float(low) for low, _ in BINS[1:]], device=observed.device)
    bins = torch.bucketize(observed.snr, edges, right=True)
    return [(table[int(b)], (bins == b).nonzero()[:, 0]) for b in bins.unique()]


def interpolated(flux: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """Draw straight lines over bad pixels, between their good neighbours; (n, pixels) each."""
    good_pixels, out = good.cpu().numpy(), flux.cpu().numpy().copy()
    pixels = np.arange(out.shape[1])
    for i in np.flatnonzero(~good_pixels.all(1)):
        out[i] = np.interp(pixels, pixels[good_pixels[i]], out[i, good_pixels[i]])
    return torch.from_numpy(out).to(flux.device)


def bridged(observed: Observed) -> tuple[torch.Tensor, torch.Tensor]:
    """Give flux and weights without zeros: bad pixels interpolated, with a small weight."""
    weak = GAP * observed.snr[:, None] ** 2
    weight = torch.where(observed.good, observed.ivar, weak)
    return interpolated(observed.flux, observed.good), weight


# --- that know nothing about stars ------------------------------------------------------------------------------------


class Observation(Denoiser):
    """``none``: what was observed."""

    def posterior(self, observed: Observed) -> PointEstimate:
        """Take the flux as it is; bad pixels linearly between their good neighbours."""
        return PointEstimate(interpolated(observed.flux, observed.good))


@dataclass
class SavitzkyGolay(Denoiser):
    """``savgol``: local polynomials.

    Parameters
    ----------
    window, order : int, optional
        Pixels (odd, at least 2 order + 1) and order of the polynomials; by default ``POLYNOMIALS``.
    """

    window: int | None = None
    order: int | None = None

    def posterior(self, observed: Observed) -> PointEstimate:
        """Fit a polynomial to the window of every pixel and take it at the centre."""
        filled, weight = bridged(observed)
        out = torch.empty_like(filled)
        one = (self.window, self.order)
        table = POLYNOMIALS if self.window is None else (one,) * len(BINS)
        for (window, order), rows in _by_snr(observed, table):
            fit = _LocalPolynomial(window, order, filled.device)
            out[rows] = in_batches(fit, filled[rows], weight[rows], size=64)
        return PointEstimate(out)


class _LocalPolynomial:
    """Weighted fits of a polynomial to the windows around all pixels, by convolutions."""

    def __init__(self, window, order, device):
        self.half = window // 2
        power = torch.arange(2 * order + 1, device=device)
        position = torch.arange(-self.half, self.half + 1, device=device, dtype=torch.float64)
        self.kernels = (position / max(self.half, 1)) ** power[:, None]
        self.powers = power[: order + 1, None] + power[: order + 1]

    def __call__(self, y, w):
        y, w = (F.pad(v.double(), (self.half, self.half))[:, None] for v in (y, w))
        left = F.conv1d(w, self.kernels[:, None]).mT[..., self.powers]
        right = F.conv1d(w * y, self.kernels[: len(self.powers), None]).mT
        return torch.linalg.solve(left, right)[..., 0].float()


@lru_cache(maxsize=8)
def _gains(name, levels, length):
    """Fourier transform of each scale's squared filter, which takes the variance of pixels to that of coefficients."""
    import pywt  # here, because `import specnb.denoise` can do without

    impulse = np.zeros(length)
    impulse[0] = 1
    scales = pywt.swt(impulse, name, levels, trim_approx=True, norm=True)[1:]
    return [np.fft.rfft(c**2) for c in scales]


@dataclass
class Wavelet(Denoiser):
    """``wavelet``: soft threshold of an orthogonal wavelet's stationary transform.

    Not the spectrum is divided by its noise but every coefficient by its own, propagated from ivar: the first would
    print the sky lines of σ onto the star.

    Parameters
    ----------
    name : str
        As pywt calls it.
    levels : int
        Number of scales.
    """

    name: str = WAVELET
    levels: int = LEVELS

    def posterior(self, observed: Observed) -> PointEstimate:
        """Shrink the coefficients of every scale by BayesShrink's threshold."""
        return PointEstimate(in_batches(self._shrink, observed.flux, observed.ivar, size=64))

    def _shrink(self, y, w):
        import pywt  # as above

        n, block, good = y.shape[1], 2**self.levels, w > 0
        extra = -(-(n + 64) // block) * block - n
        ends = ((0, 0), (extra // 2, extra - extra // 2))
        parts = interpolated(y, good), interpolated(1 / w.where(good, 1.0), good)
        flux, variance = (np.pad(v.cpu().numpy(), ends, mode="symmetric") for v in parts)
        smooth, *details = pywt.swt(
            flux, self.name, self.levels, trim_approx=True, norm=True, axis=-1
        )
        for i, gain in enumerate(_gains(self.name, self.levels, n + extra)):
            sigma = np.sqrt(np.fft.irfft(np.fft.rfft(variance) * gain, n + extra))
            d = details[i] / sigma
            signal = np.sqrt(np.maximum((d**2).mean(1, keepdims=True) - 1, 1e-12))
            details[i] = pywt.threshold(d, 1 / signal, "soft") * sigma
        x = pywt.iswt([smooth, *details], self.name, norm=True, axis=-1)
        return torch.from_numpy(x[:, ends[1][0] :][:, :n].astype("f4")).to(y.device)


# --- that know the prior's first two moments --------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _training(n, seed=0):
    """Clean spectra of ``n`` training stars, (n, 3136)."""
    rngs = [streams.generator("train", seed, streams.MOMENTS + i) for i in range(-(-n // 1024))]
    return torch.cat([draw(1024, rng).x for rng in rngs])[:n]


@lru_cache(maxsize=8)
def moments(n: int = N_STARS, rank: int = RANK) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Learn mean μ (3136,), components B (3136, rank) times their standard deviations, and diagonal D (3136,)."""
    x = _training(n)
    mean = x.double().mean(0).float()
    x = x - mean
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, scale, basis = torch.svd_lowrank(x, q=rank + 40, niter=2)
    basis = (basis * scale)[:, :rank] / (n - 1) ** 0.5
    rest = x.square().sum(0) / (n - 1) - basis.square().sum(1)
    return mean, basis, rest.clamp(min=0)


def wiener(device: str = "cpu", rank: int = RANK) -> LinearDenoiser:
    """Make the linear optimum: the posterior mean of a Gaussian prior with the stars' moments."""
    mean, basis, diagonal = (part.to(device) for part in moments(rank=rank))
    return LinearDenoiser(mean, basis, diagonal)


@dataclass
class PrincipalComponents(Denoiser):
    """``pca``: weighted least squares on the leading components.

    Parameters
    ----------
    components : int, optional
        How many; by default ``COMPONENTS``.
    """

    components: int | None = None

    def posterior(self, observed: Observed) -> PointEstimate:
        """Fit the components to every spectrum."""
        mean, basis, _ = (part.to(observed.device) for part in moments())
        out = torch.empty_like(observed.flux)
        table = COMPONENTS if self.components is None else (self.components,) * len(BINS)
        for k, rows in _by_snr(observed, table):
            fit = LinearDenoiser(mean, basis[:, :k], torch.zeros_like(mean), ridge=1e-6)
            out[rows] = fit.denoise(observed[rows])
        return PointEstimate(out)


@lru_cache(maxsize=4)
def _density(length):
    """Power spectrum of the stars about their mean, (length/2 + 1,): the stationary kernel's Fourier transform."""
    x = _training(N_STARS)
    return torch.fft.rfft(x - x.mean(0), length).abs().square().mean(0) / x.shape[1]


@dataclass
class GaussianProcess(Denoiser):
    """``gp``: a stationary kernel, by conjugate gradients on 1 + √W K √W; the kernel acts in Fourier space.

    Parameters
    ----------
    iterations : int
        At most.
    tolerance : float
        Residual at which they stop, root mean square per pixel in units of the noise.
    """

    iterations: int = 2000
    tolerance: float = 0.01

    def posterior(self, observed: Observed) -> PointEstimate:
        """Solve for every spectrum."""
        order = observed.snr.argsort()  # stars of one batch need about as many iterations
        out = torch.empty_like(observed.flux)
        out[order] = in_batches(self._solve, *(v[order] for v in bridged(observed)), size=16)
        return PointEstimate(out)

    def _solve(self, y, w):
        n, length = y.shape[1], 6400  # at least 2 n: no wrapping
        mean, density = moments()[0].to(y.device), _density(length).to(y.device)

        def apply(transfer, v):
            return torch.fft.irfft(torch.fft.rfft(v, length) * transfer, length)[:, :n]

        root = w.sqrt()
        even = 1 / (
            1 + density * w.mean(1, keepdim=True)
        )  # exact inverse if all weights were equal
        x = conjugate_gradients.solve(
            lambda p: p + root * apply(density, root * p),
            root * (y - mean),
            enough=self.tolerance**2 * n,
            iterations=self.iterations,
            precondition=lambda r: apply(even, r),
        )
        return mean + apply(density, root * x)


METHODS: dict[str, Callable[..., Denoiser]] = {
    "none": Observation,
    "savgol": SavitzkyGolay,
    "wavelet": Wavelet,
    "gp": GaussianProcess,
    "pca": PrincipalComponents,
    "wiener": wiener,
}
"""Name → what makes the denoiser, with its settings."""

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "savgol": [{"window": 1, "order": 0}]
    + [{"window": w, "order": 2} for w in (5, 7, 9, 11, 13, 15, 19, 25, 35, 51, 71, 101)]
    + [{"window": w, "order": 4} for w in (9, 11, 13, 15, 19, 25, 35, 51, 71, 101, 151)],
    "wavelet": [
        {"name": w, "levels": k} for w in ("db2", "sym4", "sym8", "coif2") for k in (5, 6, 7, 8)
    ],
    "pca": [
        {"components": k} for k in (10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 120, 150, 200)
    ],
    "wiener": [{"rank": k} for k in (50, 100, 150, 200, 300)],
}
"""What :func:`tune` tries."""


def tune(method: str, n: int = 64, seed: int = 0) -> dict[str, list[float]]:
    """Measure the improvement in MSE over the observation of every setting of a method in every bin of S/N.

    Parameters
    ----------
    method : str
        A key of ``SETTINGS``.
    n : int
        Validation stars in each of ``BINS``, S/N log-uniform.

    Returns
    -------
    dict
        Setting, as "window=5, order=2", → one number a bin.
    """
    if method not in SETTINGS:
        raise ValueError(f"method is {method!r}; choose one of {sorted(SETTINGS)}")
    table: dict[str, list[float]] = {_said(setting): [] for setting in SETTINGS[method]}
    for i, limits in enumerate(BINS):
        stars = draw(n, streams.generator("validation", seed, streams.TUNING + i), snr=limits)
        observed = Observed(stars.y.where(stars.good, 1.0), stars.ivar)
        before = mse(observed.flux, stars.x, stars.good)
        for setting in SETTINGS[method]:
            estimate = METHODS[method](**setting).denoise(observed)
            after = mse(estimate, stars.x, stars.good)
            table[_said(setting)].append(float(1 - after.mean() / before.mean()))
    return table


def _said(setting):
    return ", ".join(f"{k}={v}" for k, v in setting.items())
