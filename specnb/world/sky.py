r"""The likelihood of real spectra: a star, what an instrument does to it, and noise that is correlated.

.. math:: y = F(\theta) + T a + n, \qquad a \sim N(0, \Lambda), \quad n \sim N(0, N),

with columns T that are the continuum (F times cubic splines, nearly free), a zero-point of velocity and of ln R for
each arm (∂F/∂v and ∂F/∂ln R inside of it), microturbulence where the emulator knows of it, and components of what
real stars have beside the model. All of a is integrated out in closed form, as the continuum is in
:mod:`specnb.world.continuum`: with v and K the residual :math:`y - F` and T, whitened,

.. math:: A = K^T K + \Lambda^{-1}, \quad \hat a = A^{-1} K^T v, \quad
          \chi^2 = |v - K \hat a|^2 + \hat a^T \Lambda^{-1} \hat a .

The noise of an arm is a first-order autoregression of correlation ρ, whose inverse covariance has three diagonals:

.. math:: v_i = (u_i - \rho u_{i-1}) / \sqrt{1 - \rho^2}, \qquad u = r / \sigma,

are independent and of unit variance. A bad pixel breaks the chain. Noise is nearly white; what files do not tell of is
smoother, so that ρ grows with its share of the variance.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch

from specnb.observed import Observed
from specnb.world import prior
from specnb.world.continuum import splines
from specnb.world.correction import Components, load_corrected
from specnb.world.emulator import load_emulator
from specnb.world.fit import World
from specnb.world.instrument import Instrument

VMIC_SIGMA, VMIC_STEP = 0.2, 0.1
"""Scatter of microturbulence about its relation, and the difference by which its slope is measured, km/s."""

FACTORS, TYPICAL = (0.1, 100.0), 0.6745
"""Range of factors of errors; median size of a standard normal deviate."""

ENOUGH = 100
"""Pixels of an arm without which its own factor is not measured."""

FLUX = (0.1, 1.3)
"""Normalised flux of a star, for errors that are a share of it."""

AT_ONCE = 8
"""Spectra whose columns are in memory together: what fits in a processor's cache is several times as fast."""


class Linear(NamedTuple):
    """What :meth:`Sky.linear` found.

    Attributes
    ----------
    coefficients : torch.Tensor
        â, (n, k), float64.
    root : torch.Tensor
        Cholesky factor of A, (n, k, k), float64.
    chi2 : torch.Tensor
        (n,), float64.
    explained : torch.Tensor
        T â, (n, 3136).
    left : torch.Tensor
        What is left of a residual, whitened, (n, 3136).
    """

    coefficients: torch.Tensor
    root: torch.Tensor
    chi2: torch.Tensor
    explained: torch.Tensor
    left: torch.Tensor


