"""A user's spectrum, from the native grid to products: denoised FITS, a row of labels, and quality flags."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table

from specnb import storage, validate
from specnb.denoising import networks
from specnb.denoising.local_prior import LocalPosterior
from specnb.grid import LOGLAM, WAVE
from specnb.labels import flows
from specnb.observed import Observed
from specnb.observing import flags
from specnb.observing.native import Observation, telluric
from specnb.sampling import posterior
from specnb.spectral_lines import anomalies
from specnb.world import prior, streams

MODEL = "bounded"
"""The denoiser of products."""

LABEL_DRAWS, AT_ONCE = 256, 64

EMISSION = {
    "Hγ": 4341.7, "Hβ": 4862.7, "[O III]": 5008.2, "Hα": 6564.6, "[N II]": 6585.3, "[S II]": 6718.3,
}  # fmt: skip
"""Lines that may stand in emission, Å in vacuum."""

BRIGHT, SURE, NEAR = 0.1, 6.0, 3e-3
"""Height of emission in units of the continuum, its significance, and how near to its place it is, Δλ/λ."""


@dataclass
class Products:
    """What is made of one spectrum.

    Attributes
    ----------
    observation : native.Observation
    denoised, uncertainty : numpy.ndarray
        Posterior mean of the clean spectrum, and its standard deviation, (3136,).
    labels : astropy.table.Table
        Draws, one row, as of :func:`specnb.infer`.
    anomalies : astropy.table.Table
        Windows that the prior cannot explain.
    distance : float
        From the stars of training.
    flags : flags.Quality
        0 if nothing speaks against the result.
    warnings : list of str
        A sentence for each flag.
    velocity : float
        Where templates agree best, km/s; differs from the draws of a star that is faster than the prior.
    """

    observation: Observation
    denoised: np.ndarray
    uncertainty: np.ndarray
    labels: Table
    anomalies: Table
    distance: float
    flags: flags.Quality
    warnings: list[str]
    velocity: float = 0.0

    @property
    def said(self) -> list[str]:
        """Warnings, and the notes of what was done that say more than these."""
        return list(dict.fromkeys(self.warnings + self.observation.notes))

    @property
    def good(self) -> bool:
        """Whether no flag says that this is not to be used."""
        return flags.good(self.flags)


def edges(labels: np.ndarray) -> list[str]:
    """Name the labels (6,) that lie at the edge of the prior; rotation has none below."""
    p = prior.probabilities(torch.from_numpy(labels))[:5].numpy()
    at_edge = [
        name
        for name, v in zip(prior.LABELS, p, strict=False)
        if not flags.EDGE < v < 1 - flags.EDGE
    ]
    return [
        name for name in at_edge if name != "alpha_m"
    ]  # most stars of the disc lie near its lower end


def at_edge(labels: Table, row: int = 0) -> dict[str, tuple[float, float]]:
    """Compute for each label the share of draws in the lowest and in the highest 1 % of the prior."""
    draws = np.stack([np.asarray(labels[name][row], "f8") for name in prior.LABELS], -1)
    p = prior.probabilities(torch.from_numpy(draws)).numpy()
    low, high = (p <= flags.EDGE).mean(0), (p >= 1 - flags.EDGE).mean(0)
    return {k: (float(a), float(b)) for k, a, b in zip(prior.LABELS, low, high, strict=True)}


def emission(windows: Table) -> list[str]:
    """Name the lines that stand in emission among windows that nothing explains."""
    bright = (windows["depth"] < -BRIGHT) & (windows["snr"] > SURE)
    waves = np.asarray(windows["wave"], "f8")[np.asarray(bright, bool)]
    return [name for name, w in EMISSION.items() if (np.abs(waves / w - 1) < NEAR).any()]


def longest_gap(ivar: np.ndarray) -> int:
    """Count the pixels of the longest run without data inside of what was observed; telluric bands do not count."""
    good = np.flatnonzero((ivar > 0) | telluric())
    return int(np.diff(good).max(initial=1)) - 1


@lru_cache(maxsize=1)
def _evenly() -> torch.Tensor:
    """Make points that fill the unit cube evenly, (LABEL_DRAWS, 6)."""
    return torch.quasirandom.SobolEngine(6).draw(LABEL_DRAWS, dtype=torch.float64)


def _normal(rng: torch.Generator) -> torch.Tensor:
    """Draw standard normal numbers (LABEL_DRAWS, 6) that leave no gaps: shifted points of a cube (Cranley & Patterson
    1976, SIAM J. Numer. Anal. 13, 904); quantiles are as good as those of several times as many independent ones."""
    shift = torch.rand(6, generator=rng, device=rng.device, dtype=torch.float64)
    u = (_evenly().to(rng.device) + shift) % 1
    return torch.special.ndtri(u.clamp(1e-9, 1 - 1e-9)).float()


@dataclass
class _Made:
    """What networks say of n spectra: clean, spread (n, 3136), distance (n,), draws of labels (n, LABEL_DRAWS, 6)."""

    clean: torch.Tensor
    spread: torch.Tensor
    distance: torch.Tensor
    labels: torch.Tensor


def _made(observed: Observed, keys: list[int], seed: int) -> _Made:
    """Look at spectra once; draws of one depend on ``seed`` and its own key alone."""
    flow, model = flows.load(str(observed.device)), networks.load(MODEL, str(observed.device))
    observed = observed.filled(model.mean)
    local = LocalPosterior(model, observed)
    rngs = [streams.of_spectrum(seed, key, observed.device) for key in keys]
    z, _ = flow.draw(torch.stack([_normal(rng) for rng in rngs]), observed, local)
    mean, spread = posterior.spread_of(local, model)
    away = local.linear.z.square().sum(1)
    return _Made(mean, spread, away, prior.from_normal(z))


def _together(observed: Observed, keys: list[int], seed: int) -> _Made:
    """Look at any number of spectra."""
    firsts = range(0, len(observed), AT_ONCE)
    parts = [_made(observed[k : k + AT_ONCE], keys[k : k + AT_ONCE], seed) for k in firsts]
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return _Made(*(torch.cat(column).cpu() for column in columns))


def facts_of(observation: Observation, labels: Table, windows: Table, away: float) -> flags.Facts:
    """Gather what the flags of a spectrum are judged by; ``labels`` has one row."""
    found = observation.fit
    teff, m_h = (np.asarray(labels[name][0]) for name in ("teff", "m_h"))
    warm, poor = flags.EMPTY
    return flags.Facts(
        edges=edges(found.labels),
        broader=float(found.broader),
        inflation=float(found.inflation),
        chi2=float(found.chi2),
        unexplained=len(windows),
        distance=away,
        snr=observation.snr,
        resolution=observation.meta.get("resolution"),
        at_edge=at_edge(labels),
        cool=float(np.mean(teff < flags.COOL)),
        empty=float(np.mean((teff > warm) & (m_h < poor))),
        lines_left=float(found.unexplained),
        velocity=float(found.velocity),
        faster=float(found.faster),
        emission=emission(windows),
        gap=longest_gap(observation.ivar),
        cosmic_rays=observation.cosmic_rays,
        pixels=int((observation.ivar > 0).sum()),
        resampled=observation.resampled,
        double=float(found.double),
        separation=float(found.separation),
    )


@torch.no_grad()
def process(observations: list[Observation], seed: int = 0, device: str = "cpu") -> list[Products]:
    """Denoise observations and infer their labels.

    Parameters
    ----------
    observations : list of native.Observation
    seed : int
        Of the draws; those of a spectrum do not depend on the others, nor on its place among them.
    device : str
        Where the networks run, as torch names it.

    Returns
    -------
    list of Products
    """
    if not observations:
        return []
    flux, ivar = (np.stack([getattr(o, name) for o in observations]) for name in ("flux", "ivar"))
    observed, _ = validate.spectra(flux, ivar)
    made = _together(observed.to(device), [o.key for o in observations], seed)
    labels = Table(
        {
            name: made.labels[..., k].numpy() * unit
            for k, (name, unit) in enumerate(prior.LABELS.items())
        }
    )
    odd, out = anomalies.find(observed, made.clean), []
    for i, observation in enumerate(observations):
        windows, row = odd[odd["spectrum"] == i], labels[i : i + 1]
        windows["spectrum"] = 0
        facts = facts_of(observation, row, windows, float(made.distance[i]))
        spectra = made.clean[i].numpy(), made.spread[i].numpy()
        judged = flags.judge(facts)
        out.append(
            Products(observation, *spectra, row, windows, facts.distance, *judged, facts.velocity)
        )
    return out


def limit(products: Products, label: str) -> str:
    """Say the 95 % limit of a label whose interval ends at the prior's edge: ``"<4.6"``, ``">48"``, or nothing."""
    draws = np.asarray(products.labels[label][0], "f8")
    low, high = at_edge(products.labels)[label]
    if max(low, high) <= flags.LIMIT:
        return ""
    return f">{np.percentile(draws, 5):.3g}" if high > low else f"<{np.percentile(draws, 95):.3g}"


