r"""Learn from real stars of known labels what the model lacks: :mod:`specnb.world.correction`.

With labels held at their known values, radial velocity and rotation free and the instrument's columns solved for
(:mod:`specnb.world.sky`), each star leaves a residual r. In the rest frame, pixel by pixel, ridge regression on the
terms x of the correction,

.. math:: \min_d \sum_i w_i\,\big(r_i - d^T x_i\big)^2 + \kappa\, |d_{1\dots}|^2 / s^2, \qquad w = 1/(\sigma^2 + s^2),

with the slopes shrunk, is its mean; the fit and the regression are repeated once. What is left, with the labels' own
errors among the columns so that they are not taken for the model's, is decomposed by factor analysis with known noise
(Rubin & Thayer 1982): r = Cᵀa + n.

Surveys, libraries and the Sun disagree about each other's scales. A survey's labels are shifted by ``SHIFT``, which
divides the disagreement with the Sun; a library counts less a star, and the Sun as much as a few.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from astropy.table import Table

from specnb.observed import Observed
from specnb.training.known_stars import at_rest
from specnb.world import fit, prior, sky
from specnb.world.continuum import splines
from specnb.world.correction import Components
from specnb.world.emulator import Emulator, correction_terms, load_emulator
from specnb.world.instrument import LAMOST, LIBRARY, Instrument

SHIFT = (25.0, 0.02, 0.0)
"""Added to a survey's teff, logg, m_h: half of what the Sun and other stars ask for."""

SNR_MIN = 30.0

MODEL = 0.012
"""s: typical error of the model before it is corrected, of normalised flux."""

RIDGE = 3.0
"""κ, of terms that are scaled to unit variance."""

HUBER, HUBER_STEPS = 3.0, 5
"""Size in σ from which an outlying value counts less (Huber 1964), and regressions until it does."""

LABEL_ERRORS = (50.0, 0.1, 0.05, 0.08)
"""Of known teff, logg, m_h and guessed alpha_m, star by star."""

STEPS = (-20.0, 0.05, 0.03, 0.03)
"""Differences by which slopes in these four labels are measured."""

N_COMPONENTS, EM_STEPS = 12, 30

LEAST_NOISE = 0.003
"""Error of every pixel in the factor analysis: without it, single bright stars make components."""


def alpha_of(m_h: np.ndarray) -> np.ndarray:
    """Guess [α/M] from [M/H]: the mean of disc and halo stars near the Sun."""
    return np.interp(m_h, [-1.0, -0.5, 0.0, 0.3], [0.3, 0.12, 0.0, -0.03])


@dataclass
class Source:
    """Stars of one kind of spectrum.

    Attributes
    ----------
    stars : astropy.table.Table
        From :func:`specnb.training.known_stars.load`.
    instrument : Instrument
    weight : float
        Of a star, beside a survey's.
    shift : tuple of float
        Added to their teff, logg, m_h.
    """

    stars: Table
    instrument: Instrument
    weight: float = 1.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @cached_property
    def observed(self) -> Observed:
        """Flux and the files' ivar."""
        flux, ivar = (np.asarray(self.stars[k], "f4") for k in ("flux", "ivar"))
        return Observed(torch.tensor(flux), torch.tensor(ivar))

    @property
    def start(self) -> np.ndarray:
        """Labels of the first fit, (n, 6)."""
        return np.asarray(self.stars["start"], "f8")

    @property
    def labels(self) -> np.ndarray:
        """Known labels, and rv and vsini of the first fit, (n, 6)."""
        known = [np.asarray(self.stars[k], "f8") for k in ("teff", "logg", "feh")]
        teff, logg, m_h = (x + s for x, s in zip(known, self.shift, strict=True))
        teff = teff.clip(prior.TEFF[0] + 30, prior.TEFF[1] - 20)
        logg = logg.clip(prior.logg_min(teff) + 0.02, prior.LOGG_MAX - 0.06)
        m_h = m_h.clip(prior.M_H[0] + 0.05, prior.M_H[1] - 0.05)
        return np.c_[teff, logg, m_h, alpha_of(m_h), self.start[:, 4:]]

    def __getitem__(self, rows: np.ndarray) -> "Source":
        """Take some of the stars."""
        return Source(self.stars[rows], self.instrument, self.weight, self.shift)


def survey(stars: Table) -> Source:
    """Make a source of a survey's stars, LAMOST's."""
    return Source(stars, LAMOST, 1.0, SHIFT)


def library(stars: Table) -> Source:
    """Make a source of a library's stars."""
    return Source(stars, LIBRARY, 0.25)


