"""The answer so far in three sentences, a figure and a table, for the first page of the book and for the README.

Every number comes from ``results/``, of the run of the largest profile (:func:`specnb.verdict.newest`).
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from specnb import plotting, results
from specnb.verdict import newest
from specnb.verdict_rows import by_level

MARKS = "<!-- answer -->", "<!-- /answer: written by `specnb answer` -->"
FIGURE = "answer.png"
NAMES = {
    "savgol": "Savitzky–Golay", "wavelet": "wavelets", "gp": "Gaussian process", "pca": "principal components",
    "wiener": "Wiener filter", "dncnn": "DnCNN", "fit": "fit of the emulator", "bounded": "diffusion (`bounded`)",
}  # fmt: skip
ALT = (
    "Two panels against S/N from 5 to 100. Left, RMSE over that of the exact posterior mean on a logarithmic axis: "
    "Savitzky-Golay, wavelets, Gaussian process and DnCNN far above, principal components and Wiener filter at two to "
    "three, the diffusion denoiser and the fit of the emulator just above the dashed limit of one. Right, share of 68 "
    "per cent intervals that hold the truth, a point for each label: the flow's lie in a band around the dashed line "
    "at 0.68."
)


def _found(folder, name):
    """Content of the result that counts."""
    profile, numbers = newest(folder, name)
    if profile is None:
        raise ValueError(f"no results of {name} in {folder}; run its notebook at profile quick or larger")
    return numbers


def sentences(folder):
    """Three sentences, Markdown."""
    limit = _found(folder, "limit")["levels"]
    labels, coverage, dps = (_found(folder, name) for name in ("parameters", "coverage", "dps"))
    at = next(level for level in limit if level["snr"] == 10)["methods"]
    rho = [level["methods"]["bounded"]["rho"][0] for level in limit]
    classical = min((at[k]["rho"][0], NAMES[k]) for k in ("savgol", "wavelet", "gp", "pca", "wiener"))
    points = {k: v["all"]["m_h"]["scatter"][0] for k, v in labels["levels"]["10"]["points"].items()}
    held = [v["as drawn"]["68"][0] for table in coverage["flow"].values() for v in table.values()]
    _, features = by_level(dps["features"])[0]
    kept = np.median(features["survival"]["exact, mean"]["added line"])
    return (
        f"1. **They denoise, close to the best that is possible**: at S/N 10 the mean square error falls by "
        f"{100 * at['bounded']['improvement'][0]:.1f} %, and the error is {at['bounded']['rho'][0]:.2f} times that of "
        f"the exact posterior mean ({rho[0]:.2f} at S/N {limit[0]['snr']}, {rho[-1]:.2f} at S/N {limit[-1]['snr']}; "
        f"the best classical method, the {classical[1]}, has {classical[0]:.2f} at S/N 10).\n"
        f"2. **Denoising improves parameters only for an estimator that does not know the noise**: the scatter of "
        f"[M/H] at S/N 10 falls from {points['mlp, noisy']:.2f} to {points['mlp, denoised']:.2f} dex for a perceptron, "
        f"while a fit that weighs pixels by their errors has {points['fit, noisy']:.2f} on the noisy spectrum and the "
        f"exact posterior {points['exact']:.2f}.\n"
        f"3. **The error bars hold, inside the world of the models**: 68 % intervals of labels hold "
        f"{100 * min(held):.0f} to {100 * max(held):.0f} % of the truths; but a line that no star of that world has "
        f"is erased ({100 * kept:.0f} % of it survives in the mean of draws at S/N 10), so that `specnb.anomalies` "
        f"must report it.\n"
    )


def table(folder):
    """ρ of methods by S/N, Markdown."""
    made = _found(folder, "limit")
    limit, where = made["levels"], made["provenance"]
    names = [k for k in NAMES if k in limit[0]["methods"]]
    head = "| RMSE over the limit, ρ | " + " | ".join(f"S/N {level['snr']}" for level in limit) + " |"
    rows = [
        f"| {NAMES[k]} | " + " | ".join(f"{level['methods'][k]['rho'][0]:.2f}" for level in limit) + " |" for k in names
    ]
    profile, _ = newest(folder, "limit")
    origin = f"{made['stars_per_level']} test stars each, profile {profile}, {where['date'][:10]}, {where['device']}"
    return "\n".join([head, "|---" * (1 + len(limit)) + "|", *rows]) + f"\n\n{origin}, commit {where['commit'][:7]}.\n"


def figure(folder):
    """Error over the limit, and coverage of the labels, against S/N."""
    limit, flow = _found(folder, "limit")["levels"], by_level(_found(folder, "coverage")["flow"])
    plotting.style()
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9), width_ratios=[1.9, 1])
    snrs = [level["snr"] for level in limit]
    for k, color in zip((k for k in NAMES if k in limit[0]["methods"]), plotting.PALETTE[::-1], strict=False):
        rho = np.array([level["methods"][k]["rho"] for level in limit])
        wide = dict(lw=2.6, color=plotting.DENOISED, zorder=3) if k == "bounded" else dict(color=color)
        left.plot(snrs, rho[:, 0], marker="o", ms=4, label=NAMES[k].replace("`", ""), **wide)
    left.axhline(1, color="black", ls="--", lw=0.9)
    left.set(xscale="log", yscale="log", xlabel="S/N", ylabel="ρ: RMSE over that of the limit")
    left.set_xticks(snrs, snrs)
    left.set_yticks([1, 2, 3, 5, 10], [1, 2, 3, 5, 10])
    left.minorticks_off()
    left.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for snr, labels in flow:
        for k, (label, v) in enumerate(labels.items()):
            value, low, high = v["as drawn"]["68"]
            at = snr * 1.06 ** (k - len(labels) / 2)
            color = plotting.PALETTE[k]
            right.errorbar(at, value, [[value - low], [high - value]], color=color, marker="o", ms=4, lw=1,
                           label=label if snr == flow[0][0] else None)  # fmt: skip
    right.axhline(0.68, color="black", ls="--", lw=0.9)
    ticks = [snr for snr, _ in flow]
    right.set(xscale="log", ylim=(0.5, 0.86), xlabel="S/N", ylabel="truths inside 68 % intervals")
    right.set_xticks(ticks, ticks)
    right.minorticks_off()
    right.legend(fontsize=8, ncols=3, loc="lower center")
    return fig


def write(folder, output):
    """Write ``answer.md``, three sentences and the figure, and ``answer.png`` into the folder ``output``."""
    output = Path(output)
    fig = figure(folder)
    fig.savefig(output / FIGURE, dpi=110)
    plt.close(fig)
    caption = "Left: how far denoisers are from the limit. Right: whether the error bars of labels are true."
    text = f"{sentences(folder)}\n:::{{figure}} {FIGURE}\n:alt: {ALT}\n\n{caption}\n:::\n"
    results.write_bytes(output / "answer.md", text.encode())


def block(folder):
    """What stands between the marks of the README."""
    return f"{MARKS[0]}\n{sentences(folder)}\n![{ALT}](results/{FIGURE})\n\n{table(folder)}{MARKS[1]}"


def between(text, new):
    """A text with what stands between the marks, and the marks, replaced by ``new``."""
    return re.sub(f"{MARKS[0]}.*{re.escape(MARKS[1])}", lambda _: new, text, flags=re.S)


def update():
    """Write the answer into the README of the checkout, and its figure into ``results``; returns the README's path."""
    readme, folder = results.ROOT / "README.md", results.ROOT / "results"
    results.write_bytes(readme, between(readme.read_text(), block(folder)).encode())
    fig = figure(folder)
    fig.savefig(folder / FIGURE, dpi=110)
    plt.close(fig)
    return readme
