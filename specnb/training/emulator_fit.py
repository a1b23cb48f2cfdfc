r"""Train the emulator of spectra: a linear basis, and networks for its coefficients.

Training is full-batch L-BFGS in float64 with variable projection (Golub & Pereyra 1973, SIAM J. Numer. Anal. 10,
413): at every step the last layer is the ridge regression on the hidden features, so only what is not linear is
searched for. Networks that differ in their initial weights are averaged: between stars of the grid each errs in its
own direction. All sizes were chosen by five-fold cross-validation inside the training stars.
"""

import numpy as np
import torch
from torch import nn

from specnb.grid import FINE_RESOLUTION
from specnb.world.emulator import Emulator, native


def fit(
    labels: np.ndarray,
    flux: np.ndarray,
    resolution: float = FINE_RESOLUTION,
    components: int = 128,
    hidden: int = 128,
    members: int = 8,
    iterations: int = 100,
    decay: float = 3e-5,
    seed: int = 0,
) -> Emulator:
    """Train an emulator.

    Parameters
    ----------
    labels : numpy.ndarray
        teff [K], logg [log cm/s²], m_h, alpha_m [dex], shape (n, 4); or with microturbulence less that of
        :func:`specnb.world.prior.microturbulence` [km/s], (n, 5).
    flux : numpy.ndarray
        Normalised, on the fine grid, shape (n, 16151).
    resolution : float
        Resolving power of ``flux``.
    components : int
        Size of the linear basis.
    hidden, members, iterations, decay, seed
        Width and number of the networks, L-BFGS iterations, L2 penalty on the hidden weights, seed of the initial
        weights.

    Returns
    -------
    Emulator

    Raises
    ------
    ValueError
        If there are fewer than two stars a component.
    """
    if len(labels) < 2 * components:
        raise ValueError(
            f"labels has {len(labels)} stars; {components} components need at least {2 * components}"
        )
    lines = torch.as_tensor(flux, dtype=torch.float64) - 1
    mean = lines.mean(0)
    lines = lines - mean
    seen = native(lines, torch.tensor(float(resolution))).double()
    u, s, _ = torch.linalg.svd(seen, full_matrices=False)
    u, s = u[:, :components], s[:components]
    target, basis = u * s, (u.T @ lines) / s[:, None]
    scale = target.square().mean().sqrt()

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inputs = np.shape(labels)[1]
        emulator = Emulator(mean, basis, hidden, members, resolution, inputs).double()
    emulator.scale.copy_(scale)
    x, y = emulator.features(torch.as_tensor(labels, dtype=torch.float64)), target / scale
    for net in emulator.nets:
        _minimise(net, x, y, iterations, decay)  # type: ignore[arg-type]  # all are Sequential
    return emulator.float().prepare()


def _minimise(
    net: nn.Sequential,
    x: torch.Tensor,
    y: torch.Tensor,
    iterations: int,
    decay: float,
    ridge: float = 1e-3,
) -> None:
    """Fit ``net(x)`` to ``y``: L-BFGS on all layers but the last, which is always the ridge regression on them.

    The loss is at its minimum in the last layer, so its gradient in the others needs no derivative of the regression.
    """
    hidden, last = net[:-1], net[-1]
    assert isinstance(last, nn.Linear)
    weights = list(hidden.parameters())
    optimiser = torch.optim.LBFGS(
        weights, max_iter=iterations, history_size=50, line_search_fn="strong_wolfe"
    )

    def regress():
        h = hidden(x)
        h = torch.cat([h, h.new_ones(len(h), 1)], 1)
        with torch.no_grad():
            normal = h.T @ h + ridge * torch.eye(h.shape[1], dtype=h.dtype)
            return h, torch.cholesky_solve(h.T @ y, torch.linalg.cholesky(normal))

    def closure():
        optimiser.zero_grad()
        h, c = regress()
        misfit = ((h @ c - y).square().sum() + ridge * c.square().sum()) / len(x)
        loss = misfit + decay * sum(w.square().sum() for w in weights)
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        _, c = regress()
        last.weight.copy_(c[:-1].T)
        last.bias.copy_(c[-1])
