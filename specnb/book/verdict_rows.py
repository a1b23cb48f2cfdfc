"""Every experiment, question and hypothesis of the plan: what the plan expected, and how a result answers it.

Each function takes the numbers of one results file and returns an :class:`Answer`; nothing here is typed in that a run
could contradict.
"""

from dataclasses import dataclass

import numpy as np

from specnb.storage import interval


@dataclass(frozen=True)
class Answer:
    """What a run says.

    Attributes
    ----------
    ours, limit : str
        Our number with its interval, and the best that is possible or known.
    plan : bool or None
        Whether the plan's criterion is met (of a hypothesis: whether it is true); None if the interval leaves it open.
    aim : bool
        Whether what this project aims at is met.
    """

    ours: str
    limit: str
    plan: bool | None
    aim: bool = True


@dataclass(frozen=True)
class Row:
    """One line of the verdict.

    Attributes
    ----------
    name, what, plan : str
        Identifier, what it is about, the plan's number.
    source, notebook : str
        Results file and notebook, without ending.
    weights : tuple of str
        Models that the number depends on; the result is stale when they have changed since.
    read : callable
        numbers → :class:`Answer`.
    """

    name: str
    what: str
    plan: str
    source: str
    notebook: str
    weights: tuple
    read: object


def by_level(table):
    """(S/N, numbers) of a dict by S/N, in order."""
    return [(int(snr), table[snr]) for snr in sorted(table, key=int)]


def _by_snr(values, scale=1.0, digits=2):
    """``S/N 10: 1.00 [0.90, 1.10]; …`` of (S/N, interval) pairs."""
    return "; ".join(f"S/N {snr}: {interval(*v, scale, digits)}" for snr, v in values)


COVERED = 0.60, 0.75  # where a coverage of 68 % lies by the plan's criterion
FEW = 10  # stars below which the interval of a bootstrap says nothing


def within(values, low, high):
    """Whether all intervals (value, low, high) lie inside of low…high; False if one lies outside, else None."""
    if any(end < low or start > high for _, start, end in values):
        return False
    return True if all(start > low and end < high for _, start, end in values) else None


def baseline(numbers):
    found, other = (numbers["distances"][k]["two_sample"] for k in ("DDIM, 50 steps", "held-out"))
    return Answer(
        f"a classifier tells samples from held-out spectra with accuracy {interval(*found)}",
        f"{interval(*other)} (held-out against held-out)",
        found[0] < 0.65,
        found[1] <= max(0.5, other[2]),
    )


def bounded(numbers):
    rho = [(level["snr"], level["methods"]["bounded"]["rho"]) for level in numbers["levels"]]
    better = [level["methods"]["bounded"]["improvement"] for level in numbers["levels"]]
    at_half = next(level for level in numbers["levels"] if level["snr"] == 10)["methods"][
        "bounded"
    ]["improvement"]
    return Answer(
        f"MSE −{interval(*at_half, 100, 1)} % at λ = 0.5; ρ: {_by_snr(rho)}",
        "ρ = 1",
        at_half[1] > 0.595 and min(low for _, low, _ in better) > 0,
        max(v[0] for _, v in rho) <= 1.05,
    )


def wmae(numbers):
    found = [(level, numbers["improvement"][level]["denoised"]) for level in ("0.05", "0.1", "0.2")]
    identical = numbers["identical_without_noise"]
    listed = "; ".join(f"s = {level}: −{interval(*v, 100, 1)} %" for level, v in found)
    return Answer(
        f"{listed}; s = 0 {'identical' if identical else 'NOT identical'}",
        "—",
        identical
        and all(v[1] > old for (_, v), old in zip(found, (0.198, 0.339, 0.465), strict=True)),
        identical and all(v[0] >= 0.9 for _, v in found),
    )


