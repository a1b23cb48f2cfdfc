"""A user's spectrum, from the native grid to products: denoised FITS, a row of labels, and warnings.

Warnings say that a spectrum is not what the models know: labels at the edge of the prior, a poor fit, errors that had
to grow, many windows that nothing in the prior explains, or components far from those of the stars of training.
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.io import fits
from astropy.table import Table

from specnb import storage
from specnb.denoising import networks
from specnb.denoising.denoise import denoise
from specnb.grid import LOGLAM, WAVE
from specnb.labels.inference import infer
from specnb.observing.native import TRAINED, Observation
from specnb.sampling.posterior import sample_posterior
from specnb.spectral_lines.anomalies import anomalies
from specnb.world import prior

DRAWS, LABEL_DRAWS = 64, 512
EDGE = 0.01
"""Share of the prior at either end that counts as its edge."""

MISFIT, INFLATED, MANY = 2.0, 2.0, 20
"""χ² and factor of the errors above which a fit is poor; anomalies that are many (real stars of the domain have up to
19, because no model is perfect)."""

BROAD = 25.0
"""Fall of χ² at R = 1000 that says that lines are broader than rotation of 50 km/s makes them."""

DISTANCE = ((5, 10, 20, 50, 100, 200), (45, 78, 149, 298, 430, 531))
"""S/N, and the distance that one simulated star in 200 exceeds there (512 test stars each)."""


@dataclass
class Products:
    """What is made of one spectrum.

    Attributes
    ----------
    observation : native.Observation
    denoised, uncertainty : numpy.ndarray
        Posterior mean of the clean spectrum, and the standard deviation of draws, (3136,).
    labels : astropy.table.Table
        Draws, one row, as of :func:`specnb.infer`.
    anomalies : astropy.table.Table
        Windows that the prior cannot explain.
    distance : float
        From the stars of training.
    warnings : list of str
        Empty if nothing speaks against the result.
    """

    observation: Observation
    denoised: np.ndarray
    uncertainty: np.ndarray
    labels: Table
    anomalies: Table
    distance: float
    warnings: list


def distance(flux, ivar):
    """Sum of squares of the leading components in units of the prior's standard deviations; (n, 3136) each → (n,)."""
    tensors = (torch.as_tensor(v, dtype=torch.float32) for v in (flux, ivar))
    components = networks.in_batches(networks.load("bounded").first_look, *tensors, size=64)
    return components[:, :-1].square().sum(1).numpy()  # the last is the noise level


def doubts(observation, away, odd):
    """Why the result may be wrong, a list of str."""
    found, out = observation.fit, []
    p = prior.probabilities(torch.from_numpy(found.labels))[:5].numpy()
    edge = [
        name for name, value in zip(prior.LABELS, p, strict=False) if not EDGE < value < 1 - EDGE
    ]
    edge = [
        name for name in edge if name != "alpha_m"
    ]  # most stars of the disc lie near its lower end
    if edge:
        out.append(
            f"{' and '.join(edge)} at the edge of the prior: is the star inside 4300-7000 K, ±300 km/s?"
        )
    if found.broader > BROAD * found.inflation**2:
        out.append(
            "lines are broader than the prior knows: faster rotation, or a lower resolution than was said"
        )
    if found.chi2 > MISFIT:
        out.append(f"poor fit, χ² = {found.chi2:.1f} a pixel")
    if found.inflation > INFLATED:
        out.append(f"errors had to grow by {found.inflation:.1f}")
    if len(odd) >= MANY:
        out.append(f"{len(odd)} windows that no star of the prior explains")
    if away > np.interp(observation.snr, *DISTANCE):
        out.append(f"components far from those of the stars of training ({away:.0f})")
    resolution = observation.meta.get("resolution")
    if resolution is not None and resolution < TRAINED[0]:
        out.append(f"R = {resolution:.0f} is lower than what the models know")
    return out


def process(observations, seed=0, method="bounded"):
    """Denoise observations and infer their labels.

    Parameters
    ----------
    observations : list of native.Observation
    seed : int
        Of the draws; those of a spectrum do not depend on the others.
    method : str
        For :func:`specnb.denoise`.

    Returns
    -------
    list of Products
    """
    if not observations:
        return []
    flux, ivar = (np.stack([getattr(o, name) for o in observations]) for name in ("flux", "ivar"))
    clean = denoise(flux, ivar, method)
    labels, away = infer(flux, ivar, LABEL_DRAWS, seed), distance(flux, ivar)
    out = []
    for i, o in enumerate(observations):
        draws = sample_posterior(flux[i], ivar[i], DRAWS, seed)
        odd = anomalies(flux[i], ivar[i])
        spread = np.asarray(draws).reshape(DRAWS, -1).std(0, ddof=1)
        warn = doubts(o, float(away[i]), odd)
        out.append(Products(o, clean[i], spread, labels[i : i + 1], odd, float(away[i]), warn))
    return out


def quantiles(products):
    """Name → value of one row of the table of labels; 16, 50 and 84 % of every label."""
    row = {}
    for name in prior.LABELS:
        draws = np.asarray(products.labels[name][0], "f8")
        for q in (16, 50, 84):
            row[f"{name}_{q}"] = float(np.percentile(draws, q))
    row |= {
        "snr": products.observation.snr,
        "chi2": products.observation.fit.chi2,
        "inflation": products.observation.fit.inflation,
    }
    row |= {
        "distance": products.distance,
        "anomalies": len(products.anomalies),
        "good": not products.warnings,
    }
    return row | {"warnings": "; ".join(products.warnings + products.observation.notes)}


def table(names, products):
    """Labels of many spectra, a row each, with units."""
    rows = [{"file": str(name)} | quantiles(p) for name, p in zip(names, products, strict=True)]
    out = Table(rows=rows)
    for name, unit in prior.LABELS.items():
        for q in (16, 50, 84):
            out[f"{name}_{q}"].unit = unit
            out[f"{name}_{q}"].info.format = ".4g" if name in ("teff", "rv", "vsini") else ".3f"
    return out


def to_fits(products, name, method="bounded"):
    """The products of one spectrum as an ``astropy.io.fits.HDUList``.

    Table ``SPECTRUM``: loglam, wavelength, flux (normalised observation), ivar, denoised, uncertainty, continuum. Table
    ``ANOMALIES``. The primary header says model, version, commit, warnings and labels.
    """
    o, header = products.observation, fits.Header()
    header["SOURCE"] = Path(name).name[-60:]
    header["OBJECT"] = str(o.meta.get("object", ""))[:60]
    header["MODEL"] = (method, "denoiser of specnb")
    header["SPECNB"] = (version("specnb"), "version")
    header["COMMIT"] = (storage.commit() or "unknown", "of the checkout")
    header["RESOLUT"] = (o.meta.get("resolution") or 0.0, "resolving power that was assumed")
    header["SNR"] = (o.snr, "median of good pixels")
    header["CHI2"] = (o.fit.chi2, "a pixel, of the fit to the file's errors")
    header["INFLATE"] = (o.fit.inflation, "factor of the file's errors")
    header["DISTANCE"] = (products.distance, "from the stars of training")
    header["QUALITY"] = (not products.warnings, "nothing speaks against the result")
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
