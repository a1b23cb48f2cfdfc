r"""Denoisers that start from the best linear answer, and the network that knows what stars near it look like.

The linear optimum (:mod:`specnb.subspace`) looks at all pixels: components z with standard deviations
:math:`\sigma_z`. It is best for a Gaussian prior, and stars are none: they lie on a curved surface of eleven
dimensions. But near any point a curved surface is flat. So a network says what stars near the first answer look like,
mean :math:`z_0` and covariance :math:`P = JJ^\top + \mathrm{diag}\,v`, and the same linear algebra gives the answer
for that local prior, of whatever noise:

.. math::
    z' = z_0 + P\,(1 + A P)^{-1} B^\top \tilde W\,(u - \mu - B_+ z_0) + \sigma_z F, \qquad A = B^\top \tilde W B .

:math:`B_+` has more components than B: those too weak for the pixels to say much about, which follow from the others.
The shift F is for what is not Gaussian even there.
"""

import torch
from torch import nn

from specnb.noisemaps import MASKED, coordinate, noise_of
from specnb.subspace import LinearPosterior, products

PURE_NOISE = 20.0
"""Standard deviation beside which nothing of a star is left."""


class SubspaceDenoiser(nn.Module):
    """E[x | u]: the posterior mean from local Gaussian priors that a network predicts.

    Parameters
    ----------
    net : LocalPriorNet
    mean, basis, diagonal : torch.Tensor
        First two moments of the prior, of shapes (3136,), (3136, components), (3136,); see :mod:`specnb.subspace`.
    """

    observations = 1
    """How many observations of a star the network looks at."""

    def __init__(self, net, mean, basis, diagonal):
        super().__init__()
        self.net, self.rank = net, net.sizes[-1]
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        self.register_buffer("diagonal", diagonal)
        first = basis[:, : self.rank].contiguous()
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("rest", diagonal + basis[:, self.rank :].square().sum(1), persistent=False)
        self.register_buffer("pairs", products(first), persistent=False)

    def scatter(self):
        """Standard deviation of every pixel over the prior, (3136,)."""
        return (self.diagonal + self.basis.square().sum(1)).sqrt()

    def draw_gaussian(self, n, rng):
        """Draws of the Gaussian prior of these moments, which no network has touched, (n, 3136)."""
        z, rest = (
            torch.randn(n, k, generator=rng, device=self.mean.device) for k in (self.basis.shape[1], len(self.mean))
        )
        return self.mean + z @ self.basis.mT + self.diagonal.sqrt() * rest

    def look(self, u, m):
        """The linear posterior, and what a network sees of it: z, its standard deviation (n, rank), level (n,)."""
        with torch.autocast(u.device.type, enabled=False):  # differences of nearly equal numbers follow
            linear = LinearPosterior(u, m**-2, self.mean, self.first, self.rest, pairs=self.pairs)
            sd = linear.covariance().diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
        return linear, (linear.z, sd.expand_as(linear.z), coordinate(m).expand(len(u)))

    def forward(self, u, m, beside=()):
        """The posterior mean.

        Parameters
        ----------
        u, m : torch.Tensor
            Noisy flux and the standard deviation of its noise, shape (n, 3136); m may be one row for all, which is
            several times as fast.
        beside : tuple of torch.Tensor
            What the network sees of another observation of the same stars (:meth:`look`).

        Returns
        -------
        torch.Tensor
            Shape (n, 3136).
        """
        linear, seen = self.look(u, m)
        mean, directions, variance, shift = self.net(*seen, beside)
        with torch.autocast(u.device.type, enabled=False):
            x = self.mean + mean @ self.basis.mT
            x = x + (linear.update(u - x, directions, variance) + seen[1] * shift) @ self.first.mT
            return x + self.diagonal / (self.diagonal + m**2) * (u - x)


class ResidualDenoiser(SubspaceDenoiser):
    r"""The plan's MVP-0.6: :math:`\hat x = u + m\,g(u, m)`, and so without noise bit for bit what was observed.

    For noise m = sσ; g is in units of it.
    """

    def forward(self, u, m):
        """Clean flux, arguments as in :meth:`SubspaceDenoiser.forward`; m may be 0."""
        some = m.clamp(min=1e-5)
        return u + m * ((super().forward(u, some) - u) / some)


class SupervisedDenoiser(SubspaceDenoiser):
    """The plan's MVP-1.0, E[x | u, y]: learnt from pairs of clean x and observed y, for every state u of x's diffusion.

    How y came from x, and so its likelihood, enters nowhere: the network has to learn it (spec-DDPM's idea).
    """

    observations = 2

    def forward(self, u, m, beside=None):
        """The posterior mean given a state u with flat noise m *and* an observation seen by :meth:`look`.

        Of an observation u alone, where ``beside`` is None: the state is pure noise then.
        """
        if beside is None:
            _, beside = self.look(u, m)
            u, m = self.mean.expand_as(u), torch.full_like(m[:1], PURE_NOISE)
        return super().forward(u, m, beside)


class BlindDenoiser(SubspaceDenoiser):
    """Without the noise map (the plan's MVP-1.2 left out): knows the median level and which pixels are masked."""

    def forward(self, u, m):
        """Clean flux, arguments as in :meth:`SubspaceDenoiser.forward`."""
        level = noise_of(coordinate(m))[:, None]
        return super().forward(u, torch.where(m < MASKED, level, m))


KINDS = {
    "subspace": SubspaceDenoiser,
    "residual": ResidualDenoiser,
    "supervised": SupervisedDenoiser,
    "blind": BlindDenoiser,
}