def quantiles(products: Products) -> dict[str, Any]:
    """Compute name → value of one row of the table of labels; 16, 50 and 84 % of every label."""
    row: dict[str, Any] = {}
    draws = np.stack([np.asarray(products.labels[name][0], "f8") for name in prior.LABELS])
    found = dict(zip(prior.LABELS, np.percentile(draws, (16, 50, 84), axis=1).T, strict=True))
    if products.flags & flags.Quality.RV_EDGE:
        found["rv"] = np.full(3, np.sign(products.velocity) * prior.RV_MAX)
    for name, values in found.items():
        row |= {f"{name}_{q}": float(v) for q, v in zip((16, 50, 84), values, strict=True)}
    row["vsini_limit"] = limit(products, "vsini")
    normalised = products.observation.fit
    row |= {
        "snr": products.observation.snr,
        "chi2": float(normalised.chi2),
        "inflation": float(normalised.inflation),
    }
    row |= {"distance": products.distance, "anomalies": len(products.anomalies)}
    row |= {"cosmic_rays": products.observation.cosmic_rays}
    row |= {"good": products.good, "flags": int(products.flags)}
    return row | {"warnings": "; ".join(products.said)}


def table(names: list, products: list[Products]) -> Table:
    """Tabulate labels of many spectra, a row each, with units."""
    rows = [{"file": str(name)} | quantiles(p) for name, p in zip(names, products, strict=True)]
    out = Table(rows=rows)
    for name, unit in prior.LABELS.items():
        for q in (16, 50, 84):
            out[f"{name}_{q}"].unit = unit
            out[f"{name}_{q}"].info.format = ".4g" if name in ("teff", "rv", "vsini") else ".3f"
    return out


