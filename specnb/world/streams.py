r"""Random numbers: every stream of simulated stars, every reserved seed, in one place.

Splits are disjoint by construction: a generator is seeded by (split, seed, step), the split written into the two
lowest bits. A stream of training takes steps 0, 1, 2, …; what is learnt beside it (moments, regressions) takes steps
from ``RESERVED`` on, which no training reaches. Test stars are told apart by their seed: a model card, a validation
set and the ablation have seeds of their own.
"""

import numpy as np
import torch

SPLITS = {"train": 0, "validation": 1, "test": 2}

RESERVED = 2**31
"""First step that no training run reaches; below, what is drawn from there on."""

MOMENTS_OF_PIXELS = RESERVED
"""Training split: mean and scatter of every pixel, for networks on pixels."""

MOMENTS = RESERVED + 1
"""Training split, one step for every 1024 stars: mean, components and rest, for linear methods."""

REGRESSION = RESERVED + 2**20
"""Training split: the linear regression by which draws of spectra are judged."""

ESTIMATORS = RESERVED + 2**21
"""Training split: regressions of labels."""

TUNING = RESERVED
"""Validation split, one step a bin of S/N: settings of the classical denoisers."""

RECALIBRATION = 2**20
"""Validation split, plus the S/N: what the plan's decision tree learns on."""

YARDSTICK_SEED = 20261125
"""Validation split: stars by which training measures ρ; their step is the S/N."""

FLOW_SEED = 20261126
"""Validation split: stars by which the flow's training is followed; their step is the S/N."""

DENOISER_CARD_SEED, FLOW_CARD_SEED, ABLATION_SEED = 1001, 1003, 3001
"""Test split: stars of the model cards; of the ablation (plus the number of the bin of S/N)."""


def generator(
    split: str, seed: int, step: int = 0, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Make a generator of its own for (split, seed, step).

    torch's CPU generator keeps 32 bits of a seed, too few for streams that must never meet: the split is written into
    the two lowest, so that splits are disjoint for certain, and the rest is a hash of (seed, step).
    """
    (state,) = np.random.SeedSequence([seed, step]).generate_state(1, np.uint32)
    return torch.Generator(device).manual_seed(int(state) & ~0b11 | SPLITS[split])


def of_spectrum(seed: int, i: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Make the generator of spectrum ``i`` of a list: its draws do not depend on the others."""
    (state,) = np.random.SeedSequence([seed, i]).generate_state(1, np.uint32)
    return torch.Generator(device).manual_seed(int(state))


def of_batch(seed: int, first: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Make the generator of a batch whose first spectrum is ``first``, for samplers that draw for all at once."""
    (state,) = np.random.SeedSequence([seed, first]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state >> 1))
