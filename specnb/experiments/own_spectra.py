"""Three tests on the sky: labels against a survey's, spectra degraded by noise, and pairs of visits.

The last two need no truth. Where no real spectra are at hand, :func:`pretend` writes a survey of simulated stars.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from specnb.experiments.parameters import columns
from specnb.grid import WAVE
from specnb.observing import native, readers, survey_files
from specnb.world import prior
from specnb.world.stars import simulate

SURVEY = ("teff", "logg", "feh")


def pretend(folder, n, seed=0):
    """Write LAMOST files of ``n`` simulated stars, two visits each, with ``labels.csv``; errors in them are 20 % off.

    The files have a response, counts as units, and every star a second visit at another S/N.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    response = 800 * np.exp(-(((np.log(WAVE) - 8.7) / 0.4) ** 2))
    stars, rng, rows = simulate(n, seed), np.random.default_rng(seed), []
    for i in range(n):
        for visit in range(2):
            snr = rng.uniform(20, 80)
            sigma = stars.sigma[i] / np.median(stars.sigma[i]) / snr
            y = stars.flux[i] + sigma * rng.standard_normal(len(WAVE))
            name = f"star{i:03d}-{visit}.fits.gz"
            ivar = np.where(stars.ivar[i] > 0, (1.2 * sigma * response) ** -2, 0)
            survey_files.lamost(folder / name, y * response, ivar)
            rows.append(
                (
                    name,
                    f"star{i:03d}",
                    *(float(stars.labels[k][i]) for k in ("teff", "logg", "m_h")),
                    snr,
                )
            )
    Table(rows=rows, names=("file", "desig", *SURVEY, "snrr")).write(
        folder / "labels.csv", overwrite=True
    )


def observe(paths, inflate=True):
    """Observations of files by path; unreadable ones are left out."""
    out = {}
    for path in paths:
        try:
            out[str(path)] = native.observe(readers.read(path), inflate=inflate)
        except ValueError:
            continue
    return out


def inside(table):
    """Stars of a survey that are inside the prior, by the survey's labels, (n,) bool."""
    return prior.inside(*(np.asarray(table[k], "f8") for k in SURVEY))


def degrade(observation, snr, seed=0):
    """An observation with noise added, in the shape of its own errors, down to a median S/N; None if it has no more."""
    good = observation.ivar > 0
    if observation.snr < 1.5 * snr:
        return None
    more = (observation.snr / snr) ** 2  # of the variance
    sigma = np.sqrt((more - 1) / np.where(good, observation.ivar, np.inf))
    noise = sigma * np.random.default_rng(seed).standard_normal(len(WAVE))
    ivar = (observation.ivar / more).astype("f4")
    flux = (observation.flux + noise).astype("f4")
    return replace(observation, flux=flux, ivar=ivar)


def pulls(first, second):
    """Differences of labels of two visits over their errors, (n, 6), from tables of draws."""
    a, b = columns(first), columns(second)
    return (a.mean(1) - b.mean(1)) / np.sqrt(a.var(1) + b.var(1))
