"""Samplers: draws of clean spectra, of the prior and of posteriors."""
