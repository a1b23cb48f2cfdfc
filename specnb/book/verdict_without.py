"""Where diffusion does not help: paragraphs of the verdict, in numbers of results files."""

from collections.abc import Callable
from typing import Any

import numpy as np

from specnb.experiments.dps import Dps
from specnb.experiments.limit import Limit
from specnb.experiments.parameters import Parameters


def fitting(numbers: Limit) -> str:
    """Compare the emulator's fit with the denoiser."""

    def rho(name):
        return ", ".join(f"{level.methods[name].rho.value:.2f}" for level in numbers.levels)

    snrs = ", ".join(str(level.snr) for level in numbers.levels)
    return (
        "**Fitting the emulator directly.** Whoever knows the simulator can fit its labels: the spectrum of the most "
        f"likely ones has an error of ρ = {rho('fit')} at S/N {snrs}. The denoiser, which has seen the "
        f"same kind of stars and was told no labels, has {rho('bounded')}."
    )


def estimating(numbers: Parameters) -> str:
    """Compare the scatter of [M/H] of a fit from noisy and from denoised spectra."""
    ways = {"fit, noisy": "noisy", "fit, denoised": "denoised", "oracle": "oracle's mean"}
    parts = []
    for snr, level in sorted(numbers.levels.items()):
        scatter = {word: level.points[k]["all"]["m_h"].scatter for k, word in ways.items()}
        parts.append(f"S/N {snr}: " + ", ".join(f"{v:.3f} {word}" for word, v in scatter.items()))
    return (
        f"**Denoising before a fit of the emulator.** Scatter of [M/H] in dex, {numbers.stars} stars, "
        f"{'; '.join(parts)}."
    )


def reported(numbers: Dps) -> str:
    """Say which narrow lines that no star has ``specnb.anomalies`` reports."""
    parts = []
    for snr, features in sorted(numbers.reported.items()):
        flagged = features["added line"].flagged
        parts.append(f"{100 * np.mean(flagged):.0f} % of {len(flagged)} at S/N {snr}")
    return "of lines of 3 to 30 % depth, " + ", ".join(parts)


def erasing(numbers: Dps) -> str:
    """Say what is left of a line that no star has."""
    names = ("exact, mean", "dps, mean", "supervised", "fit", "dncnn")
    parts = []
    for snr, found in sorted(numbers.features.items()):
        shares = {name: found.survival[name]["added line"] for name in names}
        medians = ", ".join(f"{name} {np.median(share):.2f}" for name, share in shares.items())
        n = len(shares[names[0]])
        parts.append(f"S/N {snr}: {medians} ({n} lines)")
    return (
        "**What no star of the prior has.** Whatever believes the prior erases a line that the prior does not hold; "
        f"median share that survives, {'; '.join(parts)}. `specnb.anomalies` reports those that are strong enough: "
        f"{reported(numbers)}."
    )


WITHOUT: dict[str, Callable[[Any], str]] = {
    "limit": fitting,
    "parameters": estimating,
    "dps": erasing,
}
"""By results file: a paragraph on where diffusion does not help."""
