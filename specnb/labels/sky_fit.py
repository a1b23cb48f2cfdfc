r"""Labels of real spectra by the sky's likelihood, with two errors: of a visit, and of the star.

From labels of a first fit (:mod:`specnb.observing.normalise`) Levenberg-Marquardt steps on the likelihood of
:mod:`specnb.world.sky`; what it leaves says by which factors the file's errors are wrong in each arm, and with these
the steps go on. The error of a visit is what other visits of the same star scatter by. That of the star has beside it
what all of its visits share: components of the model's error, and ``FLOORS`` for what no component knows, such as the
zero-points of the labels themselves.
"""

from dataclasses import dataclass

import torch

from specnb.observed import Observed
from specnb.world import fit, prior
from specnb.world.sky import AT_ONCE, Sky

ROUNDS, STEPS, LAST = 2, 8, 6
"""Times that errors are measured, steps before each, and at the end."""

LEAST = 1e-6
"""Information on the velocity of an arm without data."""

GAIN = 0.02
"""Fall of χ² that is worth another step."""

FLOORS = (75.0, 0.095, 0.055, 0.04, 1.0, 0.0)
"""What is added in quadrature to the errors of teff, logg, m_h, alpha_m, rv, vsini of a star."""


@dataclass
class SkyFit:
    """What fits found of n spectra; float64.

    Attributes
    ----------
    labels : torch.Tensor
        The most probable teff, logg, m_h, alpha_m, rv, vsini, (n, 6).
    visit, star : torch.Tensor
        Covariances of the labels: of a visit beside others, of the star, (n, 6, 6).
    factors : torch.Tensor
        Of the file's errors in each arm, (n, arms).
    chi2 : torch.Tensor
        A good pixel, (n,).
    arm_rv, arm_rv_err : torch.Tensor
        Radial velocity that each arm shows and its error, km/s, (n, arms).
    """

    labels: torch.Tensor
    visit: torch.Tensor
    star: torch.Tensor
    factors: torch.Tensor
    chi2: torch.Tensor
    arm_rv: torch.Tensor
    arm_rv_err: torch.Tensor

    @property
    def visit_err(self) -> torch.Tensor:
        """Standard deviations of a visit, (n, 6)."""
        return self.visit.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()

    @property
    def star_err(self) -> torch.Tensor:
        """Standard deviations of the star, (n, 6)."""
        return self.star.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()


def jacobian(z: torch.Tensor, step: float = 1e-4) -> torch.Tensor:
    """Compute ∂(labels)/∂z of normal coordinates (n, 6) by differences: (n, 6, 6), float64."""
    moves = step * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    both = [prior.from_normal(z + move) - prior.from_normal(z - move) for move in moves]
    return torch.stack(both, 2) / (2 * step)


@torch.no_grad()
def fit_sky(world: Sky, observed: Observed, start: torch.Tensor) -> SkyFit:
    """Fit normalised spectra of an instrument.

    Parameters
    ----------
    world : specnb.world.sky.Sky
    observed : Observed
        n spectra with the file's errors; the continuum may be off by some per cent.
    start : torch.Tensor
        Labels to start from, (n, 6).

    Returns
    -------
    SkyFit

    Examples
    --------
    >>> from specnb import simulate
    >>> from specnb.world.instrument import LAMOST
    >>> from specnb.world.sky import of_instrument
    >>> stars = simulate(1, seed=1, snr=50, sky=True)
    >>> observed = Observed(torch.tensor(stars.observed), torch.tensor(stars.ivar))
    >>> truth = torch.tensor([[float(stars.labels[name][0]) for name in prior.LABELS]])
    >>> found = fit_sky(of_instrument(LAMOST), observed, truth)
    >>> bool(abs(found.labels[0, 0] - truth[0, 0]) < 4 * found.visit_err[0, 0])
    True
    """
    z = prior.to_normal(start.double())
    seen = world.weigh(observed, world.spectrum(z))
    for _ in range(ROUNDS):
        z = fit.solve(world, seen, z, iterations=STEPS, tolerance=GAIN).z
        labels = prior.from_normal(z)
        factors = world.factors(observed, labels)
        seen = world.weigh(observed, world.spectrum(z), factors)
    found = fit.solve(world, seen, z, iterations=LAST, tolerance=GAIN)
    labels, change = prior.from_normal(found.z), jacobian(found.z)
    star, visit = (change @ c @ change.mT for c in world.errors(found.z, seen))
    floors = torch.tensor(FLOORS, dtype=star.dtype, device=star.device)
    rv, error = _by_arm(world, labels, seen)
    good = seen.good.sum(1).clamp(min=1)
    return SkyFit(
        labels,
        visit,
        star + torch.diag(floors**2),
        factors.double(),
        found.objective / good,
        rv,
        error,
    )


def _by_arm(world: Sky, labels: torch.Tensor, seen: Observed) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the velocity that each arm shows and its error, (n, arms) km/s, other labels as they are."""
    arms = world.instrument.arms
    first = len(world.continuum.basis)
    own = slice(first, first + len(arms))
    sigma = torch.tensor([arm.velocity for arm in arms], dtype=labels.dtype, device=labels.device)
    unit = torch.eye(len(arms), dtype=labels.dtype, device=labels.device)
    values, errors = [], []
    for at, some in zip(labels.float().split(AT_ONCE), seen.split(AT_ONCE), strict=True):
        found, _ = world.linear(at, world.emulated(at), some)
        known = torch.linalg.inv(torch.cholesky_inverse(found.root)[:, own, own])
        # what the spectrum says: less the prior of the zero-points, which keeps arms together
        alone = torch.linalg.inv(known - (1 - LEAST) * unit)
        shift = (alone @ known @ found.coefficients[:, own, None])[..., 0]
        values.append(at[:, 4:5].double() + sigma * shift)
        errors.append(sigma * alone.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt())
    return torch.cat(values), torch.cat(errors)
