"""Where diffusion does not help: paragraphs of the verdict, in numbers of results files."""

import numpy as np

from specnb.book.verdict_rows import by_level
from specnb.storage import interval


def fitting(limit):
    """The emulator's fit beside the denoiser, of limit.json."""
    rows = [
        (v["snr"], *(v["methods"][name]["rho"] for name in ("fit", "bounded")))
        for v in limit["levels"]
    ]
    snrs, fits, nets = zip(
        *((str(snr), f"{fit[0]:.2f}", f"{net[0]:.2f}") for snr, fit, net in rows), strict=True
    )
    return (
        "**Fitting the emulator directly.** Whoever knows the simulator can fit its labels: the spectrum of the most "
        f"likely ones has an error of ρ = {', '.join(fits)} at S/N {', '.join(snrs)}. The denoiser, which has seen the "
        f"same kind of stars and was told no labels, has {', '.join(nets)}."
    )


def estimating(labels):
    """Scatter of [M/H] of a fit from noisy and denoised spectra, of parameters.json."""
    ways = ("fit, noisy", "fit, denoised", "exact")
    rows = [
        (snr, [m["points"][k]["all"]["m_h"]["scatter"] for k in ways])
        for snr, m in by_level(labels["levels"])
    ]
    listed = "; ".join(
        f"S/N {snr}: {interval(*a, digits=3)} noisy, {interval(*b, digits=3)} denoised, {interval(*c, digits=3)} exact "
        "mean"
        for snr, (a, b, c) in rows
    )
    return f"**Denoising before a fit of the emulator.** Scatter of [M/H] in dex, {labels['stars']} stars, {listed}."


def reported(dps):
    """Which narrow lines that no star has ``specnb.anomalies`` reports, of dps.json."""
    found = [(snr, v["added line"]["flagged"]) for snr, v in by_level(dps["reported"])]
    return "of lines of 3 to 30 % depth, " + ", ".join(
        f"{100 * np.mean(flagged):.0f} % of {len(flagged)} at S/N {snr}" for snr, flagged in found
    )


def erasing(dps):
    """What is left of a line that no star has, of dps.json."""
    names = ("exact, mean", "dps, mean", "supervised", "fit", "dncnn")
    listed = "; ".join(
        f"S/N {snr}: "
        + ", ".join(f"{k} {np.median(v['survival'][k]['added line']):.2f}" for k in names if k in v["survival"])
        + f" ({len(v['survival'][names[0]]['added line'])} lines)"
        for snr, v in by_level(dps["features"])
    )  # fmt: skip
    return (
        "**What no star of the prior has.** Whatever believes the prior erases a line that the prior does not hold; "
        f"median share that survives, {listed}. `specnb.anomalies` reports those that are strong enough: "
        f"{reported(dps)}."
    )


WITHOUT = {"limit": fitting, "parameters": estimating, "dps": erasing}
"""By results file: a paragraph on where diffusion does not help."""
