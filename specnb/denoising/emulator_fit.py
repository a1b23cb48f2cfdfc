r"""The fit of the emulator as a denoiser: the spectrum of the most likely labels, with its continuum."""

import torch

from specnb.denoising.base import Denoiser, PointEstimate
from specnb.observed import Observed
from specnb.world import fit


class EmulatorFit(Denoiser):
    """``fit``: least squares through the emulator (:mod:`specnb.world.fit`)."""

    def posterior(self, observed: Observed) -> PointEstimate:
        """Fit labels and continuum to every spectrum."""
        world = fit.default_world(str(observed.device))
        parts = []
        for part in observed.split(fit.ROWS):
            spectrum = world.emulated(fit.labels(part).float())
            c, _, _ = world.continuum.best(spectrum, part)
            parts.append(spectrum * world.continuum(c))
        return PointEstimate(torch.cat(parts))