def supervised(numbers):
    scores = [
        (snr, v["supervised, one pass"], v["dncnn"], v["pca"])
        for snr, v in by_level(numbers["scores"])
    ]
    ours = "; ".join(
        f"S/N {snr}: MSE −{interval(*one['improvement'], 100, 2)} %, SSIM {interval(*one['ssim'], digits=4)}"
        for snr, one, _, _ in scores
    )
    others = "; ".join(
        f"S/N {snr}: DnCNN −{100 * cnn['improvement'][0]:.1f} %, PCA −{100 * pca['improvement'][0]:.1f} %"
        for snr, _, cnn, pca in scores
    )
    won = all(
        one["improvement"][1] > max(c["improvement"][2], p["improvement"][2])
        for _, one, c, p in scores
    )
    return Answer(ours, others, won, won)


def bias_of_supervised(numbers):
    found = {
        snr: v["supervised, one pass"]["m_h"]["bias"] for snr, v in by_level(numbers["parameters"])
    }
    noisy = {snr: v["none"]["m_h"]["bias"] for snr, v in by_level(numbers["parameters"])}
    biased = any(low > 0 or high < 0 for _, low, high in found.values())
    return Answer(
        f"[M/H] of a fit, bias after denoising, dex: {_by_snr(found.items(), digits=3)}",
        f"before: {_by_snr(noisy.items(), digits=3)}",
        biased,
    )


def _sampling_bias(numbers, name):
    return [(snr, v[name]["bias"]["m_h"]) for snr, v in by_level(numbers["levels"]) if name in v]


def _largest(interval):
    """The largest size that an interval (value, low, high) allows."""
    return max(abs(v) for v in interval)


def _least(interval):
    """The least one."""
    _, low, high = interval
    return 0.0 if low <= 0 <= high else min(abs(low), abs(high))


def guidance(numbers):
    dps, other = (_sampling_bias(numbers, name) for name in ("dps", "supervised"))
    below, above = (
        all(_largest(a) < _least(b) for (_, a), (_, b) in zip(one, two, strict=True))
        for one, two in ((dps, other), (other, dps))
    )
    return Answer(
        f"bias of [M/H] by a regression of draws, dex, {numbers['stars']} stars: DPS {_by_snr(dps, digits=3)}",
        f"supervised {_by_snr(other, digits=3)}",
        None if numbers["stars"] < FEW or below == above else below,
    )


def posterior(numbers):
    rows = by_level(numbers["exact"])
    key = "exact (8 calls)"
    cover = [(snr, v[key]["coverage_68"]) for snr, v in rows]
    tells = [(snr, v[key]["two_sample"]) for snr, v in rows]
    return Answer(
        f"68 % coverage of pixels by `exact`, {numbers['stars_exact']} stars: {_by_snr(cover)}; spread over the exact "
        f"one {_by_snr([(snr, v[key]['spread']) for snr, v in rows])}; two-sample accuracy {_by_snr(tells)}",
        f"coverage of other exact draws: {_by_snr([(snr, v['oracle']['coverage_68']) for snr, v in rows])}",
        None if numbers["stars_exact"] < FEW else within([v for _, v in cover], *COVERED),
        all(v[0] <= 0.55 for snr, v in tells if 10 <= snr <= 50),
    )


def hallucination(numbers):
    found = numbers["survival_differences"]["dps, mean less supervised"]
    return Answer(
        f"share of an unknown feature that DPS keeps, less that of the supervised model: {interval(*found, digits=3)}",
        "1 would keep all of it",
        found[1] > 0,
    )


def noise_map(numbers):
    low_snr = numbers["noise_map"]["all pixels"][0]["ratio"]
    noisy = numbers["noise_map"]["noisier pixels"][0]["ratio"]
    return Answer(
        f"RMSE without the map over RMSE with it, lowest S/N: {interval(*low_snr)}; noisier pixels {interval(*noisy)}",
        "1: no gain",
        low_snr[1] > 1,
    )


def _coverage(numbers, name):
    """(S/N, label, 68 % coverage) of a posterior in parameters.json."""
    return [
        (snr, label, v["68"])
        for snr, m in by_level(numbers["levels"])
        for label, v in m["posteriors"][name]["coverage"]["all"].items()
    ]


