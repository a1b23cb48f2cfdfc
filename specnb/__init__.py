"""Diffusion models for one-dimensional stellar spectra: denoising, parameters, calibrated uncertainties."""

from specnb.denoisers import denoise
from specnb.grid import WAVE
from specnb.stars import Stars, simulate, synthesize

__all__ = ["WAVE", "Stars", "denoise", "simulate", "synthesize"]
