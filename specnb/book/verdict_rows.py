"""Every experiment, question and hypothesis of the plan: what the plan expected, and how a result answers it.

Each function takes the numbers of one results file and returns an :class:`specnb.book.judging.Answer`; nothing here is
typed in that a run could contradict.
"""

import numpy as np

from specnb.book.judging import (
    BOUNDED,
    COVERED,
    FEW,
    LABELS,
    SUPERVISED,
    Answer,
    Missing,
    Row,
    by_snr,
    counted,
    decided,
    largest,
    least,
    ordered,
    shown,
    within,
)
from specnb.experiments.ablation import Ablation
from specnb.experiments.baseline import DDIM, HELD_OUT, Baseline
from specnb.experiments.coverage import Coverage
from specnb.experiments.dps import Dps
from specnb.experiments.limit import Limit
from specnb.experiments.lines import Lines
from specnb.experiments.parameters import Parameters
from specnb.experiments.supervised import ONE_PASS, Supervised
from specnb.experiments.wmae import PLAN as WMAE_PLAN
from specnb.experiments.wmae import Wmae
from specnb.metrics import Interval


def baseline(numbers: Baseline) -> Answer:
    """Judge whether samples from pure noise look like held-out spectra."""
    found, other = (numbers.distances[name].two_sample for name in (DDIM, HELD_OUT))
    return Answer(
        f"a classifier tells samples from held-out spectra with accuracy {found:.2f}",
        f"{other:.2f} (held-out against held-out)",
        found.value < 0.65,
        found.low <= max(0.5, other.high),
    )


def bounded(numbers: Limit) -> Answer:
    """Judge the bounded-noise denoiser: MSE improvement at λ = 0.5, and ρ at every S/N."""
    found = {level.snr: level.methods["bounded"] for level in numbers.levels}
    rho = [(snr, m.rho) for snr, m in found.items()]
    at_half = found[10].improvement
    return Answer(
        f"MSE −{at_half:.1%} at λ = 0.5; ρ: {by_snr(rho)}",
        "ρ = 1",
        at_half.low > 0.595 and min(m.improvement.low for m in found.values()) > 0,
        max(v.value for _, v in rho) <= 1.05,
    )


def wmae(numbers: Wmae) -> Answer:
    """Judge the residual denoiser: wMAE improvement by level, and identity without noise."""
    found = {s: numbers.improvement[s]["denoised"] for s in WMAE_PLAN}
    identical = numbers.identical_without_noise
    listed = "; ".join(f"s = {s}: −{v:.1%}" for s, v in found.items())
    return Answer(
        f"{listed}; s = 0 {'identical' if identical else 'NOT identical'}",
        "—",
        identical and all(v.low > WMAE_PLAN[s] / 100 for s, v in found.items()),
        identical and all(v.value >= 0.9 for v in found.values()),
    )


def supervised(numbers: Supervised) -> Answer:
    """Judge supervised diffusion beside DnCNN and PCA by the MSE improvement."""
    scores = ordered(numbers.scores)
    ours = "; ".join(
        f"S/N {snr}: MSE −{v[ONE_PASS].improvement:.2%}, SSIM {v[ONE_PASS].ssim:.4f}"
        for snr, v in scores
    )
    others = "; ".join(
        f"S/N {snr}: DnCNN −{100 * v['dncnn'].improvement.value:.1f} %, "
        f"PCA −{100 * v['pca'].improvement.value:.1f} %"
        for snr, v in scores
    )
    won = all(
        v[ONE_PASS].improvement.low > max(v[name].improvement.high for name in ("dncnn", "pca"))
        for _, v in scores
    )
    return Answer(ours, others, won, won)


