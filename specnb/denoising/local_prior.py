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

from __future__ import annotations

import torch
from torch import nn

from specnb.denoising.base import Denoiser, PointEstimate, SpectrumPosterior, StarDenoiser
from specnb.denoising.nets import LocalPriorNet
from specnb.denoising.noisemaps import coordinate, noise_of
from specnb.denoising.subspace import LinearPosterior, products
from specnb.observed import MASKED, Observed

PURE_NOISE = 20.0
"""Standard deviation beside which nothing of a star is left."""

Look = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""What a network sees of an observation: components z and their standard deviation (n, rank), noise level (n,)."""


class LocalPosterior(SpectrumPosterior):
    """The posterior of a local Gaussian prior, in closed form.

    Parameters
    ----------
    denoiser : SubspaceDenoiser
    state : Observed
        n spectra.
    beside : tuple of torch.Tensor
        What the network sees of another observation of the same stars (:meth:`SubspaceDenoiser.look`).
    """

    def __init__(self, denoiser: SubspaceDenoiser, state: Observed, beside: Look | tuple[()] = ()):
        self._of, self.state = denoiser, state
        self.wide: tuple[torch.Tensor, torch.Tensor]  # J and v, as wide as stars really scatter
        self.linear, self.seen = denoiser.look(state)
        estimate, directions, variance, shift, self.wide = denoiser.net(*self.seen, beside)
        with torch.autocast(state.device.type, enabled=False):
            x, sd = denoiser.mean + estimate @ denoiser.basis.mT, self.seen[1]
            if beside:
                self.linear = self.linear.learn(*beside[:2])
                sd = (sd**-2 + beside[1] ** -2 - 1).rsqrt()
            first = estimate[:, : denoiser.rank]
            moved = self.linear.update(state.flux - x, first, directions, variance) + sd * shift
            self.by_components = x + moved @ denoiser.first.mT
            """The components' part of the mean, (n, pixels)."""

    @property
    def mean(self) -> torch.Tensor:
        """Posterior mean, shape (n, pixels)."""
        return self._with_rest(self.by_components)

    def _with_rest(self, x: torch.Tensor) -> torch.Tensor:
        """Add what each pixel says of what no component holds."""
        diagonal = self._of.diagonal
        return x + diagonal / (diagonal + self.state.noise**2) * (self.state.flux - x)

    def draw(self, rng: torch.Generator) -> torch.Tensor:
        """Draw one clean spectrum for each of the n, shape (n, pixels)."""
        x = self.by_components + self.linear.deviate(*self.wide, rng) @ self._of.first.mT
        diagonal, m = self._of.diagonal, self.state.noise
        own = (diagonal * m**2 / (diagonal + m**2)).sqrt()
        normal = torch.randn(x.shape, generator=rng, device=x.device)
        return self._with_rest(x) + own * normal

    def components(self, x: torch.Tensor) -> torch.Tensor:
        """Project clean spectra less the prior's mean on the first components, (n, rank)."""
        return (x @ self._of.first) / self._of.first.square().sum(0)

    def of_components(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute mean (n, rank) and covariance (n, rank, rank), float64, of the first components."""
        return self.components(self.by_components - self._of.mean), self.linear.left(*self.wide)

    def gaussian(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Write it as a Gaussian of covariance basis · covariance · basisᵀ + diag own; of states with one noise map.

        Returns
        -------
        mean, covariance, basis, own : torch.Tensor
            Shapes (n, pixels), (n, rank, rank), (pixels, rank), (1, pixels); the covariance is float64.
        """
        diagonal, m = self._of.diagonal, self.state.noise
        free = m**2 / (diagonal + m**2)  # what u leaves of a pixel
        return self.mean, self.linear.left(*self.wide), free.mT * self._of.first, diagonal * free

    def surprise(self, x: torch.Tensor) -> torch.Tensor:
        """Compute -ln p(z | u), up to a constant, of components z of spectra x (n, pixels): (n,), float64."""
        error = self.components(x - self.by_components).double()
        directions, variance = (part.double() for part in self.wide)
        a, scaled = self.linear.information(), directions / variance[..., None]
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


class SubspaceDenoiser(StarDenoiser, nn.Module):
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

    basis: torch.Tensor
    diagonal: torch.Tensor
    first: torch.Tensor
    rest: torch.Tensor
    pairs: torch.Tensor

    def __init__(
        self, net: LocalPriorNet, mean: torch.Tensor, basis: torch.Tensor, diagonal: torch.Tensor
    ):
        super().__init__()
        self.net, self.rank = net, net.sizes[-1]
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        self.register_buffer("diagonal", diagonal)
        first = basis[:, : self.rank].contiguous()
        rest = diagonal + basis[:, self.rank :].square().sum(1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("rest", rest, persistent=False)
        self.register_buffer("pairs", products(first), persistent=False)

    def scatter(self) -> torch.Tensor:
        """Standard deviation of every pixel over the prior, (3136,)."""
        return (self.diagonal + self.basis.square().sum(1)).sqrt()

    def draw_gaussian(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """Draw from the Gaussian prior of these moments, which no network has touched, (n, 3136)."""
        z, rest = (
            torch.randn(n, k, generator=rng, device=self.mean.device)
            for k in (self.basis.shape[1], len(self.mean))
        )
        return self.mean + z @ self.basis.mT + self.diagonal.sqrt() * rest

    def look(self, state: Observed) -> tuple[LinearPosterior, Look]:
        """Compute the linear posterior, and of it what a network sees."""
        m = state.noise
        with torch.autocast(
            state.device.type, enabled=False
        ):  # differences of nearly equal numbers follow
            linear = LinearPosterior(
                state.flux, m**-2, self.mean, self.first, self.rest, pairs=self.pairs
            )
            sd = linear.covariance().diagonal(dim1=1, dim2=2).clamp(min=1e-12).sqrt()
        return linear, (linear.z, sd.expand_as(linear.z), coordinate(m).expand(len(state)))

    def first_look(self, observed: Observed) -> torch.Tensor:
        """Estimate the components linearly; with the noise level, (n, rank + 1)."""

        def one(part):
            linear = LinearPosterior(
                part.flux, part.ivar, self.mean, self.first, self.rest, pairs=self.pairs
            )
            return torch.cat([linear.z, coordinate(part.noise)[:, None]], 1)

        return torch.cat([one(part) for part in observed.filled(1.0).split(self.AT_ONCE)])

    def posterior(self, observed: Observed) -> SpectrumPosterior:
        """Look at n spectra; a noise map that is one row for all is several times as fast."""
        return LocalPosterior(self, observed)

    def forward(self, u: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        """Estimate clean spectra.

        Parameters
        ----------
        u, m : torch.Tensor
            Noisy flux and the standard deviation of its noise, shape (n, 3136); m may be one row for all.

        Returns
        -------
        torch.Tensor
            The posterior mean, shape (n, 3136).
        """
        return self.posterior(Observed.state(u, m)).mean

    def surprise(self, x: torch.Tensor, observed: Observed) -> torch.Tensor:
        """Compute -ln p(z | u) of clean spectra x; what training of the spread asks (:class:`LocalPosterior`)."""
        return LocalPosterior(self, observed).surprise(x)


class ResidualDenoiser(SubspaceDenoiser):
    r"""The plan's MVP-0.6: :math:`\hat x = u + m\,g(u, m)`, and so without noise bit for bit what was observed.

    For noise m = sσ; g is in units of it.
    """

    def posterior(self, observed: Observed) -> PointEstimate:
        """Estimate the clean spectra; the noise may be 0."""
        u, m = observed.flux, observed.noise
        some = m.clamp(min=1e-5)
        best = super().posterior(Observed.state(u, some)).mean
        return PointEstimate(u + m * ((best - u) / some))


class SupervisedDenoiser(SubspaceDenoiser):
    """The plan's MVP-1.0, E[x | u, y]: learnt from pairs of clean x and observed y, for every state u of x's diffusion.

    Of y it sees the linear estimate of every component and that one's error bar, and starts by taking these for
    independent; the likelihood of y itself enters nowhere (spec-DDPM's idea).
    """

    observations = 2

    def posterior(self, observed: Observed) -> LocalPosterior:
        """Look at an observation alone: the state of its diffusion is pure noise then."""
        u = self.mean.expand_as(observed.flux)
        noise = torch.full_like(observed.noise[:1], PURE_NOISE)
        _, seen = self.look(observed)
        return LocalPosterior(self, Observed.state(u, noise), seen)

    def given(self, seen: Look) -> Denoiser:
        """Make the denoiser of states of a star of which an observation was seen (:meth:`look`)."""
        return _Given(self, seen)

    def forward(self, u: torch.Tensor, m: torch.Tensor, beside: Look | None = None) -> torch.Tensor:
        """Estimate clean spectra from states u with flat noise m *and* an observation that was seen, or u alone."""
        state = Observed.state(u, m)
        return (
            self.posterior(state) if beside is None else LocalPosterior(self, state, beside)
        ).mean


class _Given(Denoiser):
    """A supervised denoiser with its observation in hand."""

    def __init__(self, denoiser: SupervisedDenoiser, seen: Look):
        self._denoiser, self._seen = denoiser, seen

    def posterior(self, observed: Observed) -> LocalPosterior:
        """Look at states of a star whose observation is known."""
        z, sd, level = (part.expand(len(observed), *part.shape[1:]) for part in self._seen)
        return LocalPosterior(self._denoiser, observed, (z, sd, level))


class BlindDenoiser(SubspaceDenoiser):
    """Without the noise map (the plan's MVP-1.2 left out): knows the median level and which pixels are masked."""

    def posterior(self, observed: Observed) -> SpectrumPosterior:
        """Look at n spectra as if their noise were even."""
        m = observed.noise
        level = noise_of(coordinate(m))[:, None]
        return super().posterior(Observed.state(observed.flux, torch.where(m < MASKED, level, m)))


KINDS = {
    "subspace": SubspaceDenoiser,
    "residual": ResidualDenoiser,
    "supervised": SupervisedDenoiser,
    "blind": BlindDenoiser,
}
"""Name in a file's configuration → class."""
