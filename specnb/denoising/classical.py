r"""Classical denoisers: what a network has to beat.

Each is a function (flux, ivar) → flux on float32 tensors of shape (n, 3136) as :func:`specnb.validate.spectra` returns
them, ivar = 0 at bad pixels, whose flux does not matter and which come back filled in. With y the flux and W the
diagonal matrix of ivar:

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

from functools import lru_cache

import numpy as np
import pywt
import torch
from torch.nn import functional as F

from specnb.denoising.networks import in_batches
from specnb.denoising.subspace import LinearPosterior
from specnb.metrics import SNR_BINS, per_spectrum
from specnb.world.stars import draw, generator

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


def snr(ivar):
    """Median of √ivar over good pixels, the S/N of a continuum at 1; (n, 3136) → (n,)."""
    return ivar.where(ivar > 0, torch.nan).nanmedian(1).values.sqrt()


def _by_snr(ivar, table):
    """What each star needs of a table over ``BINS``: pairs (entry, rows)."""
    edges = torch.tensor([float(low) for low, _ in BINS[1:]], device=ivar.device)
    bins = torch.bucketize(snr(ivar), edges, right=True)
    return [(table[int(b)], (bins == b).nonzero()[:, 0]) for b in bins.unique()]


def none(flux, ivar):
    """The observation; bad pixels linearly between their good neighbours."""
    good, out = (ivar > 0).cpu().numpy(), flux.cpu().numpy().copy()
    pixels = np.arange(out.shape[1])
    for i in np.flatnonzero(~good.all(1)):
        out[i] = np.interp(pixels, pixels[good[i]], out[i, good[i]])
    return torch.from_numpy(out).to(flux.device)


def _bridged(flux, ivar):
    """Flux and weights without zeros: bad pixels as in :func:`none`, with a small weight."""
    return none(flux, ivar), torch.where(ivar > 0, ivar, GAP * snr(ivar)[:, None] ** 2)


# --- that know nothing about stars ------------------------------------------------------------------------------------


def savgol(flux, ivar, window=None, order=None):
    """Local polynomials; ``window`` (odd, at least 2 order + 1) and ``order`` from ``POLYNOMIALS`` unless given."""
    filled, weight = _bridged(flux, ivar)
    out = torch.empty_like(flux)
    table = POLYNOMIALS if window is None else ((window, order),) * len(BINS)
    for (size, degree), rows in _by_snr(ivar, table):
        half, power = size // 2, torch.arange(2 * degree + 1, device=flux.device)
        position = torch.arange(-half, half + 1, device=flux.device, dtype=torch.float64) / max(
            half, 1
        )
        kernels = position ** power[:, None]
        powers = power[: degree + 1, None] + power[: degree + 1]

        def fit(y, w, half=half, kernels=kernels, powers=powers):
            y, w = (F.pad(v.double(), (half, half))[:, None] for v in (y, w))
            left = F.conv1d(w, kernels[:, None]).mT[..., powers]
            right = F.conv1d(w * y, kernels[: len(powers), None]).mT
            return torch.linalg.solve(left, right)[
                ..., 0
            ].float()  # the polynomial at the centre of its window

        out[rows] = in_batches(fit, filled[rows], weight[rows], size=64)
    return out


@lru_cache(maxsize=8)
def _gains(name, levels, length):
    """Fourier transform of each scale's squared filter, which takes the variance of pixels to that of coefficients."""
    impulse = np.zeros(length)
    impulse[0] = 1
    return [
        np.fft.rfft(c**2) for c in pywt.swt(impulse, name, levels, trim_approx=True, norm=True)[1:]
    ]