def bias_of_supervised(numbers: Supervised) -> Answer:
    """Judge whether [M/H] of a fit is biased after supervised denoising."""
    levels = ordered(numbers.parameters)
    found = [(snr, v[ONE_PASS]["m_h"].bias) for snr, v in levels]
    noisy = [(snr, v["none"]["m_h"].bias) for snr, v in levels]
    return Answer(
        f"[M/H] of a fit, bias after denoising, dex: {by_snr(found, '.3f')}",
        f"before: {by_snr(noisy, '.3f')}",
        any(v.low > 0 or v.high < 0 for _, v in found),
    )


def guidance(numbers: Dps) -> Answer:
    """Judge whether the bias of [M/H] is smaller after DPS than after the supervised model."""
    levels = ordered(numbers.levels)
    dps = [(snr, v["dps"].bias["m_h"]) for snr, v in levels]
    other = [(snr, v["supervised"].bias["m_h"]) for snr, v in levels]
    pairs = [(a, b) for (_, a), (_, b) in zip(dps, other, strict=True)]
    below = all(largest(a) < least(b) for a, b in pairs)
    above = all(largest(b) < least(a) for a, b in pairs)
    n = numbers.stars
    return Answer(
        f"bias of [M/H] by a regression of draws, dex, {n} stars: DPS {by_snr(dps, '.3f', n)}",
        f"supervised {by_snr(other, '.3f', n)}",
        None if n < FEW or below == above else below,
    )


def posterior(numbers: Dps) -> Answer:
    """Judge the coverage of pixels by draws of ``exact``, and how far they are from the oracle."""
    rows = [(snr, v["exact (8 calls)"], v["oracle"]) for snr, v in ordered(numbers.exact)]
    tells = [(snr, v.two_sample) for snr, v, _ in rows]
    n = numbers.stars_exact
    aimed = [v.value for snr, v in tells if 10 <= snr <= 50]
    cover = by_snr([(snr, v.coverage_68) for snr, v, _ in rows], stars=n)
    spread = by_snr([(snr, v.spread) for snr, v, _ in rows], stars=n)
    other = by_snr([(snr, o.coverage_68) for snr, _, o in rows], stars=n)
    return Answer(
        f"68 % coverage of pixels by `exact`, {n} stars: {cover}; spread over that of the oracle {spread}; "
        f"two-sample accuracy {by_snr(tells, stars=n)}",
        f"coverage of other draws of the oracle: {other}",
        None if n < FEW else within([v.coverage_68 for _, v, _ in rows], *COVERED),
        bool(aimed) and max(aimed) <= 0.55,
    )


def hallucination(numbers: Dps) -> Answer:
    """Judge whether DPS keeps more of a feature unknown to the prior than the supervised model."""
    found = numbers.survival_differences["dps, mean less supervised"]
    return Answer(
        f"share of an unknown feature that DPS keeps, less that of the supervised model: {found:.3f}",
        "1 would keep all of it",
        found.low > 0,
    )


def noise_map(numbers: Ablation) -> Answer:
    """Judge whether the noise map as an input lowers the error at the lowest S/N."""
    low_snr = numbers.noise_map["all pixels"][0].ratio
    noisy = numbers.noise_map["noisier pixels"][0].ratio
    return Answer(
        f"RMSE without the map over RMSE with it, lowest S/N: {low_snr:.2f}; noisier pixels {noisy:.2f}",
        "1: no gain",
        low_snr.low > 1,
    )


def _coverage(numbers: Parameters, name):
    """Return (S/N, label, 68 % coverage) of a posterior."""
    return [
        (snr, label, v.coverage_68)
        for snr, level in ordered(numbers.levels)
        for label, v in level.posteriors[name].coverage["all"].items()
    ]


def _two_sample(numbers: Parameters, name: str) -> list[tuple[int, Interval]]:
    """Return (S/N, accuracy of a classifier) of a posterior beside the exact one."""
    rows = []
    for snr, level in ordered(numbers.levels):
        found = level.posteriors[name].two_sample
        if found is None:
            raise Missing(f"no exact draws beside {name}")
        rows.append((snr, found))
    return rows


