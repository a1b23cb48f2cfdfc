"""Denoisers: from a noisy spectrum and its errors to the clean spectrum."""
