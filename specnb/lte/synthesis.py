r"""One LTE spectrum with PySME (optional extra ``specnb[grid]``; Wehrhahn et al. 2023, A&A 671, A171).

Plane-parallel ATLAS/C3K atmospheres of the star's own [α/M] from the network ``atmosnet``, three angles of
Gauss-Legendre quadrature,

.. math:: F = \sum_j w_j\, \mu_j I(\mu_j), \qquad \mu = 0.887, 0.5, 0.113,

abundances of Asplund et al. 2009 scaled by [M/H], six α elements by [α/M] more, in segments of 400 Å with their own
lines. The radiative transfer is solved at points 1.5 km/s apart, finer than the narrowest line is wide, and nothing is
interpolated: SME's own adaptive grid has four times as many points where lines crowd, and reading it off every 3 km/s,
as the first spectra did, misses line cores (1.5e-3 RMS in the blue at R = 1800).
"""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from specnb.lte.linelists import HIGH, LOW, Lines

Value = TypeVar("Value", float, np.ndarray)

LOG_STEP = 5e-6
"""Step of ln λ (air) of the synthesis."""

ANGLES = 3
SEGMENT = 400.0
ALPHA = ("O", "Mg", "Si", "S", "Ca", "Ti")
BOLTZMANN, ATOMIC_MASS = 1.380649e-16, 1.6605e-24


def wavelengths(finer: float = 1) -> np.ndarray:
    """Make the synthesis grid, Å in air; ``finer`` points for one."""
    return np.exp(np.arange(np.log(LOW), np.log(HIGH), LOG_STEP / finer))


def gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points μ from the centre of the disk outwards and their weights, Gauss-Legendre on 0…1."""
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * (x[::-1] + 1), 0.5 * w[::-1]


class Synthesizer:
    """Labels → flux and continuum on the synthesis grid; expensive to make, then reused.

    Parameters
    ----------
    folder : path
        Line lists (:func:`specnb.lte.linelists.fetch`).
    **choice
        Other lines than the recipe's, as in :class:`specnb.lte.linelists.Lines`.
    """

    def __init__(self, folder: Path | str, **choice: Any) -> None:
        try:
            import scipy.integrate

            # atmosnet 1.0.1 imports a name that scipy has dropped
            scipy.integrate.trapz = np.trapezoid
            from atmosnet import models
            from pysme.abund import Abund, elements
        except ImportError as error:
            raise ValueError(
                f"{error}; install the optional extra: pip install 'specnb[grid]'"
            ) from error
        self._abund, self._networks = Abund, models.load_models()
        sun = Abund(0, "asplund2009")
        self._solar = sun.get_pattern(raw=False)
        self.lines = Lines(folder, sun.get_pattern(type="H=12", raw=True), elements, **choice)

    def atmosphere(self, teff: float, logg: float, m_h: float, alpha_m: float) -> np.ndarray:
        """Compute column mass, temperature, total particle pressure, electron density by depth, shape (n_depth, 4).

        The network's ``exp`` undoes a log10, so its values are 10**log(output). In one star of sixty its column mass
        falls with depth in a few deep layers, and SME then turns hydrogen lines into boxes: those layers are left out.
        """
        for network in self._networks[:2]:
            labels = network.mklabels(
                {"TEFF": teff, "LOGG": logg, "FE_H": m_h, "ALPHA_FE": alpha_m}
            )
            if network._check_labels(labels):
                layers = 10 ** np.log(np.asarray(network(labels).data)[:, :4] + 1e-16)
                above = np.maximum.accumulate(np.r_[0.0, layers[:-1, 0]])
                return layers[layers[:, 0] > above]
        raise ValueError(
            f"teff, logg, m_h, alpha_m = {teff:.0f}, {logg:.2f}, {m_h:.2f}, {alpha_m:.2f} "
            "is outside the range of the model atmospheres"
        )

    def _structure(self, teff, logg, m_h, alpha_m):
        from pysme.atmosphere.atmosphere import Atmosphere

        mass, temperature, pressure, electrons = self.atmosphere(teff, logg, m_h, alpha_m).T
        atoms = pressure / BOLTZMANN / temperature - electrons
        return Atmosphere(
            teff=teff, logg=logg, monh=m_h, vturb=2.0, abund="asplund2009", rhox=mass, temp=temperature, xne=electrons,
            xna=atoms, rho=1.26 * ATOMIC_MASS * atoms, depth="RHOX", interp="RHOX", method="embedded", geom="PP",
            lonh=1, wlstd=5000.0, source="atmosnet", opflag=np.array([1] * 9 + [0, 1] + [0] * 9),
        )  # fmt: skip

    def _near(self, low, high, keep):
        """Lines of a segment: its own, strong resonance lines from further away, hydrogen from furthest."""
        n = self.lines.table
        strong = n.species.isin(["Mg 1", "Na 1", "Ca 2", "Ca 1"]) & (n.gflog > -1.5)
        reach = np.select([n.kind == "H", strong], [250.0, 60.0], 8.0)
        chosen = keep & (n.wlcent > low - reach).to_numpy() & (n.wlcent < high + reach).to_numpy()
        if not chosen.any():  # SME refuses an empty list: metal-poor stars have bare segments
            chosen[(n.wlcent - 0.5 * (low + high)).abs().argmin()] = True
        return n.loc[chosen, [c for c in n.columns if c not in ("base", "kind")]].reset_index(
            drop=True
        )

    def __call__(
        self,
        teff: float,
        logg: float,
        m_h: float,
        alpha_m: float,
        vmic: float,
        window: tuple[float, float] = (LOW, HIGH),
        angles: int = ANGLES,
        finer: float = 1,
    ) -> tuple[np.ndarray, ...]:
        """Synthesize one star.

        Parameters
        ----------
        teff, logg, m_h, alpha_m, vmic : float
            K, log cm/s², dex, dex, km/s.
        window : (float, float)
            Å in air; the grid points are always those of the full range.
        angles, finer : int or float
            Angles of the quadrature over the stellar disk; points of the synthesis for one of the recipe's.

        Returns
        -------
        wave, flux, continuum : numpy.ndarray
            Å in air; normalised flux; continuum flux at the surface (relative use only).
        """
        from pysme.linelist.linelist import LineList
        from pysme.sme import SME_Structure
        from pysme.synthesize import synthesize_spectrum

        wave = wavelengths(finer)
        mu, weights = gauss(angles)
        structure = self._structure(teff, logg, m_h, alpha_m)
        pressure = np.log10(BOLTZMANN * structure.temp * structure.xne)  # of the electrons
        keep = self.lines.keep(teff, m_h, alpha_m, np.interp(0.87 * teff, structure.temp, pressure))
        pieces = []
        for low in np.arange(LOW, HIGH, SEGMENT):
            high = min(low + SEGMENT, HIGH)
            inside = wave[(wave >= max(low, window[0])) & (wave < min(high, window[1]))]
            if not inside.size:
                continue
            sme = SME_Structure()
            sme.teff, sme.logg, sme.monh, sme.vmic, sme.vmac, sme.vsini = (
                teff,
                logg,
                m_h,
                vmic,
                0,
                0,
            )
            sme.abund = self._abund(m_h, "asplund2009")
            for element in ALPHA:
                sme.abund.A[element] = self._solar[element] + m_h + alpha_m
            sme.atmo = structure
            sme.linelist = LineList(self._near(low, high, keep), lineformat="short", medium="air")
            sme.line_select_method, sme.accrt, sme.mu = "internal", 1e-3, mu
            sme.wave, sme.wint, sme.cscale_flag, sme.vrad_flag = [inside], [inside], "none", "none"
            sme.specific_intensities_only, sme.normalize_by_continuum = True, False
            sme = synthesize_spectrum(sme)
            flux, continuum = (2 * (weights * mu) @ np.asarray(i[0]) for i in (sme.sint, sme.cint))
            pieces.append((inside, flux / continuum, continuum))
        return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))
