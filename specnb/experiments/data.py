"""Stars, emulator and noise: what every experiment is made of, and how far the emulator is from its grid."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from specnb.experiments.results import Record
from specnb.training import grid_files
from specnb.training import lte_emulator as training
from specnb.world import emulator
from specnb.world.simulate import Stars


@dataclass(frozen=True)
class Cell(Record):
    """Error of the emulator in a part of the domain; ``rms`` is None where no star is."""

    stars: int
    rms: float | None


class LeftOut(NamedTuple):
    """Labels of a star that was left out of the training, and the emulator's RMS there."""

    teff: float
    logg: float
    m_h: float
    alpha_m: float
    rms: float


@dataclass(frozen=True)
class EmulatorError(Record):
    """Error of the emulator on stars that were left out, R = 1800, in units of the continuum.

    Attributes
    ----------
    stars : int
    rms, median, worst : float
        Over all pixels and stars; of the median star; of the worst.
    rms_interval : tuple
        95 % interval of ``rms``, a bootstrap over stars.
    share_within_0_0015 : float
        Share of stars with an RMS of 1.5e-3 or less.
    worst_labels : tuple
        Teff in K, log g, [M/H], [α/M] of the worst star.
    cool_giants : Cell
    by_wavelength, by_labels : dict
        RMS by region in Å; :class:`Cell` by region of the labels.
    each : list of LeftOut
    """

    stars: int
    rms: float
    rms_interval: tuple[float, float]
    median: float
    worst: float
    share_within_0_0015: float
    worst_labels: tuple[float, float, float, float]
    cool_giants: Cell
    by_wavelength: dict[str, float]
    by_labels: dict[str, Cell]
    each: list[LeftOut]


@dataclass(frozen=True)
class Data(Record):
    """What data.json holds; ``bad_pixels`` is the share of pixels without data."""

    emulator: EmulatorError
    grid_stars: int
    bad_pixels: float


@dataclass
class Judged:
    """The grid, its left-out stars (mask), and the emulator's residuals there, (stars, 3136)."""

    grid: Any
    left_out: np.ndarray
    residual: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Return labels of the left-out stars, (stars, 4)."""
        return self.grid.labels[self.left_out]

    def score(self) -> EmulatorError:
        """Summarise the residuals."""
        found = training.scores(self.labels, self.residual)
        found["share_within_0_0015"] = found.pop("share_within_1.5e-3")
        return EmulatorError(**{
            **found,
            "rms_interval": tuple(found["rms_interval"]),
            "worst_labels": tuple(found["worst_labels"]),
            "cool_giants": Cell(**found["cool_giants"]),
            "by_labels": {name: Cell(**cell) for name, cell in found["by_labels"].items()},
            "each": [LeftOut(*row) for row in found["each"]],
        })  # fmt: skip


def judge() -> Judged:
    """Compare the emulator that ships with the stars of its grid that were left out of the training."""
    grid = grid_files.read(training.shipped_grid())
    judge = training.left_out(grid.index)
    world = emulator.load_emulator("cpu")
    return Judged(grid, judge, emulator.residuals(world, grid.labels[judge], grid.flux[judge]))


def check(stars: Stars) -> None:
    """Assert that observations are what they say they are."""
    whitened = (stars.observed - stars.flux) / (stars.level[:, None] * stars.sigma)
    good = stars.ivar > 0
    assert abs(whitened[good].mean()) < 0.01
    assert abs(whitened[good].std() - 1) < 0.01
    assert np.allclose(np.median(1 / stars.sigma, axis=1), 5, rtol=0.01)
    assert 0 < stars.flux.min()
    assert stars.flux.max() < 1.3
    assert 0.005 < (~good).mean() < 0.02
