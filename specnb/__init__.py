"""Diffusion models for one-dimensional stellar spectra: denoising, parameters, calibrated uncertainties."""

from importlib import import_module

_HOME = {
    "WAVE": "grid",
    "Posterior": "labels.oracle",
    "Stars": "world.stars",
    "anomalies": "spectral_lines.anomalies",
    "denoise": "denoising.denoise",
    "infer": "labels.inference",
    "lines": "spectral_lines.indices",
    "load": "denoising.networks",
    "oracle": "labels.oracle",
    "read": "observing.readers",
    "sample_posterior": "sampling.posterior",
    "sample_prior": "sampling.reverse",
    "simulate": "world.stars",
    "synthesize": "world.stars",
    "to_native": "observing.native",
}
"""Public name → module that defines it; each is imported when it is first used."""

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'specnb' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"specnb.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
