"""How real the stars are: the emulator's own error, and what was measured of the spectra that it stands for.

Nothing is trained here; what a comparison with real stars, with BOSZ and with better spectra gave ships with the
package (``specnb emulator compare``, ``specnb grid check``).
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from specnb import storage
from specnb.experiments.data import EmulatorError
from specnb.experiments.results import Record
from specnb.metrics import Interval

FEWEST = 5
"""Stars of which an interval is shown."""


@dataclass(frozen=True)
class Emulator(Record):
    """Error of the emulator on left-out stars, as of :class:`specnb.experiments.data.EmulatorError`."""

    stars: int
    rms: float
    median: float
    worst: float
    share_within_0_0015: float
    by_wavelength: dict[str, float]


@dataclass(frozen=True)
class Curve(Record):
    """RMS over all left-out stars, and that of the median star."""

    rms: float
    median: float


@dataclass(frozen=True)
class Difference(Record):
    """Mean and root mean square of a difference of two spectra, in units of the continuum."""

    bias: float
    rms: float


@dataclass(frozen=True)
class Within(Record):
    """Share of pixels within 1 and 2 of their errors."""

    within_1: Interval
    within_2: Interval


@dataclass(frozen=True)
class Region(Record):
    """Residuals of real stars in a region of wavelengths, in units of the continuum.

    Attributes
    ----------
    scatter, noise, bias : float
        Robust scatter of the residuals, error of the files, median residual.
    without_model_error, with_model_error : Within
        Of stars that the model's error was not measured on.
    """

    scatter: float
    noise: float
    bias: float
    without_model_error: Within
    with_model_error: Within


@dataclass(frozen=True)
class Misfit(Record):
    """What a model leaves of bright stars that nothing was learnt from, in units of the continuum.

    Attributes
    ----------
    stars : int
    misfit : Interval
        Root mean square of a spectrum, noise taken away: the median star.
    stacks : dict
        Kind of star → root mean square of the median residual.
    """

    stars: int
    misfit: Interval
    stacks: dict[str, float]


@dataclass(frozen=True)
class Stars(Record):
    """What stars.json holds.

    Attributes
    ----------
    grid_stars : int
    emulator : Emulator
    learning_curve : dict
        Number of training stars → :class:`Curve`.
    bosz : dict
        Region in Å → emulator minus the BOSZ model.
    real_stars : dict
        Region in Å → :class:`Region`, LAMOST spectra.
    worst_cost_of_the_recipe : dict
        Better spectrum → largest RMS difference over stars and windows.
    corrected : dict
        Correction → source of real stars → :class:`Misfit`.
    """

    grid_stars: int
    emulator: Emulator
    learning_curve: dict[int, Curve]
    bosz: dict[str, Difference]
    real_stars: dict[str, Region]
    worst_cost_of_the_recipe: dict[str, float]
    corrected: dict[str, dict[str, Misfit]]


@dataclass
class Shipped:
    """Measurements that ship with the package: the emulator's card, real stars, costs of the recipe, the correction."""

    card: dict[str, Any]
    real: dict[str, Any]
    cost: dict[str, Any]
    correction: dict[str, Any]

    def regions(self) -> dict[str, Region]:
        """Return residuals of real stars, judging half, by region in Å."""
        return {name: _region(v) for name, v in self.real["judging_half"].items()}

    def misfits(self) -> dict[str, dict[str, Misfit]]:
        """Return what each correction leaves of each source's bright stars, judging halves."""
        return {
            name: {
                source: Misfit(v["bright_stars"], Interval(*v["misfit"]), v["stack_rms"])
                for source, v in found.items()
                if "misfit" in v
            }
            for name, found in self.correction["judging"].items()
        }

    def biases(self, source: str) -> dict[str, dict[str, dict[str, Interval]]]:
        """Return biases of a source's labels, judging half: "before" and "after" → kind and S/N → label → interval."""
        found: dict[str, dict[str, dict[str, Interval]]] = {}
        for when, name in (("before", "none"), ("after", "mean and components")):
            of = self.correction["judging"][name][source]
            found[when] = {
                f"{kind} ({v['stars']})": {
                    k: Interval(*v[k]["bias"]) for k in ("teff", "logg", "feh")
                }
                for kind, v in (of["by_kind"] | of["by_snr"]).items()
                if v["stars"] >= FEWEST
            }
        return found

    def worst_costs(self) -> dict[str, float]:
        """Return the largest RMS difference of the recipe to each better spectrum."""
        return {
            name: max(window["rms"] for windows in stars.values() for window in windows.values())
            for name, stars in self.cost["variants"].items()
        }

    def curve(self) -> dict[int, Curve]:
        """Return the learning curve by number of training stars, the emulator that ships last."""
        few = {int(n): Curve(**v) for n, v in self.card["learning_curve"].items()}
        whole = self.card["validation"]
        return few | {self.card["training_stars"]: Curve(whole["rms"], whole["median"])}


def _region(v: dict[str, Any]) -> Region:
    within = {
        name: Within(*(Interval(*v[name][f"within_{k}"]) for k in (1, 2)))
        for name in ("without_model_error", "with_model_error")
    }
    return Region(v["scatter"], v["noise"], v["bias"], **within)


def shipped() -> Shipped:
    """Read what was measured."""
    assets = Path(str(files("specnb") / "assets"))
    names = ("emulator", "realstars", "lte_check", "correction")
    return Shipped(*(storage.read(assets / f"{name}.json") for name in names))


def collect(grid_stars: int, again: EmulatorError, kept: Shipped) -> Stars:
    """Collect what stars.json holds; ``again`` is the emulator's error, measured here."""
    own = (again.stars, again.rms, again.median, again.worst, again.share_within_0_0015)
    return Stars(
        grid_stars,
        Emulator(*own, again.by_wavelength),
        {int(n): Curve(**v) for n, v in kept.card["learning_curve"].items()},
        {name: Difference(**v) for name, v in kept.real["bosz"].items()},
        kept.regions(),
        kept.worst_costs(),
        kept.misfits(),
    )


def stacks() -> dict[str, dict[str, np.ndarray]]:
    """Load the median residuals of real stars: "before" and "after" → kind of star → (3136,), in the rest frame."""
    path = files("specnb") / "assets" / "correction_stacks.npz"
    found: dict[str, dict[str, np.ndarray]] = {"before": {}, "after": {}}
    with np.load(str(path), allow_pickle=False) as file:
        for name in file.files:
            when, kind = name.split(", ", 1)
            found[when][kind] = file[name].astype("f4")
    return found
