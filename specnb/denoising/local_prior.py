r"""Denoisers that start from the best linear answer, and the network that knows what stars near it look like.

The linear optimum (:mod:`specnb.denoising.subspace`) looks at all pixels: components z with standard deviations
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

from specnb.denoising.noisemaps import MASKED, coordinate, noise_map, noise_of
from specnb.denoising.subspace import LinearPosterior, products

PURE_NOISE = 20.0
"""Standard deviation beside which nothing of a star is left."""


class SubspaceDenoiser(nn.Module):
    """E[x | u]: the posterior mean from local Gaussian priors that a network predicts.

    Parameters
    ----------
    net : LocalPriorNet
    mean, basis, diagonal : torch.Tensor
        First two moments of the prior, of shapes (3136,), (3136, components), (3136,); see
        :mod:`specnb.denoising.subspace`.
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
        self.register_buffer(
            "rest", diagonal + basis[:, self.rank :].square().sum(1), persistent=False
        )
        self.register_buffer("pairs", products(first), persistent=False)

    def scatter(self):
        """Standard deviation of every pixel over the prior, (3136,)."""
        return (self.diagonal + self.basis.square().sum(1)).sqrt()

    def draw_gaussian(self, n, rng):
        """Draws of the Gaussian prior of these moments, which no network has touched, (n, 3136)."""
        z, rest = (
            torch.randn(n, k, generator=rng, device=self.mean.device)
            for k in (self.basis.shape[1], len(self.mean))
        )
        return self.mean + z @ self.basis.mT + self.diagonal.sqrt() * rest

    def look(self, u, m):
        """The linear posterior, and what a network sees of it: z, its standard deviation (n, rank), level (n,)."""
        with torch.autocast(
            u.device.type, enabled=False
        ):  # differences of nearly equal numbers follow
            linear = LinearPosterior(u, m**-2, self.mean, self.first, self.rest, pairs=self.pairs)
            sd = linear.covariance().diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
        return linear, (linear.z, sd.expand_as(linear.z), coordinate(m).expand(len(u)))

    def first_look(self, flux, ivar):
        """Linear estimate of the components and the noise level, (n, 3136) each → (n, rank + 1)."""
        u = torch.where(ivar > 0, flux, 1.0)
        linear = LinearPosterior(u, ivar, self.mean, self.first, self.rest, pairs=self.pairs)
        return torch.cat([linear.z, coordinate(noise_map(ivar))[:, None]], 1)

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
        x, *_ = self._first(u, m, beside)
        return self._rest(x, u, m)

    def _first(self, u, m, beside):
        """The components' part of the answer; the linear posterior; what was seen; J and v of stars' real scatter."""
        linear, seen = self.look(u, m)
        mean, directions, variance, shift, wide = self.net(*seen, beside)
        with torch.autocast(u.device.type, enabled=False):
            x, sd = self.mean + mean @ self.basis.mT, seen[1]
            known = 0.0
            if beside:
                known = linear.learn(*beside[:2], mean[:, : self.rank])
                sd = (sd**-2 + beside[1] ** -2 - 1).rsqrt()
            x = x + (linear.update(u - x, directions, variance, known) + sd * shift) @ self.first.mT
        return x, linear, seen, wide

    def _rest(self, x, u, m):
        """With what each pixel says of what no component holds."""
        return x + self.diagonal / (self.diagonal + m**2) * (u - x)

    def draw(self, u, m, rng, beside=()):
        """A draw of the local posterior, whose mean :meth:`forward` gives; arguments and result as there."""
        x, linear, _, wide = self._first(u, m, beside)
        x = x + linear.deviate(*wide, rng) @ self.first.mT
        own = (self.diagonal * m**2 / (self.diagonal + m**2)).sqrt()
        return self._rest(x, u, m) + own * torch.randn(u.shape, generator=rng, device=u.device)

    def components(self, u, m):
        """The first components of p(x | u): mean (n, rank), covariance, and what the network saw (:meth:`look`)."""
        x, linear, seen, wide = self._first(u, m, ())
        return ((x - self.mean) @ self.first) / self.first.square().sum(0), linear.left(*wide), seen

    def local(self, u, m):
        """p(x | u) as the network sees it, a Gaussian of covariance basis · covariance · basisᵀ + diag own.

        Parameters
        ----------
        u, m : torch.Tensor
            As in :meth:`forward`, ``m`` one row.

        Returns
        -------
        mean, covariance, basis, own : torch.Tensor
            Shapes (n, 3136), (n, rank, rank), (3136, rank), (1, 3136); the covariance is float64.
        """
        x, linear, _, wide = self._first(u, m, ())
        free = m**2 / (self.diagonal + m**2)  # what u leaves of a pixel
        return self._rest(x, u, m), linear.left(*wide), free.mT * self.first, self.diagonal * free

    def surprise(self, x, u, m):
        """-ln p(z | u), but for a constant, of the components z of clean spectra x (n, 3136); (n,), float64."""
        mean, linear, _, (directions, variance) = self._first(u, m, ())
        error = (((x - mean) @ self.first) / self.first.square().sum(0)).double()
        directions, variance = directions.double(), variance.double()
        a, scaled = linear.information(), directions / variance[..., None]
        small = (
            torch.eye(directions.shape[2], dtype=a.dtype, device=a.device) + directions.mT @ scaled
        )
        part = (scaled.mT @ error[..., None])[..., 0]
        square = (error**2 / variance).sum(1) - (part * torch.linalg.solve(small, part)).sum(1)
        square = square + ((a @ error[..., None])[..., 0] * error).sum(1)
        prior = directions @ directions.mT + torch.diag_embed(variance)
        one = torch.eye(prior.shape[1], dtype=a.dtype, device=a.device)
        volume = (
            variance.log().sum(1) + torch.logdet(small) - torch.linalg.slogdet(one + a @ prior)[1]
        )
        return 0.5 * (square + volume)


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

    Of y it sees the linear estimate of every component and that one's error bar, and starts by taking these for
    independent; the likelihood of y itself enters nowhere (spec-DDPM's idea).
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
