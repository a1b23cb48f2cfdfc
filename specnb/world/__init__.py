"""The simulated world: stars of the prior, their spectra, the noise, and fits in that world."""
