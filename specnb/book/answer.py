"""The answer so far in three sentences, figures and a table, for the first page of the book and for the README.

Every number comes from ``results/``, of the run of the largest profile (:func:`specnb.book.verdict.newest`).
"""

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from specnb import plotting, storage
from specnb.book.verdict import Result, newest
from specnb.book.verdict_without import reported
from specnb.experiments.limit import Level

MARKS = "<!-- answer -->", "<!-- /answer: written by `specnb answer` -->"
NAMES = {
    "savgol": "Savitzky–Golay", "wavelet": "wavelets", "gp": "Gaussian process", "pca": "principal components",
    "wiener": "Wiener filter", "dncnn": "DnCNN", "fit": "fit of the emulator", "bounded": "diffusion (bounded)",
}  # fmt: skip
CLASSICAL = ("savgol", "wavelet", "gp", "pca", "wiener")
LIMIT_ALT = (
    "RMSE over that of the exact posterior mean against S/N from 5 to 100, on a logarithmic axis: Savitzky-Golay, "
    "wavelets, Gaussian process and DnCNN far above the dashed line at one, principal components and Wiener filter "
    "between, the diffusion denoiser and the fit of the emulator just above it."
)
COVERAGE_ALT = (
    "Share of truths inside 68 per cent intervals of the labels against S/N, a point with its interval for each label; "
    "they lie about the dashed line at 0.68."
)


def _result(folder, name) -> Result:
    """Return the result that counts."""
    found = newest(folder, name)
    if found is None:
        raise ValueError(
            f"no results of {name} in {folder}; run its notebook at profile quick or larger"
        )
    return found


def _found(folder, name) -> Any:
    """Return what the file that counts holds."""
    return _result(folder, name).numbers


def _at(levels: list[Level], snr: int) -> Level:
    """Return the level of a S/N; KeyError if it was not measured."""
    return {level.snr: level for level in levels}[snr]


def _denoising(levels: list[Level]) -> str:
    """Say how close denoisers come to the best possible error."""
    at = _at(levels, 10).methods
    ours, best = at["bounded"], min(CLASSICAL, key=lambda name: at[name].rho.value)
    low, high = (
        f"{level.methods['bounded'].rho.value:.2f} at S/N {level.snr}"
        for level in (levels[0], levels[-1])
    )
    return (
        f"1. **They denoise, close to the best that is possible**: at S/N 10 the mean square error falls by "
        f"{100 * ours.improvement.value:.1f} %, and the error is {ours.rho.value:.2f} times that of "
        f"the exact posterior mean ({low}, {high}; "
        f"the best classical method, the {NAMES[best]}, has {at[best].rho.value:.2f} at S/N 10).\n"
    )


def _estimating(numbers) -> str:
    """Say whether denoising helps estimates of [M/H]."""
    levels = sorted(numbers.levels.items())

    def gains(way):
        pairs = [
            [
                level.points[f"{way}, {which}"]["all"]["m_h"].scatter.value
                for which in ("denoised", "noisy")
            ]
            for _, level in levels
        ]
        return ", ".join(f"{after / before:.2f}" for after, before in pairs)

    return (
        f"2. **Denoising helps a regression that was trained on few stars, at high S/N, and a fit not measurably**: "
        f"the scatter of [M/H] after denoising over that before, at S/N {', '.join(str(snr) for snr, _ in levels)}, is "
        f"{gains('mlp')} for a perceptron ({numbers.n_training} training stars) and {gains('fit')} for a fit "
        f"({numbers.stars} test stars).\n"
    )


def _trusting(coverage, own, dps) -> str:
    """Say whether error bars hold, and what becomes of what the prior does not know."""
    held = [
        v.as_drawn.coverage_68.value for table in coverage.flow.values() for v in table.values()
    ]
    found = own.repeats["errors of the residuals"]
    pulls = [getattr(found, k).value for k in ("teff", "logg", "m_h", "alpha_m", "rv")]
    kept = [np.median(v.survival["exact, mean"]["added line"]) for v in dps.features.values()]
    kind = "real" if own.real else "simulated"
    return (
        f"3. **Error bars are nearly right in the world of the models and too small on the sky, and what that world "
        f"does not know is erased**: 68 % intervals of labels hold {100 * min(held):.0f} to {100 * max(held):.0f} % of "
        f"the truths; two visits of a {kind} star differ by {min(pulls):.1f} to {max(pulls):.1f} times their errors; "
        f"and of a line that no star of the prior has at most {100 * max(kept):.0f} % survives (`specnb.anomalies` "
        f"reports such lines if they are strong: {reported(dps)}).\n"
    )


