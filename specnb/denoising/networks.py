r"""D(u, m) = E[x | u]: one denoiser for any diagonal noise map m (standard deviation per pixel).

:class:`Denoiser` is a network F on pixels. Its inputs have unit variance at every noise level (preconditioning after
EDM; Karras et al. 2022, arXiv:2206.00364, table 1, here per pixel), and what its answer stands for is said in
:func:`to_x0`. By default F adds what the other pixels know to the best answer that looks at one pixel alone: nothing
is lost in float32 when m is 1e-3. A masked pixel is a pixel with m → ∞; there D is whatever its neighbours say.

:mod:`specnb.denoising.local_prior` has those that start from the best *linear* answer, which looks at all pixels.
"""

from functools import lru_cache
from importlib.resources import files

import torch
from torch import nn

from specnb import storage, validate
from specnb.denoising import local_prior
from specnb.denoising.nets import DnCNN1D, LocalPriorNet, UNet1D
from specnb.denoising.noisemaps import coordinate, noise_map

TARGETS = ("v", "x0", "eps", "residual")


def to_x0(target, answer, u, m, mean, std):
    r"""The clean spectrum that a network's answer F stands for; the one place where that is said.

    With r² = s² + m², of mean μ and standard deviation s of every pixel over the prior:

    - ``x0``: the spectrum, :math:`\mu + s F`.
    - ``eps``: the noise, :math:`u - m F`. Far from the data its error grows with m.
    - ``residual``: what to add in units of the noise, :math:`u + m F`; no noise, no change.
    - ``v``: what the best answer that looks at one pixel lacks, :math:`\mu + (s^2/r^2)(u - \mu) + (s m/r) F`, of unit
      variance at every level (Salimans & Ho 2022, arXiv:2202.00512, up to its sign; EDM's preconditioning).

    Parameters
    ----------
    target : str
    answer, u, m : torch.Tensor
        F, noisy flux and the noise's standard deviation, shape (n, pixels).
    mean, std : torch.Tensor
        Shape (pixels,).

    Returns
    -------
    torch.Tensor
        Shape (n, pixels).
    """
    if target == "x0":
        return mean + std * answer
    if target == "eps":
        return u - m * answer
    if target == "residual":
        return u + m * answer
    total = std**2 + m**2
    return mean + std**2 / total * (u - mean) + std * m * total.rsqrt() * answer


class Denoiser(nn.Module):
    """Posterior mean of the clean spectrum under Gaussian noise of known map.

    Parameters
    ----------
    net : UNet1D or DnCNN1D
        Takes 3 channels.
    mean, std : torch.Tensor
        Mean and standard deviation of every pixel over the prior, shape (3136,).
    target : str
        What the network answers, one of ``TARGETS``; see :func:`to_x0`.
    """

    def __init__(self, net, mean, std, target="v"):
        super().__init__()
        if target not in TARGETS:
            raise ValueError(f"target is {target!r}; choose one of {list(TARGETS)}")
        self.net, self.target = net, target
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def scatter(self):
        """Standard deviation of every pixel over the prior, (3136,)."""
        return self.std

    def forward(self, u, m):
        """Denoise.

        Parameters
        ----------
        u : torch.Tensor
            Noisy flux, shape (n, 3136), finite everywhere.
        m : torch.Tensor
            Standard deviation of its noise, positive, same shape or one row for all.

        Returns
        -------
        torch.Tensor
            E[x | u], same shape.
        """
        m = m.expand_as(u)
        some = m.clamp(min=1e-6)  # the network sees a logarithm of it
        ratio = torch.log(some / self.std)
        whitened = (u - self.mean) * (self.std**2 + m**2).rsqrt()
        answer = self.net(
            torch.stack([whitened, 0.5 * ratio, torch.tanh(ratio)], 1), coordinate(some)
        )
        return to_x0(self.target, answer.float(), u, m, self.mean, self.std)