def _mean_coverage(rows):
    return "; ".join(
        f"S/N {snr}: {np.mean([v[0] for s, _, v in rows if s == snr]):.2f}"
        for snr in sorted({s for s, _, _ in rows})
    )


def _worst_coverage(rows):
    snr, label, worst = max(rows, key=lambda row: abs(row[2][0] - 0.68))
    return f"{label} at S/N {snr}: {interval(*worst)}"


def spectra_to_labels(numbers):
    by_fit, by_regression = (
        _coverage(numbers, f"spectra → {way}") for way in ("fit", "regression")
    )
    return Answer(
        f"68 % intervals, {numbers['stars']} stars, fit of each draw: mean of labels {_mean_coverage(by_fit)}, worst "
        f"{_worst_coverage(by_fit)}; regression of each draw: {_mean_coverage(by_regression)}",
        f"exact posterior: mean {_mean_coverage(_coverage(numbers, 'exact'))}",
        within([v for _, _, v in by_fit], *COVERED),
        all(abs(v - 0.68) <= 0.02 for _, _, (v, _, _) in by_fit),
    )


def amortised(numbers):
    tells = [(snr, m["posteriors"]["flow"]["two_sample"]) for snr, m in by_level(numbers["levels"])]
    refined = [
        (snr, m["posteriors"]["flow, refined"]["two_sample"])
        for snr, m in by_level(numbers["levels"])
    ]
    cost = numbers["seconds"]
    return Answer(
        f"{1000 * cost['together']:.0f} ms a star in a batch, {1000 * cost['alone']:.0f} ms alone; "
        f"two-sample {_by_snr(tells)}; refined {_by_snr(refined)}",
        "0.5",
        cost["alone"] < 1,
        cost["together"] < 0.01 and all(v[0] <= 0.55 for snr, v in tells if 10 <= snr <= 50),
    )


def _widths(numbers, name="bounded"):
    return [
        (snr, line, v["ew"]["bias"])
        for snr, table in by_level(numbers["levels"])
        for line, v in table[name]["lines"].items()
    ]


def _decided(rows, low, high):
    """`` (certainly inside at S/N 20, 50)`` of rows (S/N, …, interval) inside of low…high; empty where none are."""
    snrs = sorted({row[0] for row in rows})
    inside = [str(s) for s in snrs if within([row[-1] for row in rows if row[0] == s], low, high)]
    return f" (certainly inside at S/N {', '.join(inside)})" if inside else ""


def line_strengths(numbers):
    rows = _widths(numbers)
    snr, line, worst = max(rows, key=lambda row: abs(row[2][0]))
    exact = numbers["levels"][str(snr)]["limit"]["lines"][line]["ew"]["bias"]
    ratio = "; ".join(
        f"S/N {snr}: {row['bounded']:.2f}" for snr, row in by_level(numbers["over_limit"])
    )
    return Answer(
        f"bias of the equivalent width, worst of {len(rows)}: {line} at S/N {snr}, {interval(*worst, digits=1)} %"
        f"{_decided(rows, -5, 5)}; scatter over that of the exact mean: {ratio}",
        f"the exact mean, {line} at S/N {snr}: {interval(*exact, digits=1)} %; scatter 1",
        within([v for _, _, v in rows], -5, 5),
        all(abs(v) < 1 for _, _, (v, _, _) in rows),
    )


def velocities(numbers):
    found, exact = (
        [(snr, table[name]["rv"]["bias"]) for snr, table in by_level(numbers["levels"])]
        for name in ("bounded", "limit")
    )
    return Answer(
        f"km/s: {_by_snr(found)}{_decided(found, -1, 1)}",
        f"exact mean: {_by_snr(exact)}",
        within([v for _, v in found], -1, 1),
        all(abs(v[0]) < 0.1 for _, v in found),
    )