def _mean_coverage(rows):
    snrs = sorted({snr for snr, _, _ in rows})
    means = {s: np.mean([v.value for snr, _, v in rows if snr == s]) for s in snrs}
    return "; ".join(f"S/N {snr}: {mean:.2f}" for snr, mean in means.items())


def _worst_coverage(rows):
    snr, label, worst = max(rows, key=lambda row: abs(row[2].value - 0.68))
    return f"{label} at S/N {snr}: {worst:.2f}"


def spectra_to_labels(numbers: Parameters) -> Answer:
    """Judge the coverage of labels that are fitted to each draw of a spectrum."""
    fit, regression, oracle = (
        _coverage(numbers, name)
        for name in ("spectra → fit", "spectra → regression", "oracle")
    )  # fmt: skip
    return Answer(
        f"68 % intervals, {numbers.stars} stars, fit of each draw: mean of labels {_mean_coverage(fit)}, worst "
        f"{_worst_coverage(fit)}; regression of each draw: {_mean_coverage(regression)}",
        f"oracle: mean {_mean_coverage(oracle)}",
        within([v for _, _, v in fit], *COVERED),
        all(abs(v.value - 0.68) <= 0.02 for _, _, v in fit),
    )


def amortised(numbers: Parameters) -> Answer:
    """Judge the flow of labels: seconds a star, and how far its draws are from exact ones."""
    tells = _two_sample(numbers, "flow")
    refined = _two_sample(numbers, "flow, refined")
    cost = numbers.seconds
    aimed = [v.value for snr, v in tells if 10 <= snr <= 50]
    return Answer(
        f"{1000 * cost.together:.0f} ms a star in a batch, {1000 * cost.alone:.0f} ms alone; "
        f"two-sample {by_snr(tells)}; refined {by_snr(refined)}",
        "0.5",
        cost.alone < 1,
        cost.together < 0.01 and bool(aimed) and max(aimed) <= 0.55,
    )


def line_strengths(numbers: Lines) -> Answer:
    """Judge the bias of equivalent widths after denoising, the worst line and S/N first."""
    rows = [
        (snr, line, v.ew.bias)
        for snr, table in ordered(numbers.levels)
        for line, v in table["bounded"].lines.items()
    ]
    snr, line, worst = max(rows, key=lambda row: abs(row[2].value))
    oracle = numbers.levels[snr]["oracle"].lines[line].ew.bias
    ratio = "; ".join(f"S/N {k}: {v['bounded']:.2f}" for k, v in ordered(numbers.over_oracle))
    return Answer(
        f"bias of the equivalent width, worst of {len(rows)}: {line} at S/N {snr}, {worst:.1f} %"
        f"{decided(rows, -5, 5)}; scatter over that of the oracle's mean: {ratio}",
        f"the oracle's mean, {line} at S/N {snr}: {oracle:.1f} %; scatter 1",
        within([v for _, _, v in rows], -5, 5),
        all(abs(v.value) < 1 for _, _, v in rows),
    )


def velocities(numbers: Lines) -> Answer:
    """Judge the bias of radial velocities after denoising."""
    levels = ordered(numbers.levels)
    found, oracle = (
        [(snr, table[name].rv.bias) for snr, table in levels] for name in ("bounded", "oracle")
    )
    return Answer(
        f"km/s: {by_snr(found)}{decided(found, -1, 1)}",
        f"oracle's mean: {by_snr(oracle)}",
        within([v for _, v in found], -1, 1),
        all(abs(v.value) < 0.1 for _, v in found),
    )


def calibration(numbers: Coverage) -> Answer:
    """Judge the coverage of labels by the flow, before and after recalibration."""
    trees = [(snr, label, v) for snr, table in ordered(numbers.flow) for label, v in table.items()]
    rows = [(snr, label, v.as_drawn.coverage_68) for snr, label, v in trees]
    after = max(abs(v.recalibrated.coverage_68.value - 0.68) for _, _, v in trees)
    tarp = "; ".join(f"S/N {snr}: p = {p:.2f}" for snr, p in ordered(numbers.tarp))
    return Answer(
        f"68 % intervals of the flow, {numbers.stars} stars, worst of {len(rows)}: {_worst_coverage(rows)}; after "
        f"recalibration the worst is {100 * after:.1f} points off; TARP {tarp}",
        "0.68",
        within([v for _, _, v in rows], *COVERED),
        all(abs(v.value - 0.68) <= 0.02 for _, _, v in rows),
    )