def sentences(folder: Path | str) -> str:
    """Write three sentences, Markdown."""
    limit = _found(folder, "limit").levels
    labels = _found(folder, "parameters")
    rest = [_found(folder, name) for name in ("coverage", "own", "dps")]
    return _denoising(limit) + _estimating(labels) + _trusting(*rest)


def table(folder: Path | str) -> str:
    """Write ρ of methods by S/N, Markdown."""
    found = _result(folder, "limit")
    levels = found.numbers.levels
    names = [name for name in NAMES if name in levels[0].methods]
    head = (
        "| RMSE over the best possible, ρ | "
        + " | ".join(f"S/N {level.snr}" for level in levels)
        + " |"
    )
    rows = []
    for name in names:
        cells = " | ".join(f"{level.methods[name].rho.value:.2f}" for level in levels)
        rows.append(f"| {NAMES[name]} | {cells} |")
    rule = "|---" * (1 + len(levels)) + "|"
    stars = f"{found.numbers.stars_per_level} test stars each: {found.origin}."
    return "\n".join([head, rule, *rows]) + f"\n\n{stars}\n"


def limit_figure(folder: Path | str) -> Figure:
    """Draw the error over the best possible one against S/N, by method."""
    levels = _found(folder, "limit").levels
    plotting.style()
    fig, ax = plt.subplots(figsize=(5.2, 4.6))
    snrs = [level.snr for level in levels]
    names = [name for name in NAMES if name in levels[0].methods]
    for name, color in zip(names, plotting.PALETTE[::-1], strict=False):
        rho = [level.methods[name].rho.value for level in levels]
        line = dict(color=color)
        if name == "bounded":
            line = dict(lw=2.6, color=plotting.DENOISED, zorder=3)
        ax.plot(snrs, rho, marker="o", ms=4, label=NAMES[name], **line)
    ax.axhline(1, color="black", ls="--", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="S/N", ylabel="ρ, RMSE over the best possible")
    ax.set_xticks(snrs, snrs)
    ax.set_yticks([1, 2, 3, 5, 10], ["1", "2", "3", "5", "10"])
    ax.minorticks_off()
    fig.legend(fontsize=9, ncols=2, loc="outside lower center")
    return fig


def coverage_figure(folder: Path | str) -> Figure:
    """Draw the coverage of the labels' 68 % intervals against S/N."""
    flow = sorted(_found(folder, "coverage").flow.items())
    plotting.style()
    fig, ax = plt.subplots(figsize=(5.2, 4.6))
    for snr, labels in flow:
        for k, (label, v) in enumerate(labels.items()):
            value, low, high = v.as_drawn.coverage_68
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
    "limit": (limit_figure, LIMIT_ALT, "How far denoisers are from the best possible error."),
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


def write(folder: Path | str, output: Path | str) -> None:
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
    except (ValueError, KeyError) as error:
        text = f"*No answer yet: {error}*\n"
    storage.write_bytes(output / "answer.md", text.encode())


def block(folder: Path | str) -> str:
    """Write what stands between the marks of the README, and the marks."""
    figure = f"![{LIMIT_ALT}](results/answer.png)"
    return f"{MARKS[0]}\n{sentences(folder)}\n{figure}\n\n{table(folder)}{MARKS[1]}"


def between(text: str, new: str) -> str:
    """Replace the marks in a text and what is between them by ``new``; ValueError if they are not there."""
    text, n = re.subn(
        f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", lambda _: new, text, flags=re.S
    )
    if n != 1:
        raise ValueError(
            f"the README has {n} blocks between {MARKS[0]} and {MARKS[1]}; it needs one"
        )
    return text


def update() -> Path:
    """Write the answer into the README of the checkout, and its figure into ``results``; returns the README's path."""
    readme, folder = storage.ROOT / "README.md", storage.ROOT / "results"
    storage.write_bytes(readme, between(readme.read_text(), block(folder)).encode())
    _save("limit", folder, folder / "answer.png")
    return readme
