"""Random numbers that must never meet."""

import torch

from specnb.denoising.classical import BINS
from specnb.world import streams

STEPS_OF_MOMENTS = 2**10
"""More thousands of stars than moments are ever learnt from."""


def test_what_is_learnt_beside_a_training_shares_no_step_with_it():
    """Ranges of steps of the training split do not overlap, and no run of training reaches them."""
    ranges = [
        (0, streams.RESERVED),
        (streams.MOMENTS_OF_PIXELS, 1),
        (streams.MOMENTS, STEPS_OF_MOMENTS),
        (streams.REGRESSION, 1),
        (streams.ESTIMATORS, 1),
    ]
    ranges.sort()
    for (start, size), (after, _) in zip(ranges, ranges[1:], strict=False):
        assert start + size <= after
    assert streams.TUNING + len(BINS) < 2**32


def test_seeds_of_judges_differ():
    cards = streams.DENOISER_CARD_SEED, streams.FLOW_CARD_SEED
    ablation = range(streams.ABLATION_SEED, streams.ABLATION_SEED + 5)
    assert len({*cards, *ablation}) == 7
    assert streams.YARDSTICK_SEED != streams.FLOW_SEED


def test_a_split_is_written_into_the_seed():
    for split, number in streams.SPLITS.items():
        for step in (0, 7, streams.MOMENTS):
            assert streams.generator(split, 3, step).initial_seed() % 4 == number


def test_draws_of_a_spectrum_are_its_own():
    first, again, other = (torch.randn(4, generator=streams.of_spectrum(5, i)) for i in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    seeds = {streams.of_spectrum(5, i).initial_seed() for i in range(1000)}
    assert len(seeds) == 1000


def test_streams_are_those_of_the_models_that_ship():
    """Weights, cards and results were made with these; another hash would make other stars."""
    seeds = [
        streams.generator("train", 0, 2**31 + 1).initial_seed(),
        streams.generator("test", 1001).initial_seed(),
        streams.of_spectrum(4, 1).initial_seed(),
        streams.of_batch(5, 64).initial_seed(),
    ]
    assert seeds == [3430244196, 1028625170, 2570931004, 4554514700513964426]