def bias_after_denoising(numbers: Parameters) -> Answer:
    """Judge whether [M/H] of a fit is biased after denoising."""
    found, before = (
        [
            (snr, level.points[name]["all"]["m_h"].bias)
            for snr, level in ordered(numbers.levels)
        ]
        for name in ("fit, denoised", "fit, noisy")
    )  # fmt: skip
    return Answer(
        f"[M/H] of a fit, dex: {by_snr(found, '.3f')}{decided(found, -0.05, 0.05)}",
        f"noisy spectrum: {by_snr(before, '.3f')}",
        within([v for _, v in found], -0.05, 0.05),
    )


def main_hypothesis(numbers: Parameters) -> Answer:
    """Judge the scatter of [M/H] from the denoised spectrum by the best that the noisy one gives."""
    kinds = ("ridge", "mlp", "fit")
    snrs, rows = [], []
    for snr, level in ordered(numbers.levels):
        snrs.append(str(snr))
        rows.append({name: v["all"]["m_h"].scatter for name, v in level.points.items()})

    def over(one, other):
        return ", ".join(f"{at[one].value / at[other].value:.2f}" for at in rows)

    listed = "; ".join(f"{kind} {over(f'{kind}, denoised', f'{kind}, noisy')}" for kind in kinds)
    better = [
        min(at[f"{kind}, denoised"] for kind in kinds).high < at["fit, noisy"].low for at in rows
    ]
    return Answer(
        f"scatter of [M/H], denoised over noisy, at S/N {', '.join(snrs)}: {listed}",
        f"oracle over a fit to the noisy spectrum: {over('oracle', 'fit, noisy')}",
        any(better),
    )


def poisson(numbers: Dps) -> Answer:
    """Judge the bias of the flux of counted photons by draws and by variances from the counts."""
    at, n = ordered(numbers.counts), numbers.stars_counts
    ours = "; ".join(f"{k} e⁻: {shown(v.draws.bias, n, '.2f')} %" for k, v in at)
    other = "; ".join(f"{k} e⁻: {shown(v.from_the_counts.bias, n, '.2f')} %" for k, v in at)
    better = all(abs(v.draws.bias.value) < abs(v.from_the_counts.bias.value) for _, v in at)
    return Answer(
        f"bias of the flux, {counted(n)}: {ours}",
        f"variances from the counts: {other}",
        None if n is None or n < FEW else better,
    )


def instruments(numbers: Dps) -> Answer:
    """Judge the coverage of pixels by draws of ``exact`` through other instruments."""
    at = {view: v["exact"].coverage_68 for view, v in numbers.instruments.items()}
    n = numbers.stars_instruments
    listed = "; ".join(f"{view}: {shown(v, n, '.2f')}" for view, v in at.items())
    return Answer(
        f"68 % coverage of pixels, {n} stars: {listed}",
        "0.68",
        None if n < FEW else within(at.values(), *COVERED),
    )


def few_steps(numbers: Dps) -> Answer:
    """Judge whether draws of ``exact`` with 4 calls cover as they should."""
    rows = {r.steps: r for r in numbers.steps if r.method == "exact" and r.steps in (1, 4, 8)}
    if 4 not in rows:
        raise Missing("no draws by `exact` with 4 calls")
    n = numbers.stars_steps
    listed = "; ".join(
        f"{k} calls: 68 % → {shown(r.coverage_68, n, '.2f')}, {r.seconds:.2f} s"
        for k, r in rows.items()
    )
    _, low, high = rows[4].coverage_68
    return Answer(
        f"`exact`, S/N 10, {counted(n)}: {listed}",
        "0.68",
        None if n is None or n < FEW else low < 0.68 < high,
    )