def calibration(numbers):
    rows = [
        (snr, label, v["as drawn"]["68"])
        for snr, table in by_level(numbers["flow"])
        for label, v in table.items()
    ]
    after = [
        abs(v["recalibrated"]["68"][0] - 0.68)
        for table in numbers["flow"].values()
        for v in table.values()
    ]
    tarp = "; ".join(f"S/N {snr}: p = {p:.2f}" for snr, p in by_level(numbers["tarp"]))
    return Answer(
        f"68 % intervals of the flow, {numbers['stars']} stars, worst of {len(rows)}: {_worst_coverage(rows)}; after "
        f"recalibration the worst is {100 * max(after):.1f} points off; TARP {tarp}",
        "0.68",
        within([v for _, _, v in rows], *COVERED),
        all(abs(v - 0.68) <= 0.02 for _, _, (v, _, _) in rows),
    )


def bias_after_denoising(numbers):
    found = [
        (snr, m["points"]["fit, denoised"]["all"]["m_h"]["bias"])
        for snr, m in by_level(numbers["levels"])
    ]
    before = [
        (snr, m["points"]["fit, noisy"]["all"]["m_h"]["bias"])
        for snr, m in by_level(numbers["levels"])
    ]
    return Answer(
        f"[M/H] of a fit, dex: {_by_snr(found, digits=3)}{_decided(found, -0.05, 0.05)}",
        f"noisy spectrum: {_by_snr(before, digits=3)}",
        within([v for _, v in found], -0.05, 0.05),
    )


def main_hypothesis(numbers):
    """Scatter of [M/H] from the denoised over that from the noisy spectrum; better than the best noisy one, or not."""
    levels = by_level(numbers["levels"])
    rows = [
        (snr, {k: v["all"]["m_h"]["scatter"] for k, v in m["points"].items()}) for snr, m in levels
    ]
    listed = "; ".join(
        f"{kind} "
        + ", ".join(f"{at[f'{kind}, denoised'][0] / at[f'{kind}, noisy'][0]:.2f}" for _, at in rows)
        for kind in ("ridge", "mlp", "fit")
    )
    exact = ", ".join(f"{at['exact'][0] / at['fit, noisy'][0]:.2f}" for _, at in rows)
    best = [
        (min(at[f"{k}, denoised"] for k in ("ridge", "mlp", "fit")), at["fit, noisy"])
        for _, at in rows
    ]
    return Answer(
        f"scatter of [M/H], denoised over noisy, at S/N {', '.join(str(snr) for snr, _ in rows)}: {listed}",
        f"exact posterior over a fit to the noisy spectrum: {exact}",
        any(denoised[2] < noisy[1] for denoised, noisy in best),
    )  # fmt: skip


def poisson(numbers):
    at = numbers["counts"]
    return Answer(
        "bias of the flux: " + "; ".join(f"{k} e⁻: {interval(*v['draws']['bias'])} %" for k, v in at.items()),
        "variances from the counts: "
        + "; ".join(f"{k} e⁻: {interval(*v['from the counts']['bias'])} %" for k, v in at.items()),
        all(abs(v["draws"]["bias"][0]) < abs(v["from the counts"]["bias"][0]) for v in at.values()),
    )  # fmt: skip


def instruments(numbers):
    at, n = (
        {view: v["exact"] for view, v in numbers["instruments"].items()},
        numbers.get("stars_instruments", 2),
    )
    return Answer(
        f"68 % coverage of pixels, {n} stars: "
        + "; ".join(f"{view}: {interval(*v['coverage_68'])}" for view, v in at.items()),
        "0.68",
        None if n < FEW else within([v["coverage_68"] for v in at.values()], *COVERED),
    )


def few_steps(numbers):
    rows = [r for r in numbers["steps"] if r["method"] == "exact" and r["steps"] in (1, 4, 8)]
    good = [r for r in rows if r["steps"] == 4]
    return Answer(
        "`exact`, S/N 10: "
        + "; ".join(
            f"{r['steps']} calls: 68 % → {interval(*r['coverage_68'])}, {r['seconds']:.2f} s"
            for r in rows
        ),
        "0.68",
        all(low < 0.68 < high for _, low, high in (r["coverage_68"] for r in good)),
    )


BOUNDED, SUPERVISED, LABELS = (
    ("emulator", "bounded"),
    ("emulator", "bounded", "supervised"),
    ("bounded", "labels"),
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
