"""Benchmarks, not tests: `make bench`. Spectra per second = the batch over the time shown."""

from time import perf_counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import specnb
from specnb.denoising import networks
from specnb.observed import Observed
from specnb.training import objectives
from specnb.world import prior, stars

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
    networks.load("bounded", "cpu")
    benchmark(lambda: specnb.denoise(s.observed, s.ivar))
    report(benchmark)


def test_denoise_one_map(benchmark):
    """Many spectra of one noise map, as samplers ask for."""
    s = specnb.simulate(1, 0, snr=10)
    u, m = (
        torch.as_tensor(s.observed),
        Observed(torch.as_tensor(s.observed), torch.as_tensor(s.ivar)).noise,
    )
    model, u = networks.load("bounded", "cpu"), u.expand(64, -1).contiguous()
    with torch.no_grad():
        benchmark(lambda: model(u, m))
    report(benchmark, 64)


def peak(device="cpu", n=2048):
    """Floating-point operations per second of a large matrix product in float32."""
    a, times = torch.randn(n, n, device=device), []
    for _ in range(5):
        start = perf_counter()
        a @ a
        times.append(perf_counter() - start)
    return 2 * n**3 / min(times)


def test_training_step(benchmark):
    """Forward, backward and the stars of a batch of 128, and the share of what a large matrix product reaches."""
    model = networks.load("bounded", "cpu")
    for p in model.parameters():
        p.requires_grad_(True)
    batches = stars.stream(128)

    def step():
        objectives.mse(model, next(batches))[0].mean().backward()

    with FlopCounterMode(display=False) as counter:
        step()
    benchmark(step)
    networks.load.cache_clear()  # its weights have gradients now
    report(benchmark, 128)
    share = counter.get_total_flops() / benchmark.stats["median"] / peak()
    print(
        f"{counter.get_total_flops() / 1e9:.0f} GFLOP in matrix products a step, {share:.0%} of the peak"
    )


@pytest.mark.filterwarnings("ignore::specnb.labels.oracle.UnreliablePosterior")
def test_oracle(benchmark):
    """Seconds for 256 stars at S/N 10, and how many of their posteriors are good."""
    s = specnb.simulate(BATCH, 11, snr=10)
    posterior = benchmark.pedantic(specnb.oracle, (s.observed, s.ivar), rounds=1)
    d = posterior.diagnostics
    print(
        f"\n{(~posterior.flags).mean():.1%} good; R-hat at most {max(d['rhat']):.4f}, ESS at least {min(d['ess']):.0f}"
    )
    report(benchmark)
