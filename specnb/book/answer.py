"""The answer so far in three sentences, figures and a table, for the first page of the book and for the README.

Every number comes from ``results/``, of the run of the largest profile (:func:`specnb.book.verdict.newest`).
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from specnb import plotting, storage
from specnb.book.verdict import ROWS, judge, newest
from specnb.book.verdict_rows import by_level
from specnb.book.verdict_without import reported

MARKS = "<!-- answer -->", "<!-- /answer: written by `specnb answer` -->"
NAMES = {
    "savgol": "Savitzky–Golay", "wavelet": "wavelets", "gp": "Gaussian process", "pca": "principal components",
    "wiener": "Wiener filter", "dncnn": "DnCNN", "fit": "fit of the emulator", "bounded": "diffusion (bounded)",
}  # fmt: skip
LIMIT_ALT = (
    "RMSE over that of the exact posterior mean against S/N from 5 to 100, on a logarithmic axis: Savitzky-Golay, "
    "wavelets, Gaussian process and DnCNN far above the dashed limit of one, principal components and Wiener filter "
    "between, the diffusion denoiser and the fit of the emulator just above it."
)
COVERAGE_ALT = (
    "Share of truths inside 68 per cent intervals of the labels against S/N, a point with its interval for each label; "
    "they lie about the dashed line at 0.68."
)


def _found(folder, name):
    """Content of the result that counts."""
    profile, numbers = newest(folder, name)
    if profile is None:
        raise ValueError(
            f"no results of {name} in {folder}; run its notebook at profile quick or larger"
        )
    return numbers


def _scatter(level, way):
    """Of [M/H], from parameters.json."""
    return level["points"][way]["all"]["m_h"]["scatter"][0]


def sentences(folder):
    """Three sentences, Markdown."""
    limit = _found(folder, "limit")["levels"]
    labels, coverage, dps, own = (
        _found(folder, name) for name in ("parameters", "coverage", "dps", "own")
    )
    at = next(level for level in limit if level["snr"] == 10)["methods"]
    rho = [level["methods"]["bounded"]["rho"][0] for level in limit]
    classical = min(
        (at[k]["rho"][0], NAMES[k]) for k in ("savgol", "wavelet", "gp", "pca", "wiener")
    )
    levels = by_level(labels["levels"])
    gains = {
        way: ", ".join(
            f"{_scatter(m, f'{way}, denoised') / _scatter(m, f'{way}, noisy'):.2f}"
            for _, m in levels
        )
        for way in ("mlp", "fit")
    }
    held = [v["as drawn"]["68"][0] for table in coverage["flow"].values() for v in table.values()]
    pulls = own["repeats"]["errors of the residuals"]
    pulls = [pulls[k][0] for k in ("teff", "logg", "m_h", "alpha_m", "rv")]
    kept = [
        np.median(v["survival"]["exact, mean"]["added line"]) for _, v in by_level(dps["features"])
    ]
    return (
        f"1. **They denoise, close to the best that is possible**: at S/N 10 the mean square error falls by "
        f"{100 * at['bounded']['improvement'][0]:.1f} %, and the error is {at['bounded']['rho'][0]:.2f} times that of "
        f"the exact posterior mean ({rho[0]:.2f} at S/N {limit[0]['snr']}, {rho[-1]:.2f} at S/N {limit[-1]['snr']}; "
        f"the best classical method, the {classical[1]}, has {classical[0]:.2f} at S/N 10).\n"
        f"2. **Denoising helps a regression that was trained on few stars, at high S/N, and a fit not measurably**: "
        f"the scatter of [M/H] after denoising over that before, at S/N {', '.join(str(snr) for snr, _ in levels)}, is "
        f"{gains['mlp']} for a perceptron ({labels['n_training']} training stars) and {gains['fit']} for a fit "
        f"({labels['stars']} test stars).\n"
        f"3. **Error bars are nearly right in the world of the models and too small on the sky, and what that world "
        f"does not know is erased**: 68 % intervals of labels hold {100 * min(held):.0f} to {100 * max(held):.0f} % of "
        f"the truths; two visits of a real star differ by {min(pulls):.1f} to {max(pulls):.1f} times their errors; and "
        f"of a line that no star of the prior has at most {100 * max(kept):.0f} % survives (`specnb.anomalies` "
        f"reports such lines if they are strong: {reported(dps)}).\n"
    )


def table(folder):
    """ρ of methods by S/N, Markdown."""
    made = _found(folder, "limit")
    limit = made["levels"]
    names = [k for k in NAMES if k in limit[0]["methods"]]
    head = (
        "| RMSE over the limit, ρ | " + " | ".join(f"S/N {level['snr']}" for level in limit) + " |"
    )
    rows = [
        f"| {NAMES[k]} | "
        + " | ".join(f"{level['methods'][k]['rho'][0]:.2f}" for level in limit)
        + " |"
        for k in names
    ]
    origin = judge(next(row for row in ROWS if row.source == "limit"), folder).origin
    rule = "|---" * (1 + len(limit)) + "|"
    return (
        "\n".join([head, rule, *rows])
        + f"\n\n{made['stars_per_level']} test stars each: {origin}.\n"
    )


def limit_figure(folder):
    """Error over the limit against S/N, by method."""
    limit = _found(folder, "limit")["levels"]
    plotting.style()
    fig, ax = plt.subplots(figsize=(5.2, 4.6))
    snrs = [level["snr"] for level in limit]
    for k, color in zip(
        (k for k in NAMES if k in limit[0]["methods"]), plotting.PALETTE[::-1], strict=False
    ):
        rho = [level["methods"][k]["rho"][0] for level in limit]
        wide = (
            dict(lw=2.6, color=plotting.DENOISED, zorder=3) if k == "bounded" else dict(color=color)
        )
        ax.plot(snrs, rho, marker="o", ms=4, label=NAMES[k], **wide)
    ax.axhline(1, color="black", ls="--", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="S/N", ylabel="ρ, RMSE over that of the limit")
    ax.set_xticks(snrs, snrs)
    ax.set_yticks([1, 2, 3, 5, 10], [1, 2, 3, 5, 10])
    ax.minorticks_off()
    fig.legend(fontsize=9, ncols=2, loc="outside lower center")
    return fig


def coverage_figure(folder):
    """Coverage of the labels' 68 % intervals against S/N."""
    flow = by_level(_found(folder, "coverage")["flow"])
    plotting.style()
    fig, ax = plt.subplots(figsize=(5.2, 4.6))
    for snr, labels in flow:
        for k, (label, v) in enumerate(labels.items()):
            value, low, high = v["as drawn"]["68"]
            ax.errorbar(snr * 1.06 ** (k - len(labels) / 2), value, [[value - low], [high - value]], marker="o", ms=4,
                        lw=1.2, color=plotting.PALETTE[k], label=label if snr == flow[0][0] else None)  # fmt: skip
    ax.axhline(0.68, color="black", ls="--", lw=0.9)
    ticks = [snr for snr, _ in flow]
    ax.set(xscale="log", ylim=(0.5, 0.86), xlabel="S/N", ylabel="truths inside 68 % intervals")
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()
    fig.legend(fontsize=9, ncols=3, loc="outside lower center")
    return fig


