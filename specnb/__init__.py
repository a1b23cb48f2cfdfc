"""Diffusion models for one-dimensional stellar spectra: denoising, parameters, calibrated uncertainties."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; a test holds it against the table below
    from specnb.denoising.denoise import denoise
    from specnb.denoising.networks import load
    from specnb.grid import WAVE
    from specnb.labels.inference import infer
    from specnb.labels.oracle import Posterior, oracle
    from specnb.observing.native import to_native
    from specnb.observing.readers import read
    from specnb.sampling.posterior import sample_posterior
    from specnb.sampling.reverse import sample_prior
    from specnb.spectral_lines.anomalies import anomalies
    from specnb.spectral_lines.indices import lines
    from specnb.world.simulate import Stars, simulate
    from specnb.world.stars import synthesize

_HOME = {
    "WAVE": "grid",
    "Posterior": "labels.oracle",
    "Stars": "world.simulate",
    "anomalies": "spectral_lines.anomalies",
    "denoise": "denoising.denoise",
    "infer": "labels.inference",
    "lines": "spectral_lines.indices",
    "load": "denoising.networks",
    "oracle": "labels.oracle",
    "read": "observing.readers",
    "sample_posterior": "sampling.posterior",
    "sample_prior": "sampling.reverse",
    "simulate": "world.simulate",
    "synthesize": "world.stars",
    "to_native": "observing.native",
}
"""Public name → module that defines it; each is imported when it is first used."""

__all__ = [
    "WAVE",
    "Posterior",
    "Stars",
    "anomalies",
    "denoise",
    "infer",
    "lines",
    "load",
    "oracle",
    "read",
    "sample_posterior",
    "sample_prior",
    "simulate",
    "synthesize",
    "to_native",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'specnb' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"specnb.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
