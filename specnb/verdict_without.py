"""Where diffusion does not help: paragraphs of the verdict, in numbers of results files."""

import numpy as np

from specnb.verdict_rows import by_level


def fitting(limit):
    """The emulator's fit beside the denoiser, of limit.json."""
    rows = [(v["snr"], *(v["methods"][name]["rho"] for name in ("fit", "bounded"))) for v in limit["levels"]]
    snrs, fits, nets = zip(*((str(snr), f"{fit[0]:.2f}", f"{net[0]:.2f}") for snr, fit, net in rows), strict=True)
    return (
        "**Fitting the emulator directly.** Whoever knows the simulator can fit its labels: the spectrum of the most "
        f"likely ones has an error of ρ = {', '.join(fits)} at S/N {', '.join(snrs)}. The denoiser, which has seen the "
        f"same kind of stars and was told no labels, has {', '.join(nets)}."
    )


def estimating(labels):
    """Scatter of [M/H] from noisy and denoised spectra, of parameters.json."""
    ways = ("fit, noisy", "fit, denoised", "mlp, noisy", "mlp, denoised", "exact")
    rows = [(snr, [m["points"][k]["all"]["m_h"]["scatter"][0] for k in ways]) for snr, m in by_level(labels["levels"])]
    listed = "; ".join(
        f"S/N {snr}: fit {a:.3f} noisy, {b:.3f} denoised; perceptron {c:.3f}, {d:.3f}; exact mean {e:.3f}"
        for snr, (a, b, c, d, e) in rows
    )
    return f"**Denoising before an estimate that knows the noise.** Scatter of [M/H] in dex, {listed}."


def erasing(dps):
    """What is left of a line that no star has, of dps.json."""
    names = ("exact, mean", "dps, mean", "supervised", "fit", "dncnn")
    listed = "; ".join(
        f"S/N {snr}: "
        + ", ".join(f"{k} {np.median(v['survival'][k]['added line']):.2f}" for k in names if k in v["survival"])
        for snr, v in by_level(dps["features"])
    )  # fmt: skip
    return (
        "**What no star of the prior has.** Whatever believes the prior erases a line that the prior does not hold; "
        f"median share that survives, {listed}. `specnb.anomalies` reports such lines instead."
    )


WITHOUT = {"limit": fitting, "parameters": estimating, "dps": erasing}
"""By results file: a paragraph on where diffusion does not help."""
