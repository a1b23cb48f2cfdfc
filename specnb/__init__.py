"""Diffusion models for one-dimensional stellar spectra: denoising, parameters, calibrated uncertainties."""

from importlib import import_module

from specnb.anomaly import anomalies
from specnb.denoisers import load
from specnb.exact import Posterior, oracle
from specnb.grid import WAVE
from specnb.inference import infer
from specnb.methods import denoise
from specnb.posterior import sample_posterior
from specnb.samplers import sample_prior
from specnb.stars import Stars, simulate, synthesize

__all__ = [
    "WAVE", "Posterior", "Stars", "anomalies", "denoise", "infer", "lines", "load", "oracle", "read",
    "sample_posterior", "sample_prior", "simulate", "synthesize", "to_native",
]  # fmt: skip

_LATER = {"lines": "indices", "read": "readers", "to_native": "native"}
"""What needs specutils, which takes longer to import than everything else together."""


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module 'specnb' has no attribute {name!r}")
    return getattr(import_module(f"specnb.{_LATER[name]}"), name)
