"""Benchmarks, not tests: `make bench`. Spectra per second = the batch over the time shown."""

import pytest
import torch

import specnb
from specnb import denoisers, prior, stars

BATCH = 256


@pytest.fixture(scope="module")
def labels():
    return prior.draw_labels(BATCH, torch.Generator().manual_seed(0))


def report(benchmark, n=BATCH):
    benchmark.extra_info["spectra_per_s"] = rate = n / benchmark.stats["median"]
    print(f"\n{benchmark.name}: {rate:,.0f} spectra/s on {torch.get_num_threads()} threads")


def test_emulator(benchmark, labels):
    """Labels to native pixels, with radial velocity, rotation and line-spread function."""
    model, r = stars.load_emulator("cpu"), torch.full((BATCH,), 1800.0)
    with torch.no_grad():
        benchmark(lambda: model(labels[:, :4], labels[:, 4], labels[:, 5], r))
    report(benchmark)


def test_training_stream(benchmark):
    batches = stars.stream(BATCH)
    benchmark(lambda: next(batches))
    report(benchmark)


def test_denoise_one_pass(benchmark):
    s = specnb.simulate(BATCH, 0, snr=10)
    denoisers.load("bounded", "cpu")
    benchmark(lambda: specnb.denoise(s.observed, s.ivar))
    report(benchmark)


@pytest.mark.filterwarnings("ignore::specnb.exact.UnreliablePosterior")
def test_oracle(benchmark):
    """Seconds for 256 stars at S/N 10, and how many of their posteriors are good."""
    s = specnb.simulate(BATCH, 11, snr=10)
    posterior = benchmark.pedantic(specnb.oracle, (s.observed, s.ivar), rounds=1)
    d = posterior.diagnostics
    print(
        f"\n{(~posterior.flags).mean():.1%} good; R-hat at most {max(d['rhat']):.4f}, ESS at least {min(d['ess']):.0f}"
    )
    report(benchmark)