def sample_bounded(denoiser, u, m, steps=10):
    r"""Deterministic steps from the observation at its own noise level down to zero (plan's MVP-0.5; DDIM).

    :math:`u_{t-1} = \hat x + \frac{\lambda_{t-1}}{\lambda_t}(u_t - \hat x)` with :math:`\hat x = D(u_t, m_t)` and the
    map shrunk in ``steps`` equal steps. One step is the posterior mean; more steps follow the probability-flow ODE
    to one typical spectrum. In a direction of prior scatter s the mean is μ + (u − μ) s²/(s² + m²), the ODE's end
    μ + (u − μ) s/√(s² + m²): no worse where the data say all (s ≫ m) or nothing (s ≪ m), and stars have few
    directions in between.

    Parameters
    ----------
    denoiser : Denoiser
    u, m : torch.Tensor
        Observation and its noise map, (n, 3136).
    steps : int

    Returns
    -------
    torch.Tensor
        Shape (n, 3136).
    """
    for k in range(steps, 0, -1):
        x = denoiser(u, m * (k / steps))
        u = x + (k - 1) / k * (u - x)
    return u


def fresh(*moments, kind="unet", target="v", seed=0, **config):
    """A new denoiser from the prior's moments: mean and std; for those of ``localprior`` mean, basis and diagonal.

    ``kind`` is ``unet``, ``dncnn`` or a key of ``localprior.KINDS``; ``target``, of the first two, is what the network
    answers (:func:`to_x0`); ``config`` goes to the network (:mod:`specnb.denoising.nets`). Its weights depend on
    ``seed`` alone, and the caller's stream of random numbers is left as it is.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind in local_prior.KINDS:
            made = local_prior.KINDS[kind]
            return made(LocalPriorNet(**config, observations=made.observations), *moments)
        return Denoiser({"unet": UNet1D, "dncnn": DnCNN1D}[kind](3, **config), *moments, target)


def save(denoiser, config, path):
    """Write a denoiser: safetensors, weights in half precision, its network's configuration in the header; atomic."""
    tensors = {k: v for k, v in denoiser.state_dict().items() if v.is_floating_point()}
    tensors |= {k: tensors[k].half() for k, _ in denoiser.named_parameters()}
    storage.write_tensors(path, tensors, config=config)


def read(path):
    """A denoiser written by :func:`save`, float32, in evaluation mode."""
    halves, notes = storage.read_tensors(path)
    tensors = {k: v.float() for k, v in halves.items()}
    denoiser = fresh(
        *(tensors[k] for k in ("mean", "std", "basis", "diagonal") if k in tensors),
        **notes["config"],
    )
    denoiser.load_state_dict(
        tensors, strict=False
    )  # all but the batch counters of DnCNN's normalisation
    return denoiser.eval().requires_grad_(False)


SHIPPED = ("bounded", "wmae", "supervised", "dncnn")


@lru_cache(maxsize=4)
def load(name: str, device: str = "cpu") -> nn.Module:
    """A denoiser that ships with the package.

    Parameters
    ----------
    name : str
        One of ``SHIPPED``; what they were trained on is written in ``specnb/assets/NAME.md``.
    device : str
        ``"cpu"``, ``"cuda"``, …

    Returns
    -------
    Denoiser or localprior.SubspaceDenoiser
        In evaluation mode; ``model(u, m)`` takes noisy flux and the noise's standard deviation, (n, 3136) each.

    Raises
    ------
    ValueError
        If ``name`` is unknown.
    """
    if name not in SHIPPED:
        raise ValueError(f"name is {name!r}; choose one of {list(SHIPPED)}")
    return read(files("specnb") / "assets" / f"{name}.safetensors").to(device)


def in_batches(function, *tensors, size=256):
    """Apply ``function`` to slices of ``size`` rows and join the results: memory stays bounded for any n."""
    return torch.cat(
        [function(*rows) for rows in zip(*(t.split(size) for t in tensors), strict=True)]
    )


@torch.no_grad()
def run(denoiser, flux, ivar, steps=1):
    """Denoise checked tensors (n, 3136) as :func:`specnb.validate.spectra` returns them; ``steps`` as above."""
    device = denoiser.mean.device

    def one(f, w):
        u = torch.where(w > 0, f, denoiser.mean)  # a masked pixel says nothing, whatever it holds
        return sample_bounded(denoiser, u, noise_map(w), steps)

    return in_batches(one, flux.to(device), ivar.to(device), size=64).to(flux.device)


def apply(denoiser, flux, ivar, steps=1):
    """Denoise with a model in hand; arguments and result as :func:`specnb.denoise`."""
    flux, ivar, restore = validate.spectra(flux, ivar)
    return restore(run(denoiser, flux, ivar, steps))