ROWS = (
    Row("H0", "denoising improves parameters over the best estimate from the noisy spectrum", "yes", "parameters",
        "07_parameters", LABELS, main_hypothesis),
    Row("H1.1", "a supervised model lowers the MSE but biases parameters", "yes", "supervised", "05_supervised",
        SUPERVISED, bias_of_supervised),
    Row("H1.2", "the likelihood of DPS keeps lines from being erased", "yes", "dps", "06_dps", SUPERVISED,
        hallucination),
    Row("H1.3", "posterior draws give parameters with true error bars", "60–75 % of 68 %", "coverage", "09_coverage",
        LABELS, calibration),
    Row("H1.4", "knowing the noise map helps where noise varies", "yes", "ablation", "12_ablation", ("emulator",),
        noise_map),
    Row("Q1", "supervised diffusion against DnCNN and PCA", "diffusion better", "supervised", "05_supervised",
        SUPERVISED, supervised),
    Row("Q2", "bias of parameters after denoising", "< 0.05 dex", "parameters", "07_parameters", LABELS,
        bias_after_denoising),
    Row("Q3", "bias of DPS against the supervised model", "DPS smaller", "dps", "06_dps", SUPERVISED, guidance),
    Row("Q4", "coverage of label posteriors", "60–75 % of 68 %", "parameters", "07_parameters", LABELS,
        spectra_to_labels),
    Row("Q5", "the noise map at low S/N", "better", "ablation", "12_ablation", ("emulator",), noise_map),
    Row("Q6", "equivalent widths", "< 5 %", "lines", "08_lines", BOUNDED, line_strengths),
    Row("Q7", "radial velocity", "< 1 km/s", "lines", "08_lines", BOUNDED, velocities),
    Row("MVP-0.0", "spectra from pure noise", "look like spectra (failed)", "baseline", "03_baseline", BOUNDED,
        baseline),
    Row("MVP-0.5", "bounded-noise denoiser", "MSE −59.5 % at λ = 0.5", "limit", "01_limit", BOUNDED, bounded),
    Row("MVP-0.6", "residual denoiser, weighted loss", "wMAE −19.8, −33.9, −46.5 %", "wmae", "04_wmae",
        ("emulator", "wmae"), wmae),
    Row("MVP-1.0", "supervised conditional diffusion", "MSE below DnCNN and PCA", "supervised", "05_supervised",
        SUPERVISED, supervised),
    Row("MVP-1.1", "DPS", "bias below MVP-1.0", "dps", "06_dps", SUPERVISED, guidance),
    Row("MVP-1.1", "a sampler that is exact in the limit", "60–75 % of 68 % (ours)", "dps", "06_dps", BOUNDED,
        posterior),
    Row("MVP-1.2", "noise map as input", "better at low S/N", "ablation", "12_ablation", ("emulator",), noise_map),
    Row("MVP-2.0", "draws of spectra → labels", "coverage near nominal", "parameters", "07_parameters", LABELS,
        spectra_to_labels),
    Row("MVP-2.1", "amortised posterior of labels", "< 1 s a star", "parameters", "07_parameters", LABELS, amortised),
    Row("MVP-3.0", "lines", "EW < 5 %", "lines", "08_lines", BOUNDED, line_strengths),
    Row("MVP-3.1", "calibration", "within 10 points", "coverage", "09_coverage", LABELS, calibration),
    Row("beyond", "another instrument or resolution", "60–75 % of 68 % (ours)", "dps", "06_dps", BOUNDED, instruments),
    Row("beyond", "Poisson noise", "less biased than variances from the counts (ours)", "dps", "06_dps", BOUNDED,
        poisson),
    Row("beyond", "fast sampling", "68 % inside the interval with 4 calls (ours)", "dps", "06_dps", BOUNDED, few_steps),
)  # fmt: skip
