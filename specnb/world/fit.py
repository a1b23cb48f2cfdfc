r"""Labels by least squares through the emulator, as users of The Payne fit them (Ting et al. 2019, ApJ 879, 69).

In the normal coordinates z of :mod:`specnb.world.prior`, with the continuum solved for at every step (variable
projection, Golub & Pereyra 1973), Levenberg-Marquardt steps on

.. math:: \sum w\,\big(y - (1 + \hat c(z) B)\, F(z)\big)^2 + \hat c^T P \hat c + p\, z^T z ,

with p = 1 for the most probable labels, where an exact posterior starts, and p = 0 for the most likely ones. A search
over template spectra finds the start: radial velocities far apart can be modes of their own.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch

from specnb.grid import RESOLUTION
from specnb.observed import Observed
from specnb.world import prior
from specnb.world.continuum import Continuum
from specnb.world.emulator import Emulator, load_emulator
from specnb.world.prior import CONTINUUM_SIGMA
from specnb.world.stars import legendre, normalised

TEMPLATES = 512
RV_STEP = 60.0
DISTINCT = (700.0, 1.0, 1.0)
"""K, dex, dex: labels that differ by more are another start."""

ROWS = 64
"""Spectra that are computed together."""

Z_MAX = 6.0
"""Beyond, probabilities are those of the edge."""

LIKELIEST = 1e-4
"""What stands for p = 0: keeps labels that the spectrum says nothing about from running away."""


@lru_cache(maxsize=2)
def prior_continuum(device: str = "cpu") -> Continuum:
    """Make the continuum of the prior: five Legendre polynomials, coefficients N(0, 0.02)."""
    return Continuum(legendre(device), torch.full((5,), CONTINUUM_SIGMA**-2, device=device))


@dataclass(eq=False)
class World:
    """What turns labels into a spectrum: emulator, resolving power, continuum."""

    emulator: Emulator
    continuum: Continuum
    resolution: float = RESOLUTION

    def emulated(self, labels: torch.Tensor) -> torch.Tensor:
        """Compute F of labels (n, 6) float32 → (n, 3136); in small parts, which stay in a processor's cache."""
        with torch.no_grad():
            return torch.cat(
                [normalised(rows, self.emulator, self.resolution) for rows in labels.split(ROWS)]
            )

    def spectrum(self, z: torch.Tensor) -> torch.Tensor:
        """Compute F(z), (n, 6) float64 → (n, 3136) float32."""
        return self.emulated(prior.from_normal(z).float())

    def derivative(self, z: torch.Tensor, step: float = 0.005) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute F and ∂F/∂z by differences, shapes (n, 3136) and (n, 6, 3136)."""
        offsets = step * torch.eye(6, dtype=z.dtype, device=z.device)
        around = torch.cat([z[:, None], z[:, None] + offsets], 1)
        flux = self.stencil(prior.from_normal(around).float())
        return flux[:, 0], (flux[:, 1:] - flux[:, :1]) / step

    def stencil(self, labels: torch.Tensor) -> torch.Tensor:
        """Compute F of stars and of their neighbours, each of which has one other label, (n, 7, 6) → (n, 7, 3136)."""
        resolution = labels.new_full((1,), self.resolution)
        parts = labels.split(ROWS // 8)
        with torch.no_grad():
            return torch.cat([self.emulator.stencil(rows, resolution) for rows in parts])

    def weigh(self, observed: Observed) -> Observed:
        """Give observations the errors that this world believes in: here those that they have."""
        return Observed.state(observed.flux, observed.noise)

    def log_likelihood(self, z: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Compute ln L of points z (n, 6), what is linear integrated out, up to a constant: (n,) float64."""
        return self.continuum.log_likelihood(self.spectrum(z), observed)

    def objective(self, z: torch.Tensor, observed: Observed, weight: float) -> torch.Tensor:
        """Compute χ² + p zᵀz at points z (n, 6), what is linear solved for; (n,) float64."""
        _, _, chi2 = self.continuum.best(self.spectrum(z), observed)
        return chi2 + weight * z.square().sum(1)

    def normal_equations(
        self, z: torch.Tensor, observed: Observed, weight: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute curvature and descent of half the objective in z, what is linear projected out, and χ²."""
        spectrum, slope = self.derivative(z)
        c, root, chi2 = self.continuum.best(spectrum, observed)
        flux, ivar = observed.flux, observed.ivar
        shape = self.continuum(c)
        rows = slope * (shape * ivar.sqrt())[:, None]
        columns = (spectrum * ivar.sqrt())[:, None] * self.continuum.basis
        residual = (flux - shape * spectrum) * ivar.sqrt()
        cross = (rows @ columns.mT).double()
        curvature = (rows @ rows.mT).double() - cross @ torch.cholesky_solve(cross.mT, root)
        gradient = (rows @ residual[..., None])[..., 0].double() - weight * z
        return curvature + weight * torch.eye(6, dtype=z.dtype, device=z.device), gradient, chi2


@lru_cache(maxsize=2)
def default_world(device: str = "cpu") -> World:
    """Make the world of the simulator: the emulator that ships, R = 1800, the prior's continuum."""
    return World(load_emulator(device), prior_continuum(device))


@lru_cache(maxsize=2)
def _templates(world, device):
    """Labels (m, 6), spectra in pairs of pixels (m, 1568) and their squares: ``TEMPLATES`` stars at every velocity."""
    unit = (
        torch.quasirandom.SobolEngine(4, scramble=True, seed=5)
        .draw(TEMPLATES)
        .to(device, torch.float64)
    )
    middle = torch.full_like(unit[:, :2], 0.5)
    labels = prior.quantiles(torch.cat([unit, middle], 1))
    rv = torch.arange(-prior.RV_MAX, prior.RV_MAX + 1, RV_STEP, dtype=torch.float64, device=device)
    labels = labels.repeat(len(rv), 1)
    labels[:, 4] = rv.repeat_interleave(TEMPLATES)
    spectra = _pairs(world.emulated(labels.float())) / 2
    return labels, spectra, spectra.square()


def _pairs(x):
    """Sum pairs of pixels, (…, 3136) → (…, 1568)."""
    return x.unflatten(-1, (-1, 2)).sum(-1)


def _near_in_velocity(a, b):
    return (a[..., 4] - b[..., 4]).abs() <= 120.0


def _near_in_labels(a, b):
    return ((a - b).abs()[..., :3] < torch.tensor(DISTINCT, device=a.device)).all(-1)


def search(world: World, observed: Observed) -> torch.Tensor:
    """Find starting points from templates: the best, the best two at other velocities, the best two of other labels.

    Parameters
    ----------
    world : World
    observed : Observed
        n spectra.

    Returns
    -------
    torch.Tensor
        z, shape (n, 5, 6), float64.
    """
    labels, spectra, squares = _templates(world, str(observed.device))
    ivar, weighted = _pairs(observed.ivar), _pairs(observed.ivar * observed.flux)
    chi2 = ivar @ squares.T - 2 * weighted @ spectra.T
    starts = [labels[chi2.argmin(1)]]
    for near in (_near_in_velocity, _near_in_velocity, _near_in_labels, _near_in_labels):
        taken = torch.stack([near(labels, one[:, None]) for one in starts]).any(0)
        starts.append(labels[chi2.masked_fill(taken, torch.inf).argmin(1)])
    return prior.to_normal(torch.stack(starts, 1))


@dataclass
class Optimum:
    """Where :func:`solve` ended: z (n, 6), objective (n,), curvature (n, 6, 6) of half the objective; float64."""

    z: torch.Tensor
    objective: torch.Tensor
    curvature: torch.Tensor


@torch.no_grad()
def solve(
    world: World,
    observed: Observed,
    z: torch.Tensor,
    weight: float = 1.0,
    iterations: int = 30,
    tolerance: float = 0.01,
) -> Optimum:
    """Minimise from a start by Levenberg-Marquardt.

    Parameters
    ----------
    world : World
    observed : Observed
        n spectra.
    z : torch.Tensor
        Start, shape (n, 6), float64.
    weight : float
        p, the weight of the prior.
    iterations : int
    tolerance : float
        Stop when no star's objective falls by more.

    Returns
    -------
    Optimum
    """
    z = z.clamp(-3, 3).clone()
    damping = torch.full_like(z[:, 0], 1e-2)
    value = world.objective(z, observed, weight)
    active = torch.arange(len(z), device=z.device)
    for _ in range(iterations):
        some = observed[active]
        curvature, gradient, _ = world.normal_equations(z[active], some, weight)
        scale = curvature.diagonal(dim1=1, dim2=2) + 1
        damped = curvature + torch.diag_embed(damping[active, None] * scale)
        step = torch.linalg.solve(damped, gradient[..., None])[..., 0].clamp(-1, 1)
        trial = (z[active] + step).clamp(-Z_MAX, Z_MAX)
        new = world.objective(trial, some, weight)
        better = new < value[active]
        gain = torch.where(better, value[active] - new, 0.0)
        z[active] = torch.where(better[:, None], trial, z[active])
        value[active] = torch.where(better, new, value[active])
        damping[active] *= torch.where(better, 0.2, 8.0)
        moving = (gain > tolerance) | torch.where(
            better, damping[active] > 1e-2, damping[active] < 1e4
        )
        active = active[moving]
        if not len(active):
            break
    curvature, _, _ = world.normal_equations(z, observed, weight)
    return Optimum(z, value, curvature)


@torch.no_grad()
def best(world: World, observed: Observed, weight: float = 1.0) -> tuple[Optimum, list[Optimum]]:
    """Find the best of several starts, an :class:`Optimum`, and a list of all of them."""
    starts = search(world, observed)
    every = [solve(world, observed, start, weight) for start in starts.unbind(1)]
    choice = torch.stack([o.objective for o in every]).argmin(0)
    row = torch.arange(len(observed), device=observed.device)
    chosen = Optimum(
        *(
            torch.stack([getattr(o, k) for o in every])[choice, row]
            for k in ("z", "objective", "curvature")
        )
    )
    return chosen, every


def labels(observed: Observed) -> torch.Tensor:
    """Find the most likely labels: teff, logg, m_h, alpha_m, rv, vsini of n spectra, (n, 6), float64."""
    world = default_world(str(observed.device))
    parts = [best(world, part, LIKELIEST)[0].z for part in observed.split(ROWS)]
    return torch.cat([prior.from_normal(z) for z in parts])
