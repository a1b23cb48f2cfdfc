r"""p(θ | y) of the six labels, amortised: a normalising flow that looks at a spectrum through the denoiser's eyes.

In the prior's normal coordinates z (:mod:`specnb.prior`) the labels have no bounds. What the flow sees of an
observation is the linear estimate of its components with their standard deviations, the noise level, and what the
denoiser makes of them (:mod:`specnb.localprior`): numbers that know the noise map. The flow is

.. math:: z = \mu(h) + L(h)\,t, \qquad t \sim \text{neural spline flow given } h ,

so that the splines (Durkan et al. 2019, arXiv:1906.04032; by Zuko) shape a density of unit width at any S/N.
"""

from functools import lru_cache
from importlib.resources import files

import torch
import zuko
from torch import nn

from specnb import denoisers, results

N_LABELS = 6


class LabelNet(nn.Module):
    """Residual multilayer perceptron h, and from it μ, L and a neural spline flow.

    Parameters
    ----------
    rank : int
        Components of the denoiser that are looked at.
    width, blocks : int
        Width of the hidden layers; residual blocks of two.
    transforms, bins : int
        Of the spline flow.
    """

    def __init__(self, rank=100, width=512, blocks=4, transforms=3, bins=8):
        super().__init__()
        self.first = nn.Linear(4 * rank + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.last = nn.Linear(width, N_LABELS + N_LABELS * (N_LABELS + 1) // 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.context = nn.Linear(width, 64)
        self.flow = zuko.flows.NSF(N_LABELS, 64, bins=bins, transforms=transforms, hidden_features=(128, 128))

    def forward(self, seen):
        """μ (n, 6), L (n, 6, 6) and the flow's distribution, of features (n, 4 rank + 1)."""
        h = self.first(seen)
        for block in self.blocks:
            h = h + block(h)
        mean, rest = self.last(h).split([N_LABELS, N_LABELS * (N_LABELS + 1) // 2], 1)
        root = rest.new_zeros(len(rest), N_LABELS, N_LABELS)
        i, j = torch.tril_indices(N_LABELS, N_LABELS, device=rest.device)
        root[:, i, j] = rest
        root = root.tril(-1) + torch.diag_embed(root.diagonal(dim1=1, dim2=2).exp())
        return mean, root, self.flow(self.context(h))


class LabelFlow(nn.Module):
    """q(z | y), with the denoiser ``bounded`` that ships before it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    @property
    def eyes(self):
        """The denoiser it looks through."""
        return denoisers.load("bounded", str(self.net.first.weight.device))

    @torch.no_grad()
    def features(self, u, m):
        """What the net sees of flux and noise map, (n, 3136) each → (n, 4 rank + 1)."""
        eyes = self.eyes
        x, covariance, linear = eyes.components(u, m)
        sd = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt().to(x.dtype)
        z, before, level = linear
        return torch.cat([z, before.log(), x, sd.log(), level[:, None]], 1)

    def log_prob(self, z, u, m):
        """ln q of normal coordinates (n, 6), (n,)."""
        mean, root, flow = self.net(self.features(u, m))
        t = torch.linalg.solve_triangular(root, (z - mean)[..., None], upper=False)[..., 0]
        return flow.log_prob(t) - root.diagonal(dim1=1, dim2=2).log().sum(1)

    def draw(self, noise, u, m):
        """Draws of z and their ln q from standard normal numbers, (n, k, 6) → (n, k, 6) and (n, k)."""
        mean, root, flow = self.net(self.features(u, m))
        t, stretch = flow.transform.inv.call_and_ladj(noise.transpose(0, 1))
        z = mean + (root @ t[..., None])[..., 0]
        density = flow.base.log_prob(noise.transpose(0, 1)) - stretch
        return z.transpose(0, 1), (density - root.diagonal(dim1=1, dim2=2).log().sum(1)).T


def fresh(seed=0, **config):
    """A new flow; ``config`` goes to :class:`LabelNet`. Its weights depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LabelFlow(LabelNet(**config))


def read(path):
    """A flow written by :func:`specnb.denoisers.save`, float32, in evaluation mode."""
    halves, notes = results.read_tensors(path)
    flow = fresh(**notes["config"])
    flow.load_state_dict({k: v.float() for k, v in halves.items()}, strict=False)
    return flow.eval().requires_grad_(False)


@lru_cache(maxsize=2)
def load(device="cpu"):
    """The flow that ships; see ``specnb/assets/labels.md``."""
    return read(files("specnb") / "assets" / "labels.safetensors").to(device)