def to_fits(products: Products, name: str | Path) -> fits.HDUList:
    """Put the products of one spectrum into an ``astropy.io.fits.HDUList``.

    Table ``SPECTRUM``: loglam, wavelength, flux (normalised observation), ivar, denoised, uncertainty, continuum. Table
    ``ANOMALIES``. The primary header says model, version, commit, warnings and labels.
    """
    o, header = products.observation, fits.Header()
    header["SOURCE"] = Path(name).name[-60:]
    header["OBJECT"] = str(o.meta.get("object", ""))[:60]
    header["MODEL"] = (MODEL, "denoiser of specnb")
    header["SPECNB"] = (version("specnb"), "version")
    header["COMMIT"] = (storage.commit() or "unknown", "of the checkout")
    header["RESOLUT"] = (o.meta.get("resolution") or 0.0, "resolving power that was assumed")
    header["SNR"] = (o.snr, "median of good pixels")
    header["CHI2"] = (float(o.fit.chi2), "a pixel, of the fit to the file's errors")
    header["INFLATE"] = (float(o.fit.inflation), "factor of the file's errors")
    header["DISTANCE"] = (products.distance, "from the stars of training")
    header["COSMICS"] = (o.cosmic_rays, "pixels masked as cosmic rays")
    header["QUALITY"] = (products.good, "no flag says: do not use")
    header["FLAGS"] = (int(products.flags), "bits of specnb.observing.flags.Quality")
    row = quantiles(products)
    for label, unit in prior.LABELS.items():
        low, middle, high = (row[f"{label}_{q}"] for q in (16, 50, 84))
        comment = f"{unit}, 68 % in {low:.4g} ... {high:.4g}"
        if label == "vsini" and row["vsini_limit"]:
            comment = f"{unit}, 95 % limit {row['vsini_limit']}"
        header[label[:8].upper()] = (round(middle, 4), comment)
    for text in products.said:
        header["HISTORY"] = (
            text.replace("χ²", "chi2").replace("±", "+-").encode("ascii", "replace").decode()
        )
    columns = {
        "loglam": LOGLAM, "wavelength": WAVE, "flux": o.flux, "ivar": o.ivar, "denoised": products.denoised,
        "uncertainty": products.uncertainty, "continuum": o.continuum,
    }  # fmt: skip
    spectrum = Table(
        {
            k: np.asarray(v, "f8" if k in ("loglam", "wavelength") else "f4")
            for k, v in columns.items()
        }
    )
    spectrum["wavelength"].unit = u.AA
    parts = [fits.table_to_hdu(part) for part in (spectrum, products.anomalies)]
    parts[0].name, parts[1].name = "SPECTRUM", "ANOMALIES"
    return fits.HDUList([fits.PrimaryHDU(header=header), *parts])
