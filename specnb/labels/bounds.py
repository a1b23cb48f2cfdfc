r"""What no unbiased estimate can beat: Cramér-Rao bounds of the parameters, and the radial-velocity limit.

With the model :math:`\mu(\theta) = (1 + \sum_k c_k P_k) F` and independent Gaussian noise of inverse variance w,

.. math:: I = \sum_\lambda w_\lambda\, \frac{\partial\mu_\lambda}{\partial\theta}
              \frac{\partial\mu_\lambda}{\partial\theta}^T, \qquad \sigma_i \ge \sqrt{(I^{-1})_{ii}} .

With the prior's information a bound exists for the mean over the prior only (van Trees 1968; Gill & Levit 1995): in the
normal coordinates z of :mod:`specnb.world.prior`, where the prior's information is the unit matrix, and with
:math:`J = \partial\theta/\partial z`,

.. math:: E\,(\hat\theta - \theta)(\hat\theta - \theta)^T \ge E[J]\,\big(E[J^T I J] + 1\big)^{-1} E[J]^T .

For a velocity alone the bound is that of Bouchy et al. 2001, A&A 374, 733,

.. math:: \sigma_v = c \Big/ \sqrt{\sum_\lambda w_\lambda \Big(\frac{\partial F}{\partial\ln\lambda}\Big)^2} .
"""

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike

from specnb.grid import DLOGLAM, N_PIXELS, SPEED_OF_LIGHT
from specnb.world import prior
from specnb.world.emulator import load_emulator
from specnb.world.stars import clean


def jacobian(labels: torch.Tensor) -> torch.Tensor:
    """Compute ∂(clean spectrum)/∂(labels), (n, 11) → (n, 11, 3136), float32; labels in K, dex and km/s."""
    emulator = load_emulator(str(labels.device))
    columns = []
    for i in range(labels.shape[1]):
        direction = torch.zeros_like(labels)
        direction[:, i] = 1
        both = torch.func.jvp(lambda y: clean(y, emulator), (labels,), (direction,))
        columns.append(both[1])
    return torch.stack(columns, 1)


def fisher(labels: torch.Tensor, ivar: torch.Tensor) -> torch.Tensor:
    """Compute the Fisher information of the 11 parameters, (n, 11) and (n, 3136) → (n, 11, 11), float64."""
    slope = jacobian(labels) * ivar.sqrt()[:, None]
    return slope.double() @ slope.double().mT


def _tensors(
    labels: Table | ArrayLike, ivar: ArrayLike | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert labels to (n, 11) and ivar to (n, 3136), float32."""
    if isinstance(labels, Table):
        labels = np.stack([np.asarray(labels[name]) for name in labels.colnames], 1)
    labels = torch.as_tensor(np.asarray(labels), dtype=torch.float32)
    ivar = torch.as_tensor(np.asarray(ivar), dtype=torch.float32)
    if labels.ndim != 2 or labels.shape[1] != 11 or ivar.shape != (len(labels), N_PIXELS):
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} and ivar {tuple(ivar.shape)}; give (n, 11) and (n, {N_PIXELS})"
        )
    return labels, ivar


def cramer_rao(labels: Table | ArrayLike, ivar: ArrayLike | torch.Tensor) -> np.ndarray:
    """Compute the least standard deviation of an unbiased estimate of the parameters of simulated stars.

    Parameters
    ----------
    labels : astropy.table.Table or array
        As in :func:`specnb.simulate`, or the same as an array of shape (n, 11).
    ivar : array
        Inverse variance, shape (n, 3136).

    Returns
    -------
    numpy.ndarray
        Shape (n, 11), units of ``labels``. Infinite for v sin i = 0: a spectrum follows its square.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    information = fisher(*_tensors(labels, ivar)).numpy()
    out = np.full(information.shape[:2], np.inf)
    for row, matrix in zip(out, information, strict=True):
        known = np.diag(matrix) > 0
        scale = 1 / np.sqrt(np.diag(matrix)[known])
        inverse = np.linalg.inv(matrix[np.ix_(known, known)] * np.outer(scale, scale))
        row[known] = scale * np.sqrt(np.diag(inverse))
    return out


def van_trees(labels: Table | ArrayLike, ivar: ArrayLike | torch.Tensor) -> np.ndarray:
    """Compute the least root mean square error of any estimate, unbiased or not, in the mean over the prior's stars.

    Parameters
    ----------
    labels, ivar
        As in :func:`cramer_rao`; stars drawn from the prior, the more the better.

    Returns
    -------
    numpy.ndarray
        Shape (11,), units of ``labels``.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    labels, ivar = _tensors(labels, ivar)
    z = prior.to_normal(labels.double())
    change = torch.diag_embed(torch.full_like(labels.double(), prior.CONTINUUM_SIGMA))
    change[:, :6, :6] = torch.stack(
        [torch.autograd.functional.jacobian(prior.from_normal, one) for one in z]
    )
    of_spectra = (change.mT @ fisher(labels, ivar) @ change).mean(0)
    information = of_spectra + torch.eye(11, dtype=torch.float64)
    mean = change.mean(0)
    return (mean @ torch.linalg.inv(information) @ mean.T).diagonal().sqrt().numpy()


def rv_limit(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """Compute the least standard deviation of a radial velocity when all else is known (Bouchy et al. 2001).

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
    from scipy.interpolate import CubicSpline  # here, because it takes long to import

    pixel = np.arange(flux.shape[1])
    spline = CubicSpline(pixel, np.asarray(flux, "f8"), axis=1)
    slope = spline(pixel, 1) / (DLOGLAM * np.log(10))
    return SPEED_OF_LIGHT / np.sqrt((ivar * slope**2).sum(1))
