r"""The network, a one-dimensional U-Net with a strided stem, and DnCNN to compare it with.

A line is two or three pixels wide, but Teff is written in all lines at once. So the stem folds ``stem`` pixels into
one position without loss (3136 = 64 × 49), convolutions work on neighbourhoods, and attention at the coarsest level
(never above 1/8 of the resolution) lets every line see every other. The noise level enters every block as a scale
and a shift of its channels (FiLM; Perez et al. 2018, arXiv:1709.07871). U-Net: Ronneberger et al. 2015.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Residual block: norm, convolution, FiLM, norm, convolution; (n, c, l) → (n, c, l)."""

    def __init__(self, channels: int, kernel: int, embedding: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv1d(channels, channels, kernel, padding=kernel // 2)
        self.film = nn.Linear(embedding, 2 * channels)
        for parameter in self.conv2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """Apply the block to h (n, c, l), given the embedding e (n, embedding) of the noise level."""
        scale, shift = self.film(e)[..., None].chunk(2, 1)
        r = self.conv1(F.silu(self.norm1(h)))
        r = self.conv2(F.silu(self.norm2(r) * (1 + scale) + shift))
        return h + r


class Attention(nn.Module):
    """Multi-head self-attention over positions with a residual; (n, c, l) → (n, c, l)."""

    def __init__(self, channels: int, positions: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.position = nn.Parameter(0.1 * torch.randn(1, channels, positions))
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Let every position of h (n, c, l) see every other."""
        qkv = self.qkv(self.norm(h) + self.position)
        qkv = qkv.unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(qkv[:, 0], qkv[:, 1], qkv[:, 2])
        return h + self.out(mixed.transpose(-1, -2).flatten(1, 2))


class UNet1D(nn.Module):
    """U-Net on the native grid.

    Parameters
    ----------
    in_channels : int
        Spectrum and conditioning channels.
    length : int
        Pixels; must be divisible by ``stem * 2**(len(channels) - 1)``.
    stem : int
        Pixels folded into one position before the first level.
    channels : sequence of int
        Width of each level, multiples of 8; each level halves the length.
    blocks : int
        Residual blocks per level on the way down and on the way up.
    kernel : int
        Odd kernel size of the convolutions, in positions.
    embedding : int
        Size of the noise-level embedding.

    Raises
    ------
    ValueError
        If the stem and the levels do not divide the length, or put attention at more than 1/8 of the resolution.
    """

    def __init__(
        self,
        in_channels: int,
        length: int = 3136,
        stem: int = 16,
        channels: Sequence[int] = (64, 96, 128),
        blocks: int = 1,
        kernel: int = 3,
        embedding: int = 64,
    ):
        super().__init__()
        stride = stem * 2 ** (len(channels) - 1)
        if length % stride:
            raise ValueError(
                f"length is {length}; it must be a multiple of stem * 2**levels = {stride}"
            )
        if stride < 8:
            raise ValueError(
                f"stem {stem} and {len(channels)} levels put attention at 1/{stride}; 1/8 is the finest"
            )
        self.embedding = embedding
        self.embed = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.stem = nn.Conv1d(in_channels, channels[0], stem, stride=stem)

        def level(c: int) -> nn.ModuleList:
            return nn.ModuleList(Block(c, kernel, embedding) for _ in range(blocks))

        widths = list(zip(channels, channels[1:], strict=False))  # of neighbouring levels
        self.down = nn.ModuleList(level(c) for c in channels)
        self.reduce = nn.ModuleList(nn.Conv1d(a, b, 2, stride=2) for a, b in widths)
        self.attention = Attention(channels[-1], length // stride)
        self.up = nn.ModuleList(level(c) for c in channels)
        self.expand = nn.ModuleList(nn.ConvTranspose1d(b, a, 2, stride=2) for a, b in widths)
        self.head = nn.Sequential(nn.GroupNorm(8, channels[0]), nn.SiLU())
        self.unstem = nn.ConvTranspose1d(channels[0], 1, stem, stride=stem)

    def forward(self, channels: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Predict one channel.

        Parameters
        ----------
        channels : torch.Tensor
            Shape (n, in_channels, length).
        level : torch.Tensor
            A scalar noise coordinate per spectrum, of order 1 (log of the noise level, say), shape (n,).

        Returns
        -------
        torch.Tensor
            Shape (n, length).
        """
        half = self.embedding // 2
        exponent = torch.linspace(math.log(0.25), math.log(16), half, device=level.device)
        phase = level[:, None] * torch.exp(exponent)
        e = F.silu(self.embed(torch.cat([phase.cos(), phase.sin()], 1)))
        h, skips = self.stem(channels), []
        for i, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList
                h = block(h, e)
            if i < len(self.reduce):
                skips.append(h)
                h = self.reduce[i](h)
        h = self.attention(h)
        for i, blocks in reversed(list(enumerate(self.up))):
            if i < len(self.expand):
                h = self.expand[i](h) + skips.pop()
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList
                h = block(h, e)
        return self.unstem(self.head(h))[:, 0]


class DnCNN1D(nn.Module):
    """DnCNN in one dimension: a plain stack of convolutions that predicts noise (Zhang et al. 2017, arXiv:1608.03981).

    A pixel of the result sees depth · (kernel − 1) + 1 pixels of the input, 35 by default: a line and its neighbours,
    never the other lines of the star. The normalisation is by batch, as in the paper; one over positions would see
    all lines.

    Parameters
    ----------
    in_channels : int
        Spectrum and conditioning channels.
    depth : int
        Convolutions, 2 or more.
    width : int
        Channels between them.
    kernel : int
        Odd kernel size, in pixels.

    Raises
    ------
    ValueError
        If there are fewer than 2 layers or the kernel is even.
    """

    def __init__(self, in_channels: int, depth: int = 17, width: int = 64, kernel: int = 3):
        super().__init__()
        if depth < 2 or kernel % 2 == 0:
            raise ValueError(
                f"depth is {depth} and kernel {kernel}; give 2 layers or more and an odd kernel"
            )
        pad = kernel // 2
        layers: list[nn.Module] = [nn.Conv1d(in_channels, width, kernel, padding=pad), nn.ReLU()]
        for _ in range(depth - 2):
            conv = nn.Conv1d(width, width, kernel, padding=pad, bias=False)
            layers += [conv, nn.BatchNorm1d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv1d(width, 1, kernel, padding=pad))

    def forward(self, channels: torch.Tensor, level: torch.Tensor | None = None) -> torch.Tensor:
        """Predict the residual y − x̂, (n, in_channels, length) → (n, length); DnCNN does not use ``level``."""
        return self.layers(channels)[:, 0]


class LocalPriorNet(nn.Module):
    """Residual multilayer perceptron: from a first estimate of a star to what stars like it look like.

    Parameters
    ----------
    rank, components : int
        Components that the first estimate has and that the spectrum has, ``components >= rank``.
    directions : int
        Directions in which stars like this one vary.
    width, blocks : int
        Width of the hidden layers; residual blocks of two.
    observations : int
        How many observations of a star it looks at, 1 or 2.
    """

    def __init__(
        self,
        rank: int,
        components: int = 400,
        directions: int = 12,
        width: int = 512,
        blocks: int = 3,
        observations: int = 1,
    ):
        super().__init__()
        self.first = nn.Linear(observations * (2 * rank + 1), width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.sizes = [components, rank * directions, rank, rank]
        self.last = nn.Linear(width, sum(self.sizes))
        nn.init.zeros_(self.last.bias)
        nn.init.zeros_(self.last.weight)
        weights_of_directions = self.last.weight[components:][: rank * directions]
        nn.init.normal_(weights_of_directions, std=0.002)  # at 0 J Jᵀ has no gradient
        self.spread = nn.Linear(width, 2 * rank + directions)
        nn.init.zeros_(self.spread.bias)
        nn.init.zeros_(self.spread.weight)

    def forward(
        self,
        z: torch.Tensor,
        sd: torch.Tensor,
        level: torch.Tensor,
        beside: tuple[torch.Tensor, ...] = (),
    ) -> tuple[
        torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, tuple[torch.Tensor, torch.Tensor]
    ]:
        """Predict moments of the components of stars like this one; before training they are the prior's.

        Parameters
        ----------
        z, sd : torch.Tensor
            First estimate of the components and its standard deviation, shape (n, rank).
        level : torch.Tensor
            A scalar noise coordinate per spectrum, shape (n,).
        beside : tuple of torch.Tensor
            The same three of a second observation.

        Returns
        -------
        mean : torch.Tensor
            Shape (n, components).
        directions : torch.Tensor
            J, shape (n, rank, directions).
        variance : torch.Tensor
            v, shape (n, rank): the covariance is J Jᵀ + diag v.
        shift : torch.Tensor
            Correction of what follows from these moments, in units of ``sd``, shape (n, rank).
        wide : tuple of torch.Tensor
            J and v again, as wide as stars really scatter: the answer's mean does not need it, its draws do.
        """
        seen = [z, sd.log(), level[:, None]]
        if beside:
            second, sd_of_second, level_of_second = beside
            seen += [second, sd_of_second.log(), level_of_second[:, None]]
        h = self.first(torch.cat(seen, 1))
        for block in self.blocks:
            h = h + block(h)
        mean, directions, variance, shift = self.last(h).float().split(self.sizes, 1)
        directions, variance = directions.unflatten(1, (z.shape[1], -1)), torch.exp(4 * variance)
        sizes = [z.shape[1], directions.shape[2], z.shape[1]]
        rows, columns, own = self.spread(h).float().split(sizes, 1)
        wide = (
            directions * torch.exp(rows[..., None] + columns[:, None]),
            variance * torch.exp(4 * own),
        )
        return mean, directions, variance, shift, wide
