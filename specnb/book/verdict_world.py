"""Rows of the verdict that the plan does not have: the world that everything is measured in, real spectra, sliders."""

from specnb.book.verdict_rows import BOUNDED, LABELS, Answer, Row, within
from specnb.storage import interval
from specnb.world import prior

LASP = {"teff": 49, "logg": 0.03, "m_h": 0.03}
"""Scatter of the labels that LAMOST's pipeline gives a star that it sees again (labels of the files in own.json)."""


def emulator(numbers):
    e = numbers["emulator"]
    return Answer(
        f"RMS {interval(e['rms'], *e['rms_interval'], 1e4)} × 10⁻⁴ of the continuum in {e['stars']} stars that it was "
        f"not trained on, worst star {1e4 * e['worst']:.1f} × 10⁻⁴",
        "—",
        within([(e["rms"], *e["rms_interval"])], 0, 5e-4),
    )


def reality(numbers):
    held = {
        k: (v["without_model_error"], v["with_model_error"])
        for k, v in numbers["real_stars"].items()
    }
    return Answer(
        "LAMOST pixels within 1 σ, stars that the model's error was not measured on, with it added, by region: "
        + "; ".join(f"{k} Å: {interval(*b['within_1'])}" for k, (_, b) in held.items()),
        "without it: "
        + "; ".join(f"{a['within_1'][0]:.2f}" for a, _ in held.values())
        + "; right errors: 0.68",
        within([b["within_1"] for _, b in held.values()], 0.63, 0.73),
    )


def bounded_levels(numbers):
    found = {level: v["mse"]["one pass"] for level, v in numbers["improvement"].items()}
    others = {
        level: max(v["mse"][k][0] for k in ("wiener", "pca", "dncnn"))
        for level, v in numbers["improvement"].items()
    }
    return Answer(
        "MSE " + "; ".join(f"λ = {k}: −{interval(*v, 100, 1)} %" for k, v in found.items()),
        "best of Wiener, PCA, DnCNN: " + "; ".join(f"−{100 * v:.1f} %" for v in others.values()),
        found["0.5"][1] > 0.595
        and found["0.4"][1] > 0.285
        and min(low for _, low, _ in found.values()) > 0,
        all(v[0] > others[k] for k, v in found.items()),
    )


def survey_labels(numbers):
    best = numbers["labels"].get("30 to 70", numbers["labels"]["all"])["flow"]
    units = {"teff": ("K", 0), "logg": ("dex", 2), "m_h": ("dex", 2)}
    return Answer(
        f"ours less the survey's, {best['stars']} stars of S/N 30 to 70: "
        + "; ".join(
            f"{k} {interval(*best[k]['bias'], digits=d)}, scatter {interval(*best[k]['scatter'], digits=d)} {unit}"
            for k, (unit, d) in units.items()
        ),
        "scatter of the survey's own, of stars seen twice: "
        + "; ".join(f"{k} {v}" for k, v in LASP.items()),
        within([best["m_h"]["bias"]], -0.05, 0.05),
        all(best[k]["scatter"][1] <= LASP[k] for k in LASP),
    )


def visits(numbers):
    pulls = numbers["repeats"]["errors of the residuals"]
    return Answer(
        f"scatter of differences over their errors, {numbers['pairs']} pairs of visits"
        + ("" if numbers["real"] else " of *simulated* stars")
        + ": "
        + "; ".join(f"{k} {interval(*pulls[k])}" for k in prior.LABELS),
        "right errors: 1",
        within([pulls[k] for k in prior.LABELS], 0.9, 1.1),
    )


def doubts(numbers):
    doubted = numbers["doubted"]
    return Answer(
        "share with a warning: " + "; ".join(f"{k}: {interval(*v)}" for k, v in doubted.items()),
        "—",
        all((v[2] < 0.5) if k == "inside" else (v[1] > 0.5) for k, v in doubted.items()),
        doubted["inside"][0] < 0.1,
    )


def sliders(numbers):
    ms = numbers["milliseconds"]
    return Answer(
        "; ".join(f"{k}: median {v['median']:.0f} ms, slowest of {numbers['moves']} {v['slowest']:.0f} ms"
                  for k, v in ms.items()),
        "—",
        all(v["median"] < 200 for v in ms.values()),
        all(v["slowest"] < 200 for v in ms.values()),
    )  # fmt: skip


ROWS = (
    Row("MVP-0.5", "the denoiser at every noise level", "MSE −59.5 % at λ = 0.5, −28.5 % at 0.4, worse below 0.3",
        "bounded", "02_bounded", BOUNDED, bounded_levels),
    Row("world", "how near the emulator is to the spectra that it stands for", "RMS ≤ 5 × 10⁻⁴", "data", "00_data",
        ("emulator",), emulator),
    Row("world", "whether the model's error makes residuals of real stars normal", "68 % within 5 points (ours)",
        "stars", "11_stars", ("emulator",), reality),
    Row("sky", "labels of LAMOST stars", "bias of [M/H] < 0.05 dex (ours)", "own", "10_your_spectra", LABELS,
        survey_labels),
    Row("sky", "error bars, by two visits of a star", "1 within 0.1 (ours)", "own", "10_your_spectra", LABELS, visits),
    Row("sky", "warnings: few inside of the prior, most outside", "under half, over half (ours)", "own",
        "10_your_spectra", LABELS, doubts),
    Row("explore", "from a moved slider to the new spectrum", "< 200 ms", "explore", "explore", BOUNDED, sliders),
)  # fmt: skip