@dataclass(eq=False)
class Sky(World):
    """A world whose observations are an instrument's; fluxes are normalised to within some per cent.

    Attributes
    ----------
    instrument : Instrument
    components : Components, optional
        What real stars have beside the model.
    """

    instrument: Instrument = None  # type: ignore[assignment]  # always given
    components: Components | None = None

    @cached_property
    def _arms(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels of every arm times its σ of velocity and of ln R, (arms, 3136) each."""
        of_arm = torch.tensor(self.instrument.of_arm, dtype=torch.float32)
        sigma = torch.tensor([[a.velocity, a.ln_resolution] for a in self.instrument.arms])
        v, r = (of_arm * column[:, None] for column in sigma.T)
        device = self.continuum.basis.device
        return v.to(device), r.to(device)

    def correlation(self, observed: Observed) -> torch.Tensor:
        """Compute the correlation of every good pixel's error with that of the one before, (n, 3136).

        Between that of noise and that of the floor, by their shares of the variance.
        """
        instrument = self.instrument
        noise, smooth, floor = (
            torch.as_tensor(x, dtype=torch.float32).to(observed.device)
            for x in (instrument.correlation, instrument.smoothness, instrument.floor)
        )
        good = observed.good
        chained = (noise + (smooth - noise) * (floor**2 * observed.ivar).clamp(max=1)) * good
        chained[:, 1:] *= good[:, :-1]
        chained[:, 0] = 0
        return chained

    @cached_property
    def precision(self) -> torch.Tensor:
        """Diagonal of Λ⁻¹, (k,), float64."""
        loose = self.continuum.precision
        more = 2 * len(self.instrument.arms) + (self.emulator.inputs == 5)
        more += len(self.components) if self.components else 0
        return torch.cat([loose, loose.new_ones(more)])

    @property
    def of_star(self) -> slice:
        """Which columns are the same in every visit of a star: those behind the continuum's and the arms'."""
        return slice(len(self.continuum.basis) + 2 * len(self.instrument.arms), len(self.precision))

    def columns(self, labels: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        """Compute T of labels (n, 6) float32 and their spectra F (n, 3136): (n, k, 3136)."""
        resolution = labels.new_full((1,), self.resolution)
        moved, blurred = self.emulator.instrumental(labels, resolution).unbind(1)
        velocity, width = self._arms
        parts = [
            spectrum[:, None] * self.continuum.basis,
            moved[:, None] * velocity,
            blurred[:, None] * width,
        ]
        if self.emulator.inputs == 5:
            parts.append(VMIC_SIGMA * self._microturbulent(labels)[:, None])
        if self.components:
            parts.append(self.components.at(labels[:, 4]))
        return torch.cat(parts, 1)

    def _microturbulent(self, labels: torch.Tensor) -> torch.Tensor:
        """Compute ∂F/∂vmic [1/(km/s)] of labels (n, 6): (n, 3136)."""
        resolution = labels.new_full((1,), self.resolution)
        rv, vsini = labels[:, 4], labels[:, 5]
        more, less = (
            self.emulator(
                torch.nn.functional.pad(labels[:, :4], (0, 1), value=step), rv, vsini, resolution
            )
            for step in (VMIC_STEP, -VMIC_STEP)
        )
        return (more - less) / (2 * VMIC_STEP)

    def weigh(
        self,
        observed: Observed,
        spectrum: torch.Tensor | None = None,
        factors: torch.Tensor | None = None,
    ) -> Observed:
        """Give observations the errors that the instrument makes of the file's.

        Parameters
        ----------
        observed : Observed
            With the file's errors.
        spectrum : torch.Tensor, optional
            About what the stars look like, (n, 3136); by default what was observed.
        factors : torch.Tensor, optional
            Of the file's errors, for each arm, (n, arms), from :meth:`factors`; by default the instrument's own.
        """
        floor, errors, good = (
            torch.as_tensor(x, dtype=torch.float32).to(observed.device)
            for x in (self.instrument.floor, self.instrument.errors, self.instrument.good)
        )
        if factors is not None:
            of_arm = torch.tensor(self.instrument.of_arm, device=observed.device)
            errors = factors @ of_arm.to(factors.dtype) + (~of_arm.any(0)).to(factors.dtype)
        size = (observed.flux if spectrum is None else spectrum).clamp(*FLUX)
        ivar = observed.ivar * good
        return Observed(observed.flux, ivar / (errors**2 + ivar * (floor * size) ** 2))

    def factors(self, observed: Observed, labels: torch.Tensor) -> torch.Tensor:
        """Measure by which factors the file's errors are wrong, for each arm.

        From what neighbouring pixels of a fit's residuals differ by: wiggles, which are smooth, do not count.

        Parameters
        ----------
        observed : Observed
            With the file's errors, n spectra.
        labels : torch.Tensor
            Of a fit, (n, 6).

        Returns
        -------
        torch.Tensor
            Shape (n, arms); the instrument's own where an arm has fewer than ``ENOUGH`` good pixels.
        """
        parts = []
        for some, at in zip(observed.split(AT_ONCE), labels.float().split(AT_ONCE), strict=True):
            spectrum = self.emulated(at)
            seen = self.weigh(some, spectrum)
            residual = self.residual(at, spectrum, seen)
            good = seen.good[:, 1:] & seen.good[:, :-1]
            variance = 1 / some.ivar.clamp(min=1e-12)
            size = variance[:, 1:] + variance[:, :-1]
            ratio = (residual[:, 1:] - residual[:, :-1]).abs() / size.sqrt() / TYPICAL
            parts.append(self._by_arm(ratio, good))
        return torch.cat(parts)

    def _by_arm(self, ratio: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
        """Take the median of each arm's ratios of neighbours (n, 3135), correlation taken away: (n, arms)."""
        columns = []
        for arm, pixels in zip(self.instrument.arms, self.instrument.of_arm, strict=True):
            some = good & torch.tensor(pixels[1:] & pixels[:-1], device=good.device)
            middle = ratio.where(some, torch.nan).nanmedian(1).values
            own = middle / (1 - arm.correlation) ** 0.5
            columns.append(torch.where(some.sum(1) < ENOUGH, arm.errors, own.clamp(*FACTORS)))
        return torch.stack(columns, 1)

    def whiten(self, rows: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Take residuals or columns (n, …, 3136) to independent values of unit variance; bad pixels to 0."""
        weight, chained = observed.ivar.sqrt(), self.correlation(observed)
        scale = (1 - chained.square()).rsqrt()
        between = (slice(None), *[None] * (rows.ndim - 2))
        u = rows * weight[between]
        v = u * scale[between]
        v[..., 1:] -= u[..., :-1] * (chained * scale)[between][..., 1:]
        return v

    def linear(
        self, labels: torch.Tensor, spectrum: torch.Tensor, observed: Observed
    ) -> tuple[Linear, torch.Tensor]:
        """Solve for all that is linear, given stars: the solution, and whitened columns K (n, k, 3136)."""
        columns = self.columns(labels, spectrum)
        residual = observed.flux - spectrum
        white, v = self.whiten(columns, observed), self.whiten(residual, observed)
        curvature = (white @ white.mT).double() + torch.diag(self.precision)
        root = torch.linalg.cholesky(curvature)
        right = (white @ v[..., None]).double()
        a = torch.cholesky_solve(right, root)[..., 0]
        explained = (a.float()[:, None] @ columns)[:, 0]
        left = self.whiten(residual - explained, observed)
        chi2 = left.square().sum(1).double() + (self.precision * a.square()).sum(1)
        return Linear(a, root, chi2, explained, left), white

    def residual(
        self, labels: torch.Tensor, spectrum: torch.Tensor, observed: Observed
    ) -> torch.Tensor:
        """Compute what stars, and all that is linear, leave, (n, 3136); arguments as of :meth:`linear`."""
        return observed.flux - spectrum - self.linear(labels, spectrum, observed)[0].explained

    def objective(self, z: torch.Tensor, observed: Observed, weight: float) -> torch.Tensor:
        """Compute χ² + p zᵀz at points z (n, 6), what is linear solved for; (n,) float64."""
        parts = []
        for at, some in zip(z.split(AT_ONCE), observed.split(AT_ONCE), strict=True):
            labels = prior.from_normal(at).float()
            found, _ = self.linear(labels, self.emulated(labels), some)
            parts.append(found.chi2)
        return torch.cat(parts) + weight * z.square().sum(1)

    def normal_equations(
        self, z: torch.Tensor, observed: Observed, weight: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute curvature and descent of half the objective in z, what is linear projected out, and χ²."""
        curvature, gradient, chi2, _ = self._in_parts(z, observed)
        unit = torch.eye(6, dtype=z.dtype, device=z.device)
        return curvature + weight * unit, gradient - weight * z, chi2

    def errors(
        self, z: torch.Tensor, observed: Observed, weight: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        r"""Compute what is known of z at an optimum: of a star, and of one of its visits beside others.

        With the total covariance C = N + TΛTᵀ, slopes S and the curvature H = SᵀC⁻¹S + p, the error of a star is H⁻¹.
        Columns that are the same in every visit (components, microturbulence) move all estimates alike, G = SᵀC⁻¹T of
        these, and the prior pulls all alike, so that visits scatter by H⁻¹(H − GGᵀ − p)H⁻¹.

        Parameters
        ----------
        z : torch.Tensor
            Shape (n, 6), float64.
        observed : Observed
            As from :meth:`weigh`.
        weight : float
            p, the weight of the prior.

        Returns
        -------
        absolute, visit : torch.Tensor
            Covariances of z, (n, 6, 6), float64.
        """
        curvature, _, _, shared = self._in_parts(z, observed)
        unit = torch.eye(6, dtype=z.dtype, device=z.device)
        absolute = torch.linalg.inv(curvature + weight * unit)
        alike = shared @ shared.mT + weight * unit
        return absolute, absolute - absolute @ alike @ absolute

    def _in_parts(self, z, observed):
        parts = zip(z.split(AT_ONCE), observed.split(AT_ONCE), strict=True)
        found = [self._normal_equations(at, some) for at, some in parts]
        return tuple(torch.cat(part) for part in zip(*found, strict=True))

    def _normal_equations(self, z, observed):
        """Compute curvature, descent, χ² and G, see :meth:`errors`, of a few spectra."""
        spectrum, slope = self.derivative(z)
        found, white = self.linear(prior.from_normal(z).float(), spectrum, observed)
        c = found.coefficients[:, : len(self.continuum.basis)].float()
        rows = self.whiten(slope * self.continuum(c)[:, None], observed)
        cross = (rows @ white.mT).double()
        solved = torch.cholesky_solve(cross.mT, found.root)
        curvature = (rows @ rows.mT).double() - cross @ solved
        shared = (self.precision[:, None] * solved)[:, self.of_star].mT
        return curvature, (rows @ found.left[..., None])[..., 0].double(), found.chi2, shared

    def log_likelihood(self, z: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Compute ln L of points z (n, 6) of n spectra or of one, all that is linear integrated out: (n,) float64."""
        parts, one = [], len(observed) == 1
        for first in range(0, len(z), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            labels = prior.from_normal(z[rows]).float()
            found, _ = self.linear(
                labels, self.emulated(labels), observed if one else observed[rows]
            )
            parts.append(-0.5 * found.chi2 - found.root.diagonal(dim1=1, dim2=2).log().sum(1))
        return torch.cat(parts)


@lru_cache(maxsize=8)
def of_instrument(instrument: Instrument, device: str = "cpu", corrected: bool = True) -> Sky:
    """Make the sky that an instrument sees, with the emulator that ships; ``corrected`` by real stars or as it is."""
    emulator, components = load_corrected(device) if corrected else (load_emulator(device), None)
    continuum = splines(instrument.knot_every, device)
    return Sky(emulator, continuum, instrument=instrument, components=components)
