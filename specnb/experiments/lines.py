"""What a denoiser does to the numbers that spectroscopists take from lines (MVP-3.0): equivalent width, depth,
velocity, continuum (:mod:`specnb.spectral_lines.indices`) and radial velocity
(:mod:`specnb.spectral_lines.velocity`), on test stars."""

import numpy as np

from specnb import metrics
from specnb.denoising.denoise import denoise
from specnb.experiments import estimators
from specnb.labels.oracle import oracle
from specnb.spectral_lines import indices, velocity
from specnb.world.stars import simulate

QUANTITIES = ("ew", "depth", "velocity", "continuum")


def spectra(methods, stars, seed=0):
    """Denoised flux (n, 3136) of test stars by method; ``"limit"`` is the mean of the exact posterior."""
    out = {}
    for name in methods:
        if name == "limit":
            out[name] = oracle(stars.observed, stars.ivar, n_samples=128, seed=seed).mean()
        else:
            out[name] = denoise(stars.observed, stars.ivar, name)
    return out


def errors(flux, truth, rv, ivar=None, seed=0):
    """Bias and scatter of what :func:`specnb.spectral_lines.indices.lines` measures.

    Parameters
    ----------
    flux, truth : numpy.ndarray
        Shape (n, 3136).
    rv : numpy.ndarray
        km/s, shape (n,); the lines are measured in the star's own frame.
    ivar : numpy.ndarray, optional
        0 marks pixels of ``flux`` to leave out.

    Returns
    -------
    dict
        Line → quantity → ``bias`` and ``scatter`` (value, low, high), of equivalent widths in per cent of the line's
        median over these stars; ``typical``, that median in Å. ``velocity`` is that of stars whose line is stronger
        than it, since a line that is not there has none.
    """
    found, right = indices.lines(flux, rv, ivar), indices.lines(truth, rv)
    out = {}
    for line in indices.INDICES:
        here = found["line"] == line
        a, b = found[here], right[here]
        typical = float(np.nanmedian(b["ew"]))
        measured = ~np.isnan(a["ew"])
        strong = measured & (b["ew"] >= typical)
        out[line] = {"typical": typical}
        for name in QUANTITIES:
            some, unit = (
                (strong, 1)
                if name == "velocity"
                else (measured, typical / 100 if name == "ew" else 1)
            )
            pair = a[name][some] / unit, b[name][some] / unit
            out[line][name] = {
                "bias": list(metrics.bias(*map(np.asarray, pair), seed)),
                "scatter": list(metrics.scatter(*map(np.asarray, pair), seed)),
            }
    return out


def measure(methods, snr, n, seed=1, n_training=estimators.N_TRAINING):
    """Line errors and radial velocities after every method on ``n`` test stars of one S/N.

    Parameters
    ----------
    methods : sequence of str
        For :func:`specnb.denoise`, or ``"limit"``. The templates are spectra of the labels that a regression finds in
        the noisy spectrum, the same for all.

    Returns
    -------
    dict
        Method → ``lines`` (:func:`errors`) and ``rv`` (``bias`` and ``scatter`` in km/s).
    """
    stars = simulate(n, seed, snr=snr)
    rv = np.asarray(stars.labels["rv"], "f8")
    templates = velocity.template(
        estimators.estimate("mlp", "noisy", stars.observed, stars.ivar, n_training)
    )
    table = {}
    for name, flux in spectra(methods, stars, seed).items():
        mask = stars.ivar if name == "none" else None
        found = velocity.correlate(flux, templates, mask)
        table[name] = {
            "lines": errors(flux, stars.flux, rv, mask, seed),
            "rv": {
                k: list(f(found, rv, seed))
                for k, f in (("bias", metrics.bias), ("scatter", metrics.scatter))
            },
        }
    return table
