"""How each model is trained, by profile: smoke (seconds), quick (minutes), cpu (an hour on two cores), full (a GPU)."""

from dataclasses import dataclass
from typing import Any

import torch

from specnb.denoising import classical, local_prior
from specnb.world import streams
from specnb.world.stars import draw
from specnb.world.streams import generator


@dataclass(frozen=True)
class Profile:
    """How a network is trained.

    Attributes
    ----------
    net : dict
        Arguments of ``networks.fresh``, or of ``flows.LabelNet``.
    steps, batch_size : int
    rate : float
        Peak learning rate.
    flat : float
        Share of stars with the same noise in all pixels.
    objective : str
        A key of ``objectives.OBJECTIVES``.
    start : str
        Name of a model that ships, of the same network, from whose weights training starts.
    sky : bool
        Learn from stars as a survey sees them (:mod:`specnb.world.telescope`).
    """

    net: dict[str, Any]
    steps: int
    batch_size: int
    rate: float = 2e-3
    flat: float = 0.0
    objective: str = "mse"
    start: str = ""
    sky: bool = False


_SMALL, _PLAIN, _SUBSPACE = (
    dict(stem=16, kernel=5),
    dict(kind="dncnn", kernel=5),
    dict(kind="subspace"),
)
_EPS = dict(kind="unet", target="eps")
_FULL = dict(rank=200, components=500, directions=24, width=2048, blocks=6)
_TINY, _CPU = dict(rank=20, components=30, width=32, blocks=1), dict(rank=100, components=400)
MODELS: dict[str, dict[str, Profile]] = {
    "bounded": {
        "smoke": Profile(_TINY | _SUBSPACE, steps=20, batch_size=16),
        "quick": Profile(
            dict(rank=60, components=200, width=256, blocks=2, **_SUBSPACE),
            800,
            batch_size=64,
            rate=1e-3,
            flat=0.25,
        ),
        "cpu": Profile(_CPU | _SUBSPACE, steps=8000, batch_size=128, rate=1e-3, flat=0.25),
        "full": Profile(_FULL | _SUBSPACE, steps=20000, batch_size=1024, rate=5e-4, flat=0.25),
    },
    "unet": {
        "smoke": Profile(dict(stem=32, channels=(32, 64)), steps=20, batch_size=16),
        "cpu": Profile(dict(channels=(64, 128, 192), **_SMALL), steps=6000, batch_size=64),
        "full": Profile(
            dict(stem=4, channels=(64, 128, 192, 256, 256), kernel=5, blocks=2),
            steps=20000,
            batch_size=256,
        ),
    },
    "eps": {
        "smoke": Profile(
            dict(stem=32, channels=(32, 64), **_EPS), steps=20, batch_size=16, flat=1.0
        ),
        "quick": Profile(dict(channels=(64, 96, 128), **_EPS), steps=600, batch_size=32, flat=1.0),
        "cpu": Profile(dict(channels=(64, 128, 192), **_EPS), steps=6000, batch_size=64, flat=1.0),
        "full": Profile(
            dict(stem=4, channels=(64, 128, 192, 256), kernel=5, blocks=2, **_EPS),
            20000,
            256,
            flat=1.0,
        ),
    },
    "wmae": {
        "smoke": Profile(_TINY | dict(kind="residual"), 20, batch_size=16, objective="wmae"),
        "quick": Profile(
            _CPU | dict(kind="residual"), 200, 128, rate=2e-4, objective="wmae", start="bounded"
        ),
        "cpu": Profile(
            _CPU | dict(kind="residual"), 2500, 128, rate=3e-4, objective="wmae", start="bounded"
        ),
    },
    "spread": {
        "quick": Profile(
            _CPU | _SUBSPACE, 50, 64, rate=1e-3, flat=0.25, objective="spread", start="bounded"
        ),
        "cpu": Profile(
            _CPU | _SUBSPACE, 1000, 64, rate=1e-3, flat=0.25, objective="spread", start="bounded"
        ),
    },
    "supervised": {
        "smoke": Profile(_TINY | dict(kind="supervised"), 20, batch_size=16, objective="diffused"),
        "quick": Profile(_CPU | dict(kind="supervised"), 400, 128, rate=1e-3, objective="diffused"),
        "cpu": Profile(_CPU | dict(kind="supervised"), 4000, 128, rate=1e-3, objective="diffused"),
        "full": Profile(
            _FULL | dict(kind="supervised"), 20000, 1024, rate=5e-4, objective="diffused"
        ),
    },
    "labels": {
        "smoke": Profile(
            dict(width=32, blocks=1, hidden=16, transforms=1), 20, 16, objective="labels"
        ),
        "quick": Profile({}, 200, 128, rate=1e-3, flat=0.1, objective="labels"),
        "cpu": Profile({}, 3000, 128, rate=1e-3, flat=0.1, objective="labels"),
        "full": Profile(
            dict(width=2048, blocks=6, hidden=128), 20000, 1024, 5e-4, flat=0.1, objective="labels"
        ),
    },
    "labels_sky": {
        "smoke": Profile(
            dict(width=32, blocks=1, hidden=16, transforms=1), 20, 16, objective="labels", sky=True
        ),
        "quick": Profile({}, 100, 64, rate=3e-4, objective="labels", start="labels", sky=True),
        "cpu": Profile({}, 1500, 64, rate=5e-4, objective="labels", start="labels", sky=True),
    },
    "dncnn": {
        "smoke": Profile(dict(depth=3, width=8, **_PLAIN), steps=20, batch_size=4),
        "cpu": Profile(dict(depth=10, width=32, **_PLAIN), steps=2000, batch_size=32),
        "full": Profile(dict(depth=17, width=64, kind="dncnn"), steps=20000, batch_size=128),
    },
}
"""How each model is trained, by profile. ``bounded`` starts from the linear optimum, ``unet`` from the best answer that
looks at one pixel, as does ``dncnn``, the baseline of :class:`specnb.denoising.nets.DnCNN1D`; ``eps`` is the plan's
unconditional network, which answers the noise; ``wmae`` goes on from ``bounded`` with the plan's loss; ``spread``
teaches ``bounded`` how far stars scatter about its answer and changes nothing else; ``supervised`` is p(x|y);
``labels`` is the flow p(θ|y) of :mod:`specnb.labels.flows`, ``labels_sky`` that of stars as a survey sees them."""


def chosen(name: str, profile: str) -> Profile:
    """Look up how a model is trained.

    Raises
    ------
    ValueError
        If there is no such model or profile.
    """
    if name not in MODELS:
        raise ValueError(f"name is {name!r}; choose one of {sorted(MODELS)}")
    if profile not in MODELS[name]:
        raise ValueError(f"profile is {profile!r}; {name} has {sorted(MODELS[name])}")
    return MODELS[name][profile]


def moments(net: dict[str, Any], n: int | None = None) -> tuple[torch.Tensor, ...]:
    """Measure what a denoiser must know of training stars, for :func:`specnb.denoising.networks.fresh`.

    Parameters
    ----------
    net : dict
        Configuration of its network.
    n : int, optional
        Stars; by default as many as it needs.

    Returns
    -------
    tuple of torch.Tensor
        Mean and standard deviation of every pixel, or mean, basis and diagonal.
    """
    if net.get("kind") in local_prior.KINDS:
        return classical.moments(n or 16384, net["components"])  # many components, many stars
    x = draw(n or 4096, generator("train", 0, streams.MOMENTS_OF_PIXELS)).x
    return x.mean(0), x.std(0)
