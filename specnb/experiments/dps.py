"""Posterior sampling and hallucination (MVP-1.1): what the chapter runs at each profile, and what it found.

The measurements are :mod:`specnb.experiments.comparison` and :mod:`specnb.experiments.hallucination`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table

from specnb.denoising.denoise import denoise
from specnb.experiments import comparison, hallucination
from specnb.experiments.comparison import Closed, Guided, Judged, Through
from specnb.experiments.hallucination import Erased, Feature
from specnb.experiments.results import Record
from specnb.metrics import Interval, bootstrap, pixel_coverage
from specnb.sampling import counts, instruments
from specnb.sampling.posterior import METHODS, sample_posterior
from specnb.spectral_lines.anomalies import anomalies
from specnb.world.simulate import Stars, simulate

READ_NOISE = 4.0
"""Electrons a pixel."""


@dataclass(frozen=True)
class Bias(Record):
    """Mean error of the flux in per cent."""

    bias: Interval


@dataclass(frozen=True)
class Drawn(Bias):
    """The same of the mean of draws; their pixel-wise coverage, and the median effective share of the proposals."""

    coverage_68: Interval
    share: float


@dataclass(frozen=True)
class Counted(Record):
    """Counted photons: denoised with variances from the counts, from the spectrum, and by corrected draws."""

    from_the_counts: Bias
    from_the_spectrum: Bias
    draws: Drawn


@dataclass(frozen=True)
class Stepped(Judged):
    """A sampler with a number of steps."""

    method: str
    steps: int


@dataclass(frozen=True)
class Dps(Record):
    """What dps.json holds; names of methods are those of :func:`specnb.sample_posterior`.

    Attributes
    ----------
    stars, stars_exact, stars_instruments, stars_steps, stars_counts : int
        Test stars of ``levels``, ``exact``, ``instruments``, ``steps``, ``counts``; the last two are None in files
        from before they were written.
    n_samples : int
        Draws of a star.
    calls : dict
        Method → steps.
    closed_form : dict
        Method → :class:`specnb.experiments.comparison.Closed`.
    levels, exact : dict
        S/N → method → :class:`specnb.experiments.comparison.Judged`; ``oracle`` are other draws of the exact posterior.
    steps : list of Stepped
        At S/N 10.
    sweep : dict
        S/N → DPS by scale of its guidance.
    features, reported : dict
        S/N → what becomes of features that the prior does not hold; what the residual test reports of many.
    survival_differences : dict
        "one less another" → median difference of the shares that survive.
    false_alarms : dict
        "S/N, p-value" → share of spectra of the prior that the residual test reports.
    instruments : dict
        Instrument → method → :class:`specnb.experiments.comparison.Through`.
    counts : dict
        Electrons a pixel → :class:`Counted`.
    """

    stars: int
    n_samples: int
    calls: dict[str, int]
    closed_form: dict[str, Closed]
    levels: dict[int, dict[str, Judged]]
    stars_exact: int
    exact: dict[int, dict[str, Judged]]
    steps: list[Stepped]
    sweep: dict[int, list[Guided]]
    features: dict[int, Erased]
    reported: dict[int, dict[str, Feature]]
    survival_differences: dict[str, Interval]
    false_alarms: dict[str, Interval]
    stars_instruments: int
    instruments: dict[str, dict[str, Through]]
    counts: dict[int, Counted]
    stars_steps: int | None = None
    stars_counts: int | None = None


@dataclass(frozen=True)
class Sizes:
    """How much of each measurement a profile makes: stars of each, S/N, draws, steps by sampler."""

    profile: str
    stars: int
    exact: int
    features: int
    steps: int
    sky: int
    instruments: int
    snrs: tuple[int, ...]
    n_samples: int
    calls: dict[str, int]

    @property
    def smoke(self) -> bool:
        """Tell whether only the code is tried."""
        return self.profile == "smoke"

    @property
    def few(self) -> bool:
        """Tell whether it must be done within minutes."""
        return self.profile in ("smoke", "quick")

    @property
    def counted(self) -> int:
        """Count stars of counted photons."""
        return 4 if self.few else 24

    @property
    def samplers(self) -> dict[str, dict]:
        """Return arguments of :func:`specnb.sample_posterior` by name."""
        return {name: {"method": name, "steps": steps} for name, steps in self.calls.items()}


def sizes(profile: str) -> Sizes:
    """Return the sizes of a profile."""
    stars = {
        "smoke": (2, 2, 3, 2, 50, 2),
        "quick": (3, 8, 4, 3, 2000, 2),
        "cpu": (12, 64, 20, 12, 2000, 12),
        "full": (128, 512, 256, 64, 20000, 128),
    }[profile]
    snrs = {"smoke": (10,), "quick": (10, 50)}.get(profile, (5, 10, 20, 50, 100))
    calls = {"exact": 8, "egpps": 16, "mmps": 12, "pigdm": 30, "dps": 100, "supervised": 50}
    if profile == "smoke":
        calls = dict.fromkeys(calls, 4)
    elif profile != "quick":
        calls = {name: METHODS[name].steps for name in calls}
    return Sizes(profile, *stars, snrs, 64 if profile == "full" else 40, calls)


def one_line(
    samplers: dict[str, dict[str, Any]], n_samples: int, seed: int
) -> tuple[Stars, np.ndarray, np.ndarray, dict[str, np.ndarray], Table]:
    """Put a line that no star has, at 6500 Å, into a spectrum of S/N 20, and draw from what is seen.

    Returns
    -------
    star : specnb.Stars
        As it is, one row.
    changed, observed : numpy.ndarray
        Clean and observed flux with the line, (1, 3136).
    drawn : dict
        Sampler → draws, (n_samples, 3136).
    found : astropy.table.Table
        What :func:`specnb.anomalies` reports.
    """
    star = simulate(1, seed + 8, snr=20)
    changed = hallucination.line_at(star.flux, 6500.0, 0.35)
    y = hallucination.observe(star, changed)
    drawn = {
        name: np.asarray(sample_posterior(y, star.ivar, n_samples, seed, **samplers[name]))[0]
        for name in ("exact", "mmps", "dps", "supervised")
    }
    return star, changed, y, drawn, anomalies(y, star.ivar)


def closed_form(size: Sizes, seed: int) -> tuple[dict[str, int], dict[str, Closed]]:
    """Judge every sampler where the posterior has a closed form; (method → calls, method → ``Closed``)."""
    ways = {name: k for name, k in size.samplers.items() if name != "supervised"}
    ways["exact, 1 call"] = {"steps": 1}
    if not size.smoke:
        ways |= {name: {"method": name} for name in ("ancestral", "heun")}
    n = 1 if size.smoke else 2 if size.few else 4
    calls = {name: k.get("steps") or METHODS[k["method"]].steps for name, k in ways.items()}
    return calls, comparison.gaussian_world(ways, 10, n, size.n_samples, seed)


def by_steps(size: Sizes, seed: int) -> list[Stepped]:
    """Judge samplers by their number of steps, at S/N 10."""
    curves = {"exact": [1, 2, 4, 8, 16], "ancestral": [4, 16], "heun": [4, 16], "ddim": [4, 16]}
    if size.smoke:
        curves = {"exact": [1, 4], "ddim": [4]}
    elif not size.few:
        long = [4, 8, 16, 32, 64, 128, 200]
        curves = {"exact": [1, 2, 4, 8, 16, 32, 64], "ancestral": long, "heun": long, "ddim": long}
    runs = [(name, k) for name, ks in curves.items() for k in ks]
    ways = {f"{name}, {k} steps": {"method": name, "steps": k} for name, k in runs}
    table = comparison.measure(10, size.steps, ways, size.n_samples, seed)
    judged = [table[way] for way in ways]
    return [
        Stepped(**vars(j), method=name, steps=k) for j, (name, k) in zip(judged, runs, strict=True)
    ]


def sweep(size: Sizes, seed: int = 1) -> dict[int, list[Guided]]:
    """Try scales of the guidance of DPS."""
    scales = [5.0, 20.0, 50.0] if size.few else [5.0, 20.0, 35.0, 50.0, 80.0]
    if size.smoke:
        scales = [20.0]
    n = 2 if size.few else 4
    return {
        snr: comparison.sweep(scales, snr, n, size.n_samples, size.calls["dps"], seed)
        for snr in size.snrs
        if snr in (10, 50)
    }


def estimators(size: Sizes, seed: int) -> dict:
    """Return what is tried on features that the prior does not hold: name → function (flux, ivar) → flux."""
    names = ("none", "pca", "dncnn", "wmae", "supervised", "bounded", "fit")
    drawn = ("exact", "dps", "mmps")[: 1 if size.smoke else 2 if size.few else 3]

    def mean_of_draws(flux, ivar, name):
        steps = 4 if name == "exact" else size.calls[name]
        return sample_posterior(flux, ivar, 16, seed, name, steps=steps).mean(1)

    out = {name: partial(denoise, method=name) for name in names}
    if size.smoke:
        out = {name: out[name] for name in ("none", "bounded")}
    return out | {f"{name}, mean": partial(mean_of_draws, name=name) for name in drawn}


def survival_differences(features: dict[int, Erased]) -> dict[str, Interval]:
    """Compare the shares that survive, feature by feature: "one less another" → median difference."""

    def survived(name):
        shares = [s for part in features.values() for s in part.survival[name].values()]
        return np.concatenate(shares)

    pairs = ("dps, mean", "supervised"), ("exact, mean", "supervised"), ("exact, mean", "fit")
    known = set(next(iter(features.values())).survival)
    return {
        f"{one} less {other}": bootstrap(np.median, survived(one) - survived(other))
        for one, other in pairs
        if {one, other} <= known
    }


def false_alarms(n: int, seed: int) -> dict[str, Interval]:
    """Count spectra of the prior, ``n`` at each S/N, that the residual test reports at a p-value."""
    out = {}
    for snr in (10, 50):
        sky = simulate(n, seed, snr=snr)
        table = anomalies(sky.observed, sky.ivar, p_value=0.1)
        for asked in (0.01, 0.1):
            hit = np.zeros(n)
            hit[np.unique(table["spectrum"][table["p_value"] < asked])] = 1
            out[f"S/N {snr}, {asked:.0%}"] = bootstrap(np.mean, hit)
    return out


def views(size: Sizes) -> tuple[dict[str, instruments.Operator], dict[str, dict[str, Any]]]:
    """Return other instruments by name, and the samplers that are tried through them."""
    seen = {"pixels × 3": instruments.rebin(3), "R = 1000": instruments.lower_resolution(1000)}
    if size.smoke:
        del seen["R = 1000"]
    ways = {"exact": {"steps": 5 if size.smoke else 40}, "mmps": size.samplers["mmps"]}
    if not size.few:
        ways |= {name: size.samplers[name] for name in ("pigdm", "dps")}
    return seen, ways


def counted(size: Sizes, electrons: int, seed: int) -> Counted:
    """Denoise counted photons, a median of ``electrons`` a pixel, with variances from either and by draws."""
    stars, rng = simulate(size.counted, seed), np.random.default_rng(seed)
    exposure = electrons * np.median(stars.sigma, 1, keepdims=True) ** 2 / stars.sigma**2
    seen = rng.poisson(exposure * stars.flux) + READ_NOISE * rng.standard_normal(exposure.shape)
    draws, share = counts.sample_counts(
        seen, exposure, READ_NOISE, n_samples=size.n_samples, seed=seed
    )
    flux, mean = seen / exposure, draws.mean(1)

    def bias(clean):
        return bootstrap(np.mean, 100 * (clean - stars.flux).mean(1), seed=seed)

    def denoised(light):
        return denoise(flux, counts.inverse_variance(light, exposure, READ_NOISE))

    everywhere = np.ones(stars.flux.shape, dtype=bool)
    inside = pixel_coverage(draws, stars.flux, everywhere, 0.68, seed)
    return Counted(
        Bias(bias(denoised(flux))),
        Bias(bias(denoised(mean))),
        Drawn(bias(mean), inside, float(np.median(share))),
    )
