r"""The world model: labels → normalised LTE spectrum at R = 10,000 → native pixels.

After The Payne (Ting et al. 2019, ApJ 879, 69), with a linear basis at the end:

.. math:: F_\lambda(\theta) = 1 + \mu_\lambda + \sum_k c_k(\theta)\, B_{k\lambda},
          \qquad c = \frac{1}{8} \sum_{j=1}^{8} \mathrm{MLP}_j(\theta)

The basis is linear and the operators are filters, so the Fourier transform of the basis is taken once and a
spectrum costs one matrix product, one transfer function and one short inverse transform. Its components are the
principal ones of the spectra as a survey sees them (R = 1800, native pixels), not of the fine spectra: detail that no
user sees is not worth a component.

Training is full-batch L-BFGS in float64 with variable projection (Golub & Pereyra 1973, SIAM J. Numer. Anal. 10,
413): at every step the last layer is the ridge regression on the hidden features, so only what is not linear is
searched for. Networks that differ in their initial weights are averaged: between stars of the grid each errs in its
own direction. All sizes were chosen by five-fold cross-validation inside the training stars.
"""

from functools import lru_cache
from importlib.resources import files

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import gelu, linear

from specnb.grid import FINE_RESOLUTION
from specnb.world.operators import fourier_length, to_fourier, to_native


class Emulator(nn.Module):
    """Differentiable spectra from labels.

    Parameters
    ----------
    mean : torch.Tensor
        Mean of flux − 1 on the fine grid, shape (16151,).
    basis : torch.Tensor
        Rows of components, shape (k, 16151).
    hidden, members : int
        Width of the two hidden layers; number of networks that are averaged.
    resolution : float
        Resolving power of the spectra on the fine grid.
    """

    def __init__(self, mean, basis, hidden=128, members=8, resolution=FINE_RESOLUTION):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("resolution", torch.tensor(float(resolution)))
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(4, hidden),
                nn.GELU(),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.Linear(hidden, len(basis)),
            )
            for _ in range(members)
        )

    def prepare(self):
        """Transform the basis and lay the networks side by side; call it when the weights are final."""
        first, _, second, _, last = zip(*self.nets, strict=True)
        ready = {
            "fourier": to_fourier(torch.cat([self.mean[None], self.basis])),
            "first": torch.cat([layer.weight for layer in first]),
            "first_bias": torch.cat([layer.bias for layer in first]),
            "second": torch.stack([layer.weight.T for layer in second]),
            "second_bias": torch.stack([layer.bias[None] for layer in second]),
            "last": torch.cat([layer.weight for layer in last], 1) * (self.scale / len(last)),
            "last_bias": torch.stack([layer.bias for layer in last]).mean(0) * self.scale,
        }
        for name, value in ready.items():
            self.register_buffer(name, value.detach().contiguous(), persistent=False)
        return self.eval().requires_grad_(False)

    @staticmethod
    def features(labels):
        """What the networks see, (n, 4): every label in about ±1 over the prior; lines follow 1/T, not T."""
        teff, logg, m_h, alpha_m = labels.unbind(-1)
        return torch.stack(
            [
                (5040 / teff - 0.946) / 0.226,
                (logg - 2.9) / 2.1,
                (m_h + 1) / 1.5,
                (alpha_m - 0.2) / 0.3,
            ],
            -1,
        )

    def coefficients(self, labels):
        """Basis coefficients, shape (n, k), of ``labels``: (n, 4) teff [K], logg [cgs], m_h, alpha_m [dex]."""
        x = gelu(linear(self.features(labels), self.first, self.first_bias))
        x = x.unflatten(1, (len(self.nets), -1)).transpose(0, 1)
        x = gelu(torch.baddbmm(self.second_bias, x, self.second)).transpose(0, 1).flatten(1)
        return linear(x, self.last, self.last_bias)

    def fine(self, labels):
        """Flux on the fine grid, shape (n, 16151), without RV or rotation; labels as above."""
        return 1 + self.mean + self.coefficients(labels) @ self.basis

    def forward(self, labels, rv, vsini, resolution):
        """Flux on the native grid.

        Parameters
        ----------
        labels : torch.Tensor
            teff [K], logg [log cm/s²], m_h [dex], alpha_m [dex], shape (n, 4).
        rv, vsini : torch.Tensor
            km/s, shape (n,).
        resolution : torch.Tensor
            Resolving power, shape (n,), or (1,) for all.

        Returns
        -------
        torch.Tensor
            Normalised flux, shape (n, 3136).
        """
        columns = fourier_length(resolution) + 2
        mixed = torch.addmm(
            self.fourier[0, :columns], self.coefficients(labels), self.fourier[1:, :columns]
        )
        return 1 + to_native(mixed, rv, vsini, resolution, self.resolution)


