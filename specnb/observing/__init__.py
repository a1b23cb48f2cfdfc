"""Observed spectra: files, the native grid, the continuum, and products with quality flags."""
