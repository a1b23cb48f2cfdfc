"""Diffusion models for one-dimensional stellar spectra: denoising, parameters, calibrated uncertainties."""

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
    "WAVE", "Posterior", "Stars", "anomalies", "denoise", "infer", "load", "oracle", "sample_posterior", "sample_prior",
    "simulate", "synthesize",
]  # fmt: skip