def wavelet(flux, ivar, name=WAVELET, levels=LEVELS):
    """Soft threshold of an orthogonal wavelet's stationary transform.

    Not the spectrum is divided by its noise but every coefficient by its own, propagated from ivar: the first would
    print the sky lines of σ onto the star.
    """
    n, block = flux.shape[1], 2**levels
    extra = -(-(n + 64) // block) * block - n
    ends = ((0, 0), (extra // 2, extra - extra // 2))
    gains = _gains(name, levels, n + extra)

    def shrink(y, w):
        y, variance = none(y, w), none(1 / w.where(w > 0, 1.0), w)
        y, variance = (np.pad(v.cpu().numpy(), ends, mode="symmetric") for v in (y, variance))
        smooth, *details = pywt.swt(y, name, levels, trim_approx=True, norm=True, axis=-1)
        for i, gain in enumerate(gains):
            sigma = np.sqrt(np.fft.irfft(np.fft.rfft(variance) * gain, n + extra))
            d = details[i] / sigma
            signal = np.sqrt(np.maximum((d**2).mean(1, keepdims=True) - 1, 1e-12))
            details[i] = pywt.threshold(d, 1 / signal, "soft") * sigma
        x = pywt.iswt([smooth, *details], name, norm=True, axis=-1)[:, ends[1][0] :][:, :n]
        return torch.from_numpy(x.astype("f4")).to(flux.device)

    return in_batches(shrink, flux, ivar, size=64)


# --- that know the prior's first two moments --------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _training(n, seed=0):
    """Clean spectra of ``n`` training stars, (n, 3136)."""
    x = [draw(1024, generator("train", seed, 2**31 + 1 + i)).x for i in range(-(-n // 1024))]
    return torch.cat(x)[:n]


@lru_cache(maxsize=8)
def moments(n=N_STARS, rank=RANK):
    """Mean μ (3136,), components B (3136, rank) times their standard deviations, and diagonal D (3136,) of the rest."""
    x = _training(n)
    mean = x.double().mean(0).float()
    x = x - mean
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, scale, basis = torch.svd_lowrank(x, q=rank + 40, niter=2)
    basis = (basis * scale)[:, :rank] / (n - 1) ** 0.5
    return mean, basis, (x.square().sum(0) / (n - 1) - basis.square().sum(1)).clamp(min=0)


def linear(flux, ivar, *prior, ridge=1.0):
    """Posterior mean of a Gaussian prior μ, B, D (:class:`specnb.denoising.subspace.LinearPosterior`), shape (n,
    pixels)."""

    def one(y, w):
        posterior = LinearPosterior(y, w, *prior, ridge)
        return posterior.spectrum(posterior.z)

    return in_batches(one, flux, ivar, size=16)


def wiener(flux, ivar, rank=RANK):
    """The linear optimum."""
    return linear(flux, ivar, *(part.to(flux.device) for part in moments(rank=rank)))


def pca(flux, ivar, components=None):
    """Weighted least squares on ``components`` of the basis, from ``COMPONENTS`` unless given."""
    mean, basis, diagonal = (part.to(flux.device) for part in moments())
    out = torch.empty_like(flux)
    for k, rows in _by_snr(ivar, COMPONENTS if components is None else (components,) * len(BINS)):
        out[rows] = linear(flux[rows], ivar[rows], mean, basis[:, :k], 0 * diagonal, ridge=1e-6)
    return out


@lru_cache(maxsize=4)
def _density(length):
    """Power spectrum of the stars about their mean, (length/2 + 1,): the stationary kernel's Fourier transform."""
    x = _training(N_STARS)
    return torch.fft.rfft(x - x.mean(0), length).abs().square().mean(0) / x.shape[1]


def gp(flux, ivar, iterations=2000, tolerance=0.01):
    """Stationary Gaussian process, by conjugate gradients on 1 + √W K √W; the kernel acts in Fourier space.

    They stop at a residual of ``tolerance``, root mean square per pixel in units of the noise.
    """
    n, length = flux.shape[1], 6400  # at least 2 n: no wrapping
    mean, density = moments()[0].to(flux.device), _density(length).to(flux.device)

    def apply(transfer, v):
        return torch.fft.irfft(torch.fft.rfft(v, length) * transfer, length)[:, :n]

    def inner(a, b):
        return (a * b).sum(1, keepdim=True)

    def one(y, w):
        root, even = (
            w.sqrt(),
            1 / (1 + density * w.mean(1, keepdim=True)),
        )  # exact inverse if all weights were equal
        r = root * (y - mean)
        q = p = apply(even, r)
        x, rq = torch.zeros_like(r), inner(r, q)
        for _ in range(iterations):
            ap = p + root * apply(density, root * p)
            step = rq / inner(p, ap).clamp(min=1e-30)
            x, r = x + step * p, r - step * ap
            if (inner(r, r) < tolerance**2 * n).all():
                break
            q, before = apply(even, r), rq
            rq = inner(r, q)
            p = q + rq / before.clamp(min=1e-30) * p
        return mean + apply(density, root * x)

    order = snr(ivar).argsort()  # stars of one batch need about as many iterations
    out = torch.empty_like(flux)
    out[order] = in_batches(one, *(v[order] for v in _bridged(flux, ivar)), size=16)
    return out


METHODS = {
    "none": none,
    "savgol": savgol,
    "wavelet": wavelet,
    "gp": gp,
    "pca": pca,
    "wiener": wiener,
}
"""Every baseline by name."""

SETTINGS = {
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


def tune(method, n=64, seed=0):
    """Improvement in MSE over the observation of every setting of a method in every bin of S/N.

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
    table = {", ".join(f"{k}={v}" for k, v in setting.items()): [] for setting in SETTINGS[method]}
    for i, limits in enumerate(BINS):
        stars = draw(n, generator("validation", seed, 2**31 + i), snr=limits)
        flux = stars.y.where(stars.good, 1.0)
        before = per_spectrum("mse", flux, stars.x, stars.good)
        for setting, row in zip(SETTINGS[method], table.values(), strict=True):
            after = per_spectrum(
                "mse", METHODS[method](flux, stars.ivar, **setting), stars.x, stars.good
            )
            row.append(float(1 - after.mean() / before.mean()))
    return table
