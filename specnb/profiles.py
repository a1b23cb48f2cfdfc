"""How each model is trained, by profile: smoke (seconds), quick (minutes), cpu (an hour on two cores), full (a GPU)."""

from dataclasses import dataclass

from specnb import baselines
from specnb.stars import draw, generator


@dataclass(frozen=True)
class Profile:
    """How much to train: network, steps, batch size, peak learning rate, share of stars with flat noise."""

    net: dict
    steps: int
    batch_size: int
    rate: float = 2e-3
    flat: float = 0.0


_SMALL, _PLAIN, _SUBSPACE = dict(stem=16, kernel=5), dict(kind="dncnn", kernel=5), dict(kind="subspace")
_EPS = dict(kind="unet", target="eps")
MODELS = {
    "bounded": {
        "smoke": Profile(dict(rank=20, components=30, width=32, blocks=1, **_SUBSPACE), steps=20, batch_size=16),
        "quick": Profile(
            dict(rank=60, components=200, width=256, blocks=2, **_SUBSPACE), 800, batch_size=64, rate=1e-3, flat=0.25
        ),
        "cpu": Profile(dict(rank=100, components=400, **_SUBSPACE), steps=8000, batch_size=128, rate=1e-3, flat=0.25),
        "full": Profile(
            dict(rank=200, components=500, directions=24, width=2048, blocks=6, **_SUBSPACE),
            steps=20000,
            batch_size=1024,
            rate=5e-4,
            flat=0.25,
        ),
    },
    "unet": {
        "smoke": Profile(dict(stem=32, channels=(32, 64)), steps=20, batch_size=16),
        "cpu": Profile(dict(channels=(64, 128, 192), **_SMALL), steps=6000, batch_size=64),
        "full": Profile(
            dict(stem=4, channels=(64, 128, 192, 256, 256), kernel=5, blocks=2), steps=20000, batch_size=256
        ),
    },
    "eps": {
        "smoke": Profile(dict(stem=32, channels=(32, 64), **_EPS), steps=20, batch_size=16, flat=1.0),
        "quick": Profile(dict(channels=(64, 96, 128), **_EPS), steps=600, batch_size=32, flat=1.0),
        "cpu": Profile(dict(channels=(64, 128, 192), **_EPS), steps=6000, batch_size=64, flat=1.0),
        "full": Profile(dict(stem=4, channels=(64, 128, 192, 256), kernel=5, blocks=2, **_EPS), 20000, 256, flat=1.0),
    },
    "dncnn": {
        "smoke": Profile(dict(depth=3, width=8, **_PLAIN), steps=20, batch_size=4),
        "cpu": Profile(dict(depth=10, width=32, **_PLAIN), steps=2000, batch_size=32),
        "full": Profile(dict(depth=17, width=64, kind="dncnn"), steps=20000, batch_size=128),
    },
}
"""How each model is trained, by profile: ``bounded`` starts from the linear optimum, ``unet`` from the best answer that
looks at one pixel, as does ``dncnn``, the baseline of :class:`specnb.nets.DnCNN1D`; ``eps`` is the plan's unconditional
network, which answers the noise."""


def moments(net, n=None):
    """What a denoiser of network configuration ``net`` must know of ``n`` training stars, for ``denoisers.fresh``."""
    if net.get("kind") == "subspace":
        return baselines.moments(n or 16384, net["components"])  # hundreds of components need many stars
    x = draw(n or 4096, generator("train", 0, 2**31)).x
    return x.mean(0), x.std(0)
