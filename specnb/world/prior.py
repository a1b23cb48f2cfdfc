r"""The prior over stars: eleven parameters, and the map from standard normals to them.

Uniform in teff, log g (above :func:`logg_min`), m_h, alpha_m, rv and vsini, normal in the five coefficients of the
continuum error. With :math:`\Phi` the normal distribution function and :math:`Q` the quantiles of the prior,

.. math:: \theta = Q(\Phi(z)), \qquad z \sim N(0, 1)^{11},

so that :math:`z` is unbounded, the Jacobian of the map is in it, and the density of the prior is the normal's.
"""

import math
from typing import TypeVar

import astropy.units as u
import numpy as np
import torch

Number = TypeVar("Number", float, np.ndarray, torch.Tensor)
Array = TypeVar("Array", np.ndarray, torch.Tensor)

LABELS: dict[str, u.UnitBase] = {
    "teff": u.K,
    "logg": u.dex(u.cm / u.s**2),
    "m_h": u.dex,
    "alpha_m": u.dex,
    "rv": u.km / u.s,
    "vsini": u.km / u.s,
}
"""Labels of a star and their units."""

CONTINUUM = [f"c{k}" for k in range(5)]
"""Names of the continuum coefficients."""

CONTINUUM_SIGMA = 0.02
"""Standard deviation of each of them."""

TEFF, M_H, ALPHA_M = (4300.0, 7000.0), (-2.5, 0.5), (-0.1, 0.5)
"""Edges of the prior: effective temperature [K], metallicity and alpha enhancement [dex]."""

LOGG_MAX, RV_MAX, VSINI_MAX = 5.0, 300.0, 50.0
"""Upper edges: surface gravity [log cm/s²], size of the radial velocity and projected rotation [km/s]."""

VMIC = 0.5
"""Reach of microturbulence about :func:`microturbulence` in the grid, km/s."""

EDGE = 1e-9
"""Probabilities are kept this far from 0 and 1."""


def logg_min(teff: Number) -> Number:
    """Compute the lower edge of the prior in log g at ``teff`` [K]: 0.8 + (teff − 4300)/1000."""
    return 0.8 + (teff - TEFF[0]) / 1000


def microturbulence(logg: Number) -> Number:
    """Compute the microturbulence that stars of ``logg`` have on average, in km/s: 2.478 − 0.325 log g."""
    return 2.478 - 0.325 * logg


def inside(teff: Array, logg: Array, m_h: Array) -> Array:
    """Tell whether labels [K, log cm/s², dex] lie inside the prior; arrays of one shape, a boolean one of it."""
    good = (teff > TEFF[0]) & (teff < TEFF[1]) & (logg < LOGG_MAX) & (logg > logg_min(teff))
    return good & (m_h > M_H[0]) & (m_h < M_H[1])


def quantiles(p: torch.Tensor) -> torch.Tensor:
    """Compute the labels at probabilities ``p``: (…, 6) in 0…1 → (…, 6) teff, logg, m_h, alpha_m, rv, vsini."""
    # uniform inside the domain, whose width in log g varies with teff: invert the trapezoid's distribution
    a, b = LOGG_MAX - logg_min(TEFF[0]), LOGG_MAX - logg_min(TEFF[1])
    share = (a - torch.sqrt(a**2 - p[..., 0] * (a**2 - b**2))) / (a - b)
    teff = TEFF[0] + (TEFF[1] - TEFF[0]) * share
    low = logg_min(teff)
    columns = [
        teff,
        low + (LOGG_MAX - low) * p[..., 1],
        M_H[0] + (M_H[1] - M_H[0]) * p[..., 2],
        ALPHA_M[0] + (ALPHA_M[1] - ALPHA_M[0]) * p[..., 3],
        RV_MAX * (2 * p[..., 4] - 1),
        VSINI_MAX * p[..., 5],
    ]
    return torch.stack(columns, -1)


def probabilities(labels: torch.Tensor) -> torch.Tensor:
    """Invert :func:`quantiles`, (…, 6 or more) → (…, 6); labels outside of the prior come out at its edge."""
    teff, logg, m_h, alpha_m, rv, vsini = labels[..., :6].unbind(-1)
    a, b = LOGG_MAX - logg_min(TEFF[0]), LOGG_MAX - logg_min(TEFF[1])
    teff = teff.clamp(*TEFF)
    share = (teff - TEFF[0]) / (TEFF[1] - TEFF[0])
    low = logg_min(teff)
    columns = [
        (a**2 - (a - (a - b) * share) ** 2) / (a**2 - b**2),
        (logg - low) / (LOGG_MAX - low),
        (m_h - M_H[0]) / (M_H[1] - M_H[0]),
        (alpha_m - ALPHA_M[0]) / (ALPHA_M[1] - ALPHA_M[0]),
        (rv / RV_MAX + 1) / 2,
        vsini / VSINI_MAX,
    ]
    return torch.stack(columns, -1).clamp(0, 1)


def from_normal(z: torch.Tensor) -> torch.Tensor:
    """Compute the six labels θ = Q(Φ(z)) of normal coordinates, (…, 6) → (…, 6); differentiable, float64 wanted."""
    p = 0.5 * torch.erfc(-z / math.sqrt(2))
    return quantiles(p.clamp(EDGE, 1 - EDGE))


def to_normal(labels: torch.Tensor) -> torch.Tensor:
    """Invert :func:`from_normal`, (…, 6 or more) → (…, 6)."""
    return math.sqrt(2) * torch.erfinv(2 * probabilities(labels).clamp(EDGE, 1 - EDGE) - 1)


def draw_labels(n: int, generator: torch.Generator) -> torch.Tensor:
    """Draw labels from the prior, (n, 11) float32 on the generator's device: ``LABELS``, then ``CONTINUUM``."""
    device = generator.device
    p = torch.rand(n, 6, generator=generator, device=device, dtype=torch.float64)
    normal = torch.randn(n, 5, generator=generator, device=device, dtype=torch.float64)
    return torch.cat([quantiles(p), CONTINUUM_SIGMA * normal], 1).float()
