r"""D(u, m) = E[x | u]: one denoiser for any diagonal noise map m (standard deviation per pixel).

:class:`PixelDenoiser` is a network F on pixels. Its inputs have unit variance at every noise level (preconditioning
after EDM; Karras et al. 2022, arXiv:2206.00364, table 1, here per pixel), and what its answer stands for is one of
``TARGETS``. By default F adds what the other pixels know to the best answer that looks at one pixel alone: nothing is
lost in float32 when m is 1e-3. A masked pixel is a pixel with m → ∞; there D is whatever its neighbours say.

:mod:`specnb.denoising.local_prior` has those that start from the best *linear* answer, which looks at all pixels.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from specnb import storage, validate
from specnb.denoising import local_prior
from specnb.denoising.base import PointEstimate, StarDenoiser, descend
from specnb.denoising.nets import DnCNN1D, LocalPriorNet, UNet1D
from specnb.denoising.noisemaps import coordinate
from specnb.observed import Observed

Tensor = torch.Tensor
Target = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""(F, u, m, μ, s) → clean spectrum: the network's answer, noisy flux and the noise's standard deviation, (n, pixels)
each; mean and standard deviation of every pixel over the prior, (pixels,)."""


def x0(answer: Tensor, u: Tensor, m: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Take the answer for the spectrum in units of its scatter, μ + s F."""
    return mean + std * answer


def eps(answer: Tensor, u: Tensor, m: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Take the answer for the noise, u − m F. Far from the data its error grows with m."""
    return u - m * answer


def residual(answer: Tensor, u: Tensor, m: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Take the answer for what to add in units of the noise, u + m F; no noise, no change."""
    return u + m * answer


def v(answer: Tensor, u: Tensor, m: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    r"""Take the answer for what the best answer that looks at one pixel lacks.

    :math:`\mu + (s^2/r^2)(u - \mu) + (s m/r) F` with r² = s² + m², of unit variance at every level (Salimans & Ho
    2022, arXiv:2202.00512, up to its sign; EDM's preconditioning).
    """
    total = std**2 + m**2
    return mean + std**2 / total * (u - mean) + std * m * total.rsqrt() * answer


TARGETS: dict[str, Target] = {"v": v, "x0": x0, "eps": eps, "residual": residual}
"""Name in a file's configuration → what the network's answer stands for."""


class PixelDenoiser(StarDenoiser, nn.Module):
    """Posterior mean of the clean spectrum under Gaussian noise of known map.

    Parameters
    ----------
    net : UNet1D or DnCNN1D
        Takes 3 channels.
    mean, std : torch.Tensor
        Mean and standard deviation of every pixel over the prior, shape (3136,).
    target : callable
        What the network's answer stands for, one of ``TARGETS``.
    """

    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor, target: Target = v):
        super().__init__()
        self.net, self.target = net, target
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def scatter(self) -> Tensor:
        """Standard deviation of every pixel over the prior, (3136,)."""
        return self.std

    def posterior(self, observed: Observed) -> PointEstimate:
        """Estimate the clean spectra."""
        u = observed.flux
        m = observed.noise.expand_as(u)
        some = m.clamp(min=1e-6)  # the network sees a logarithm of it
        ratio = torch.log(some / self.std)
        whitened = (u - self.mean) * (self.std**2 + m**2).rsqrt()
        channels = torch.stack([whitened, 0.5 * ratio, torch.tanh(ratio)], 1)
        answer = self.net(channels, coordinate(some))
        return PointEstimate(self.target(answer.float(), u, m, self.mean, self.std))

    def forward(self, u: Tensor, m: Tensor) -> Tensor:
        """Estimate clean spectra.

        Parameters
        ----------
        u : torch.Tensor
            Noisy flux, shape (n, 3136), finite everywhere.
        m : torch.Tensor
            Standard deviation of its noise, positive, same shape or one row for all.

        Returns
        -------
        torch.Tensor
            E[x | u], shape (n, 3136).
        """
        return self.posterior(Observed.state(u, m)).mean


NETS: dict[str, Callable[..., nn.Module]] = {"unet": UNet1D, "dncnn": DnCNN1D}
"""Name in a file's configuration → network on pixels."""


def fresh(
    *moments: Tensor, kind: str = "unet", target: str = "v", seed: int = 0, **config: Any
) -> Any:
    """Make a new denoiser from the prior's moments.

    Parameters
    ----------
    *moments : torch.Tensor
        Mean and standard deviation of every pixel; for those of ``local_prior`` mean, basis and diagonal.
    kind : str
        A key of ``NETS`` or of ``local_prior.KINDS``.
    target : str
        A key of ``TARGETS``; of networks on pixels.
    seed : int
        Of the initial weights; the caller's stream of random numbers is left as it is.
    **config
        Goes to the network (:mod:`specnb.denoising.nets`).

    Returns
    -------
    PixelDenoiser or local_prior.SubspaceDenoiser

    Raises
    ------
    ValueError
        If ``target`` is unknown.
    """
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; choose one of {list(TARGETS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind in local_prior.KINDS:
            made = local_prior.KINDS[kind]
            return made(LocalPriorNet(**config, observations=made.observations), *moments)
        mean, std = moments
        return PixelDenoiser(NETS[kind](3, **config), mean, std, TARGETS[target])


def save(denoiser: nn.Module, config: dict, path: str | Path) -> None:
    """Write a denoiser: safetensors, weights in half precision, its network's configuration in the header; atomic."""
    tensors = {k: v for k, v in denoiser.state_dict().items() if v.is_floating_point()}
    tensors |= {k: tensors[k].half() for k, _ in denoiser.named_parameters()}
    storage.write_tensors(path, tensors, config=config)


def read(path: str | Path) -> Any:
    """Read a denoiser written by :func:`save`: float32, in evaluation mode."""
    halves, notes = storage.read_tensors(path)
    tensors = {k: v.float() for k, v in halves.items()}
    moments = [tensors[k] for k in ("mean", "std", "basis", "diagonal") if k in tensors]
    denoiser = fresh(*moments, **notes["config"])
    denoiser.load_state_dict(
        tensors, strict=False
    )  # all but the batch counters of DnCNN's normalisation
    return denoiser.eval().requires_grad_(False)


SHIPPED = ("bounded", "wmae", "supervised", "dncnn")


@lru_cache(maxsize=4)
def load(name: str, device: str = "cpu") -> Any:
    """Load a denoiser that ships with the package.

    Parameters
    ----------
    name : str
        One of ``SHIPPED``; what they were trained on is written in ``specnb/assets/NAME.md``.
    device : str
        ``"cpu"``, ``"cuda"``, …

    Returns
    -------
    PixelDenoiser or local_prior.SubspaceDenoiser
        In evaluation mode; ``model(u, m)`` takes noisy flux and the noise's standard deviation, (n, 3136) each.

    Raises
    ------
    ValueError
        If ``name`` is unknown.

    Examples
    --------
    >>> import specnb, torch
    >>> model = specnb.load("bounded")
    >>> model(torch.ones(1, 3136), torch.full((1, 3136), 0.1)).shape
    torch.Size([1, 3136])
    """
    if name not in SHIPPED:
        raise ValueError(f"name is {name!r}; choose one of {list(SHIPPED)}")
    return read(str(files("specnb") / "assets" / f"{name}.safetensors")).to(device)


def in_batches(function: Callable[..., Tensor], *tensors: Tensor, size: int = 256) -> Tensor:
    """Apply ``function`` to slices of ``size`` rows and join the results: memory stays bounded for any n."""
    return torch.cat(
        [function(*rows) for rows in zip(*(t.split(size) for t in tensors), strict=True)]
    )


def apply(
    denoiser: StarDenoiser, flux: ArrayLike | Tensor, ivar: ArrayLike | Tensor, steps: int = 1
) -> np.ndarray | Tensor:
    """Denoise with a model in hand; arguments and result as :func:`specnb.denoise`.

    With more than one of ``steps`` it goes to one typical spectrum (:func:`specnb.denoising.base.descend`).
    """
    observed, restore = validate.spectra(flux, ivar)
    if steps == 1:
        return restore(denoiser.denoise(observed))
    parts = observed.to(denoiser.mean.device).filled(denoiser.mean).split(denoiser.AT_ONCE)
    found = [descend(denoiser, part, steps) for part in parts]
    return restore(torch.cat(found).to(observed.device))
