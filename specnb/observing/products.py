"""A user's spectrum, from the native grid to products: denoised FITS, a row of labels, and quality flags."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table

from specnb import storage, validate
from specnb.denoising import networks
from specnb.grid import LOGLAM, WAVE
from specnb.labels import inference
from specnb.observed import Observed
from specnb.observing import flags
from specnb.observing.native import Observation
from specnb.sampling import posterior
from specnb.spectral_lines import anomalies
from specnb.world import prior

MODEL = "bounded"
"""The denoiser of products."""

LABEL_DRAWS = 512


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
    """

    observation: Observation
    denoised: np.ndarray
    uncertainty: np.ndarray
    labels: Table
    anomalies: Table
    distance: float
    flags: flags.Quality
    warnings: list[str]


def distance(observed: Observed) -> np.ndarray:
    """Sum the squares of the leading components in units of the prior's standard deviations, (n,)."""
    components = networks.load(MODEL).first_look(observed)
    return components[:, :-1].square().sum(1).numpy()  # the last is the noise level


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


def process(observations: list[Observation], seed: int = 0) -> list[Products]:
    """Denoise observations and infer their labels.

    Parameters
    ----------
    observations : list of native.Observation
    seed : int
        Of the draws; those of a spectrum do not depend on the others.

    Returns
    -------
    list of Products
    """
    if not observations:
        return []
    flux, ivar = (np.stack([getattr(o, name) for o in observations]) for name in ("flux", "ivar"))
    observed, _ = validate.spectra(flux, ivar)
    clean = networks.load(MODEL).denoise(observed)
    labels = inference.draws(observed, LABEL_DRAWS, seed)
    low, high = posterior.band_of(observed, networks.load(MODEL))
    spread = (high - low) / 2
    away, odd = distance(observed), anomalies.find(observed, clean)
    out = []
    for i, observation in enumerate(observations):
        windows = odd[odd["spectrum"] == i]
        windows["spectrum"] = 0
        found = observation.fit
        facts = flags.Facts(
            edges=edges(found.labels),
            broader=float(found.broader),
            inflation=float(found.inflation),
            chi2=float(found.chi2),
            unexplained=len(windows),
            distance=float(away[i]),
            snr=observation.snr,
            resolution=observation.meta.get("resolution"),
        )
        made = clean[i].numpy(), spread[i].numpy(), labels[i : i + 1], windows, facts.distance
        out.append(Products(observation, *made, *flags.judge(facts)))
    return out


def quantiles(products: Products) -> dict:
    """Compute name → value of one row of the table of labels; 16, 50 and 84 % of every label."""
    row = {}
    for name in prior.LABELS:
        draws = np.asarray(products.labels[name][0], "f8")
        for q in (16, 50, 84):
            row[f"{name}_{q}"] = float(np.percentile(draws, q))
    found = products.observation.fit
    row |= {
        "snr": products.observation.snr,
        "chi2": float(found.chi2),
        "inflation": float(found.inflation),
    }
    row |= {"distance": products.distance, "anomalies": len(products.anomalies)}
    row |= {"good": not products.flags, "flags": int(products.flags)}
    return row | {"warnings": "; ".join(products.warnings + products.observation.notes)}


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
    header["QUALITY"] = (not products.flags, "nothing speaks against the result")
    header["FLAGS"] = (int(products.flags), "bits of specnb.observing.flags.Quality")
    row = quantiles(products)
    for label, unit in prior.LABELS.items():
        low, middle, high = (row[f"{label}_{q}"] for q in (16, 50, 84))
        header[label[:8].upper()] = (round(middle, 4), f"{unit}, 68 % in {low:.4g} ... {high:.4g}")
    for text in products.warnings + o.notes:
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