FIGURES = {
    "limit": (limit_figure, LIMIT_ALT, "How far denoisers are from the limit."),
    "coverage": (
        coverage_figure,
        COVERAGE_ALT,
        "Whether the error bars of labels are true, on simulated stars.",
    ),
}
"""Name → what draws it, its alternative text, its caption."""


def _save(name, folder, output):
    fig = FIGURES[name][0](folder)
    fig.savefig(output, dpi=130)
    plt.close(fig)


def write(folder, output):
    """Write ``answer.md``, three sentences and two figures, and the figures into the folder ``output``.

    Where results of a larger run are missing, it says so instead.
    """
    output, cards = Path(output), []
    try:
        text = sentences(folder)
        for name, (_, alt, caption) in FIGURES.items():
            _save(name, folder, output / f"answer-{name}.png")
            figure = f"```{{figure}} answer-{name}.png\n:alt: {alt}\n\n{caption}\n```"
            cards.append(f":::{{grid-item}}\n{figure}\n:::\n")
        text += "\n::::{grid} 1 2 2 2\n" + "\n".join(cards) + "::::\n"
    except (ValueError, KeyError, StopIteration) as error:
        text = f"*No answer yet: {error}*\n"
    storage.write_bytes(output / "answer.md", text.encode())


def block(folder):
    """What stands between the marks of the README, and the marks."""
    figure = f"![{LIMIT_ALT}](results/answer.png)"
    return f"{MARKS[0]}\n{sentences(folder)}\n{figure}\n\n{table(folder)}{MARKS[1]}"


def between(text, new):
    """A text with the marks and what is between them replaced by ``new``; ValueError if they are not there."""
    text, n = re.subn(
        f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", lambda _: new, text, flags=re.S
    )
    if n != 1:
        raise ValueError(
            f"the README has {n} blocks between {MARKS[0]} and {MARKS[1]}; it needs one"
        )
    return text


def update():
    """Write the answer into the README of the checkout, and its figure into ``results``; returns the README's path."""
    readme, folder = storage.ROOT / "README.md", storage.ROOT / "results"
    storage.write_bytes(readme, between(readme.read_text(), block(folder)).encode())
    _save("limit", folder, folder / "answer.png")
    return readme
