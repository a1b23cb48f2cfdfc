r"""What no unbiased estimate can beat: Cramér-Rao bounds of the parameters, and the radial-velocity limit.

With the model :math:`\mu(\theta) = (1 + \sum_k c_k P_k) F` and independent Gaussian noise of inverse variance w,

.. math:: I = \sum_\lambda w_\lambda\, \frac{\partial\mu_\lambda}{\partial\theta}
              \frac{\partial\mu_\lambda}{\partial\theta}^T, \qquad \sigma_i \ge \sqrt{(I^{-1})_{ii}} .

The prior's information is added in the normal coordinates z of :mod:`specnb.prior`, where it is the unit matrix
(van Trees 1968): :math:`I_z = J^T I J + 1`, :math:`J = \partial\theta/\partial z`. For a velocity alone the bound is
that of Bouchy et al. 2001, A&A 374, 733,

.. math:: \sigma_v = c \Big/ \sqrt{\sum_\lambda w_\lambda \Big(\frac{\partial F}{\partial\ln\lambda}\Big)^2} .
"""

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from specnb import prior
from specnb.emulator import load_emulator
from specnb.grid import DLOGLAM, SPEED_OF_LIGHT
from specnb.stars import clean


def jacobian(labels):
    """∂(clean spectrum)/∂(labels): (n, 11) → (n, 11, 3136), float32; K, dex, km/s, and the coefficients' unit 1."""
    emulator = load_emulator(str(labels.device))
    columns = []
    for i in range(labels.shape[1]):
        direction = torch.zeros_like(labels)
        direction[:, i] = 1
        columns.append(torch.func.jvp(lambda y: clean(y, emulator), (labels,), (direction,))[1])
    return torch.stack(columns, 1)


def fisher(labels, ivar):
    """Fisher information of the 11 parameters, (n, 11) and (n, 3136) → (n, 11, 11), float64."""
    slope = jacobian(labels) * ivar.sqrt()[:, None]
    return slope.double() @ slope.double().mT


def cramer_rao(labels, ivar, with_prior=False):
    """Least standard deviation of the parameters of simulated stars.

    Parameters
    ----------
    labels : array
        teff, logg, m_h, alpha_m, rv, vsini, c0…c4 as in :func:`specnb.simulate`, shape (n, 11).
    ivar : array
        Inverse variance, shape (n, 3136).
    with_prior : bool
        Add what the prior knows: a bound for estimates that may lean on it, in the mean over the prior. Without it the
        bound at v sin i near 0 is infinite in practice, because a spectrum follows the square of v sin i there.

    Returns
    -------
    numpy.ndarray
        Shape (n, 11), units of ``labels``.
    """
    labels = torch.as_tensor(np.asarray(labels), dtype=torch.float32)
    information = fisher(labels, torch.as_tensor(np.asarray(ivar), dtype=torch.float32))
    scale = torch.diag_embed(information.diagonal(dim1=1, dim2=2).clamp(min=1e-30).rsqrt())
    if not with_prior:
        inverse = torch.linalg.inv(scale @ information @ scale)
        return (scale @ inverse @ scale).diagonal(dim1=1, dim2=2).sqrt().numpy()
    z = prior.to_normal(labels.double())
    inner = torch.stack([torch.autograd.functional.jacobian(prior.from_normal, one) for one in z])
    change = torch.diag_embed(torch.full_like(labels.double(), prior.CONTINUUM_SIGMA))
    change[:, :6, :6] = inner
    posterior = torch.linalg.inv(change.mT @ information @ change + torch.eye(11, dtype=torch.float64))
    return (change @ posterior @ change.mT).diagonal(dim1=1, dim2=2).sqrt().numpy()


def rv_limit(flux, ivar):
    """Least standard deviation of a radial velocity when all else is known (Bouchy et al. 2001).

    Parameters
    ----------
    flux : numpy.ndarray
        Clean spectra, shape (n, 3136).
    ivar : numpy.ndarray
        Inverse variance, same shape.

    Returns
    -------
    numpy.ndarray
        km/s, shape (n,).
    """
    pixel = np.arange(flux.shape[1])
    slope = CubicSpline(pixel, np.asarray(flux, "f8"), axis=1)(pixel, 1) / (DLOGLAM * np.log(10))
    return SPEED_OF_LIGHT / np.sqrt((ivar * slope**2).sum(1))