def from_state(state):
    """An :class:`Emulator` from its ``state_dict``."""
    members = sum(name.endswith(".0.bias") for name in state)
    with torch.random.fork_rng(devices=[]):  # leave the caller's stream of random numbers alone
        emulator = Emulator(state["mean"], state["basis"], len(state["nets.0.0.bias"]), members)
    emulator.load_state_dict(state)
    return emulator.prepare()


def read(path):
    """An :class:`Emulator` from the ``.safetensors`` file that ``specnb emulator train`` wrote."""
    return from_state(load_file(str(path)))


@lru_cache(maxsize=4)
def load_emulator(device):
    """The emulator that ships with the package, on ``device``, in evaluation mode without gradients of its weights."""
    return read(files("specnb") / "assets" / "emulator.safetensors").to(device)


def fit(
    labels,
    flux,
    resolution=FINE_RESOLUTION,
    components=128,
    hidden=128,
    members=8,
    iterations=100,
    decay=3e-5,
    seed=0,
):
    """Train an emulator.

    Parameters
    ----------
    labels : numpy.ndarray
        teff [K], logg, m_h, alpha_m, shape (n, 4).
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
    """
    if len(labels) < 2 * components:
        raise ValueError(
            f"labels has {len(labels)} stars; {components} components need at least {2 * components}"
        )
    lines = torch.as_tensor(flux, dtype=torch.float64) - 1
    mean = lines.mean(0)
    lines = lines - mean
    u, s, _ = torch.linalg.svd(
        _seen(lines, torch.tensor(float(resolution))).double(), full_matrices=False
    )
    u, s = u[:, :components], s[:components]
    target, basis = u * s, (u.T @ lines) / s[:, None]
    scale = target.square().mean().sqrt()

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        emulator = Emulator(mean, basis, hidden, members, resolution).double()
    emulator.scale.copy_(scale)
    x, y = emulator.features(torch.as_tensor(labels, dtype=torch.float64)), target / scale
    for net in emulator.nets:
        _minimise(net, x, y, iterations, decay)
    return emulator.float().prepare()


def _seen(lines, base, resolution=1800.0):
    """Fine flux − 1 of resolving power ``base`` in native pixels at ``resolution``, shape (n, 3136)."""
    zero, r = torch.zeros(len(lines)), torch.full((len(lines),), float(resolution))
    return to_native(to_fourier(lines), zero, zero, r, base)


def _minimise(net, x, y, iterations, decay, ridge=1e-3):
    """Fit ``net(x)`` to ``y``: L-BFGS on all layers but the last, which is always the ridge regression on them.

    The loss is at its minimum in the last layer, so its gradient in the others needs no derivative of the regression.
    """
    hidden, last = net[:-1], net[-1]
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


def residuals(emulator, labels, flux, resolution=1800.0, base=None):
    """Emulator minus spectrum in native pixels, both at ``resolution``; shape (n, 3136).

    ``base`` is the resolving power of ``flux`` where it is not that of the emulator's own grid.
    """
    zero, r = torch.zeros(len(labels)), torch.full((len(labels),), float(resolution))
    predicted = emulator(torch.as_tensor(labels, dtype=torch.float32), zero, zero, r)
    base = emulator.resolution if base is None else torch.tensor(float(base))
    return (predicted - 1 - _seen(torch.as_tensor(flux) - 1, base, resolution)).numpy()
