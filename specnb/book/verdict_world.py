"""Rows of the verdict that the plan does not have: the world that everything is measured in, real spectra, sliders."""

from specnb.book.judging import BOUNDED, LABELS, Answer, Missing, Row, shown, within
from specnb.experiments.bounded import COMPARED, Bounded
from specnb.experiments.data import Data
from specnb.experiments.explore import Explore
from specnb.experiments.stars import Stars
from specnb.experiments.your_spectra import YourSpectra
from specnb.metrics import Interval
from specnb.world import prior

LASP = {"teff": 49, "logg": 0.03, "m_h": 0.03}
"""Scatter of the labels that LAMOST's pipeline gives a star that it sees again (labels of the files in own.json)."""

BIN = "30 to 70"
"""S/N of the stars whose labels are compared."""


def emulator(numbers: Data) -> Answer:
    """Judge the emulator's error on stars that it was not trained on."""
    e = numbers.emulator
    rms = Interval(e.rms, *e.rms_interval)
    return Answer(
        f"RMS {rms.scaled(1e4):.2f} × 10⁻⁴ of the continuum in {e.stars} stars that it was "
        f"not trained on, worst star {1e4 * e.worst:.1f} × 10⁻⁴",
        "—",
        within([rms], 0, 5e-4),
    )


def reality(numbers: Stars) -> Answer:
    """Judge whether the model's error makes residuals of LAMOST stars normal."""
    regions = numbers.real_stars
    with_it = {name: v.with_model_error.within_1 for name, v in regions.items()}
    without = [v.without_model_error.within_1.value for v in regions.values()]
    return Answer(
        "LAMOST pixels within 1 σ, stars that the model's error was not measured on, with it added, by region: "
        + "; ".join(f"{name} Å: {share:.2f}" for name, share in with_it.items()),
        "without it: " + "; ".join(f"{share:.2f}" for share in without) + "; right errors: 0.68",
        within(with_it.values(), 0.63, 0.73),
    )


def bounded_levels(numbers: Bounded) -> Answer:
    """Judge the MSE improvement of the bounded-noise denoiser at every level."""
    mse = {level: v.mse for level, v in numbers.improvement.items()}
    found = {level: v["one pass"] for level, v in mse.items()}
    others = {level: max(v[name].value for name in COMPARED) for level, v in mse.items()}
    return Answer(
        "MSE " + "; ".join(f"λ = {level}: −{v:.1%}" for level, v in found.items()),
        "best of Wiener, PCA, DnCNN: " + "; ".join(f"−{100 * v:.1f} %" for v in others.values()),
        found[0.5].low > 0.595
        and found[0.4].low > 0.285
        and min(v.low for v in found.values()) > 0,
        all(v.value > others[level] for level, v in found.items()),
    )


def survey_labels(numbers: YourSpectra) -> Answer:
    """Judge labels of survey stars by the survey's own, or by the truth of simulated stars."""
    if BIN not in numbers.labels:
        raise Missing(f"too few stars of S/N {BIN}")
    best = numbers.labels[BIN]["flow"]
    units = {"teff": ("K", ".0f"), "logg": ("dex", ".2f"), "m_h": ("dex", ".2f")}
    errors = {label: getattr(best, label) for label in units}
    listed = "; ".join(
        f"{label} {shown(error.bias, best.stars, spec)}, "
        f"scatter {shown(error.scatter, best.stars, spec)} {unit}"
        for (label, (unit, spec)), error in zip(units.items(), errors.values(), strict=True)
    )
    small_bias = within([best.m_h.bias], -0.05, 0.05)
    if not numbers.real:
        return Answer(
            f"ours less the truth, {best.stars} *simulated* stars of S/N {BIN}: {listed}",
            "—",
            small_bias,
            what="labels of simulated stars in survey files",
        )
    return Answer(
        f"ours less the survey's, {best.stars} stars of S/N {BIN}: {listed}",
        "scatter of the survey's own, of stars seen twice: "
        + "; ".join(f"{label} {scatter}" for label, scatter in LASP.items()),
        small_bias,
        all(errors[label].scatter.low <= LASP[label] for label in LASP),
    )


def visits(numbers: YourSpectra) -> Answer:
    """Judge error bars of labels by the differences of two visits of a star."""
    found, n = numbers.repeats["errors of the residuals"], numbers.pairs
    pulls = {label: getattr(found, label) for label in prior.LABELS}
    kind = "" if numbers.real else " of *simulated* stars"
    return Answer(
        f"scatter of differences over their errors, {n} pairs of visits{kind}: "
        + "; ".join(f"{label} {shown(pull, n, '.2f')}" for label, pull in pulls.items()),
        "right errors: 1",
        within(pulls.values(), 0.9, 1.1),
    )


def flags(numbers: YourSpectra) -> Answer:
    """Judge how often quality flags are set inside and outside of the prior."""
    kind = "" if numbers.real else ", *simulated* stars"
    listed = "; ".join(f"{name}: {share:.2f}" for name, share in numbers.flagged.items())
    outside = [share for name, share in numbers.flagged.items() if name != "inside"]
    if not outside:
        raise Missing(f"no stars outside of the prior{kind}")
    inside = numbers.flagged["inside"]
    return Answer(
        f"share with a quality flag{kind}: {listed}",
        "—",
        inside.high < 0.5 and all(share.low > 0.5 for share in outside),
        inside.value < 0.1,
    )


def sliders(numbers: Explore) -> Answer:
    """Judge the time from a moved slider to the new spectrum."""
    ms, n = numbers.milliseconds, numbers.moves
    return Answer(
        "; ".join(
            f"{name}: median {v.median:.0f} ms, slowest of {n} {v.slowest:.0f} ms"
            for name, v in ms.items()
        ),
        "—",
        all(v.median < 200 for v in ms.values()),
        all(v.slowest < 200 for v in ms.values()),
    )


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
    Row("sky", "quality flags: few inside of the prior, most outside", "under half, over half (ours)", "own",
        "10_your_spectra", LABELS, flags),
    Row("explore", "from a moved slider to the new spectrum", "< 200 ms", "explore", "explore", BOUNDED, sliders),
)  # fmt: skip