def sun(stars: Table) -> Source:
    """Make a source of the Sun."""
    return Source(stars, LIBRARY, 8.0)


class LabelsHeld(sky.Sky):
    """A world in which teff, logg, m_h and alpha_m are known: only velocities move."""

    def normal_equations(
        self, z: torch.Tensor, observed: Observed, weight: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute curvature and descent as any sky does, of the last two coordinates alone, and χ²."""
        curvature, gradient, chi2 = super().normal_equations(z, observed, weight)
        free = torch.tensor([0, 0, 0, 0, 1, 1], dtype=z.dtype, device=z.device)
        return curvature * free[:, None] * free + torch.diag(1 - free), gradient * free, chi2


class LabelsUncertain(sky.Sky):
    """A world whose columns hold the errors of known labels, too."""

    def columns(self, labels: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        """Compute T as any sky does, and ∂F/∂label times ``LABEL_ERRORS``; (n, k + 4, 3136)."""
        step, error = (torch.tensor(x).to(labels) for x in (STEPS, LABEL_ERRORS))
        around = labels[:, None].repeat(1, 7, 1)
        around[:, range(1, 5), range(4)] += step
        flux = self.stencil(around)
        slopes = (flux[:, 1:5] - flux[:, :1]) * (error / step)[:, None]
        return torch.cat([super().columns(labels, spectrum), slopes], 1)

    @cached_property
    def precision(self) -> torch.Tensor:
        """Diagonal of Λ⁻¹, (k + 4,), float64."""
        own = sky.Sky.precision.func(self)  # type: ignore[attr-defined]  # the base's, of fewer columns
        return torch.cat([own, own.new_ones(len(LABEL_ERRORS))])


def world(
    source: Source,
    emulator: Emulator,
    kind: type[sky.Sky] = sky.Sky,
    components: Components | None = None,
) -> sky.Sky:
    """Make the world of a source's stars."""
    instrument = source.instrument
    return kind(
        emulator, splines(instrument.knot_every), instrument=instrument, components=components
    )


@dataclass
class Residuals:
    """What fits leave.

    Attributes
    ----------
    labels : numpy.ndarray
        Of the fits, (n, 6).
    residual, variance : numpy.ndarray
        In the rest frame, (n, 3136), NaN where there is nothing; the variance is that of the files' errors times the
        instrument's factor.
    """

    labels: np.ndarray
    residual: np.ndarray
    variance: np.ndarray

    def misfit(self) -> np.ndarray:
        """Compute the root mean square of the residuals less that of the noise, (n,)."""
        left = np.nanmean(self.residual**2, 1) - np.nanmean(self.variance, 1)
        return np.sqrt(left.clip(0))


def fitted(
    fitting: sky.Sky,
    source: Source,
    start: np.ndarray,
    judging: sky.Sky | None = None,
    weight: float = 1.0,
) -> Residuals:
    """Fit stars from labels ``start`` (n, 6) in one world; residuals in it, or in another at the labels found.

    ``weight`` is the prior's: 1 for the most probable labels, ``fit.LIKELIEST`` for the most likely ones.
    """
    z = prior.to_normal(torch.tensor(start))
    seen = fitting.weigh(source.observed, fitting.spectrum(z))
    found = fit.solve(fitting, seen, z, weight, iterations=12, tolerance=0.05)
    labels = prior.from_normal(found.z)
    rows, left = labels.float(), []
    judge = judging or fitting
    for at, some in zip(rows.split(sky.AT_ONCE), seen.split(sky.AT_ONCE), strict=True):
        left.append(judge.residual(at, judge.emulated(at), some))
    good = seen.good.numpy()
    residual = np.where(good, torch.cat(left).numpy(), np.nan)
    ivar = np.where(good, source.observed.ivar.numpy(), np.nan)
    noise = source.instrument.errors**2 / ivar
    rv = labels[:, 4].numpy()
    return Residuals(labels.numpy(), at_rest(residual, rv), at_rest(noise, rv))


def _terms(labels: np.ndarray) -> np.ndarray:
    return correction_terms(torch.tensor(labels[:, :4])).numpy()


def regress(
    residual: np.ndarray, variance: np.ndarray, terms: np.ndarray, ridge: float = RIDGE
) -> np.ndarray:
    """Regress residuals on terms, pixel by pixel.

    Parameters
    ----------
    residual, variance : numpy.ndarray
        Shape (n, 3136); NaN where there is nothing. Values beyond ``HUBER`` σ count by their size alone.
    terms : numpy.ndarray
        Shape (n, k), the first of them 1.
    ridge : float

    Returns
    -------
    numpy.ndarray
        A curve a term, (k, 3136).
    """
    middle, size = terms[:, 1:].mean(0), terms[:, 1:].std(0)
    x = np.c_[terms[:, 0], (terms[:, 1:] - middle) / np.where(size > 0, size, 1)]
    known = np.nan_to_num(residual)
    error = variance + MODEL**2
    weight = np.where(np.isfinite(residual), 1 / error, 0.0)
    shrink = np.diag(np.r_[1e-3, np.full(x.shape[1] - 1, ridge)]) / MODEL**2
    trusted = weight
    for _ in range(HUBER_STEPS):
        normal = np.einsum("np,ni,nj->pij", trusted, x, x, optimize=True) + shrink
        right = np.einsum("np,ni->pi", trusted * known, x, optimize=True)
        curves = np.linalg.solve(normal, right[..., None])[..., 0].T
        away = np.abs(known - x @ curves) / np.sqrt(np.where(weight > 0, error, 1))
        trusted = weight * np.minimum(1, HUBER / np.maximum(away, 1e-9))
    slopes = curves[1:] / np.where(size > 0, size, 1)[:, None]
    return np.concatenate([curves[:1] - middle @ slopes, slopes])


def factors(
    residual: np.ndarray, variance: np.ndarray, k: int, steps: int = EM_STEPS
) -> np.ndarray:
    """Decompose residuals into factors of unit variance by expectation-maximisation, the noise known.

    Parameters
    ----------
    residual, variance : numpy.ndarray
        Shape (n, 3136); NaN where there is nothing. Values beyond 6 σ say nothing.
    k, steps : int

    Returns
    -------
    numpy.ndarray
        C, shape (k, 3136).
    """
    known = np.nan_to_num(residual)
    outlying = known**2 > 36 * (variance + MODEL**2)
    weight = np.where(np.isfinite(residual) & ~outlying, 1 / (variance + LEAST_NOISE**2), 0.0)
    _, size, shapes = np.linalg.svd(np.where(weight > 0, known, 0), full_matrices=False)
    c = shapes[:k] * size[:k, None] / np.sqrt(len(known))
    for _ in range(steps):
        precision = np.einsum("kp,np,lp->nkl", c, weight, c, optimize=True) + np.eye(k)
        covariance = np.linalg.inv(precision)
        a = np.einsum("nkl,lp,np->nk", covariance, c, weight * known, optimize=True)
        second = covariance + a[:, :, None] * a[:, None]
        normal = np.einsum("np,nkl->pkl", weight, second, optimize=True) + 100 * np.eye(k)
        right = np.einsum("np,nk->pk", weight * known, a, optimize=True)
        c = np.linalg.solve(normal, right[..., None])[..., 0].T
    return c


def _together(parts: Iterable[Residuals]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [(p.residual, p.variance, _terms(p.labels)) for p in parts]
    residual, variance, terms = (np.concatenate(column) for column in zip(*rows, strict=True))
    return residual, variance, terms


def learn_mean(sources: list[Source], n_terms: int | None = None) -> np.ndarray:
    """Learn the mean of the correction from stars, all of them; (terms, 3136), of the first ``n_terms`` or all."""
    emulator = load_emulator("cpu")
    curves = None
    for _ in range(2):
        now = emulator if curves is None else emulator.corrected(torch.as_tensor(curves))
        parts = [fitted(world(s, now, LabelsHeld), s, s.labels) for s in sources]
        for part, source in zip(parts, sources, strict=True):
            part.variance = (part.variance + MODEL**2) / source.weight - MODEL**2
        residual, variance, terms = _together(parts)
        if curves is not None:
            residual = residual + terms @ curves
        curves = np.zeros((terms.shape[1], residual.shape[1]))
        some = slice(n_terms)
        curves[some] = regress(residual, variance, terms[:, some])
    assert curves is not None
    return curves


def learn_components(sources: list[Source], mean: np.ndarray, k: int = N_COMPONENTS) -> np.ndarray:
    """Learn what differs from star to star beside the mean; (k, 3136)."""
    emulator = load_emulator("cpu").corrected(torch.as_tensor(mean))
    parts = []
    for source in sources:
        held, uncertain = (world(source, emulator, kind) for kind in (LabelsHeld, LabelsUncertain))
        part = fitted(held, source, source.labels, uncertain)
        floor = at_rest(
            np.broadcast_to(source.instrument.floor, part.residual.shape), part.labels[:, 4]
        )
        part.variance = part.variance + floor**2
        parts.append(part)
    residual, variance, _ = _together(parts)
    return factors(residual, variance, k)
