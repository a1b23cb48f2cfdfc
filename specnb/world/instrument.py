r"""What a spectrograph does to a spectrum beyond its line-spread function: arms, masks and noise, in one small value.

Zero-points of velocity and resolving powers differ between the arms of a spectrograph and between visits; pixels are
correlated; fluxes have wiggles that no smooth continuum follows. Each of these is a number here, so that a survey is
described by values and not by code. Those of LAMOST were measured on pairs of visits.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from specnb.grid import WAVE


@dataclass(frozen=True)
class Arm:
    """An arm of a spectrograph.

    Attributes
    ----------
    first, last : float
        Wavelengths that are its own, Å in vacuum.
    velocity : float
        Standard deviation of its zero-point, km/s.
    ln_resolution : float
        Standard deviation of the logarithm of its resolving power.
    floor : float
        Error that files do not tell, as a share of the flux: for wiggles between a line and a continuum in width, which
        are smaller and longer than noise of this size and do the same harm.
    correlation : float
        Of the noise of neighbouring pixels, 0 to below 1.
    smoothness : float
        The same of what ``floor`` stands for, which is smoother than noise.
    errors : float
        Factor of the files' errors.
    """

    first: float
    last: float
    velocity: float = 5.0
    ln_resolution: float = 0.15
    floor: float = 0.005
    correlation: float = 0.0
    smoothness: float = 0.5
    errors: float = 1.0


@dataclass(frozen=True)
class Instrument:
    """A spectrograph.

    Attributes
    ----------
    name : str
    arms : tuple of Arm
        From blue to red.
    masked : tuple of (float, float)
        Ranges that say nothing of a star, Å in vacuum: where arms meet, and bands of the Earth's atmosphere.
    knot_every : int
        Pixels between two knots of the continuum.

    Examples
    --------
    >>> LAMOST.good.shape, len(LAMOST.arms)
    ((3136,), 2)
    >>> float(GENERIC.floor[0])
    0.005
    """

    name: str
    arms: tuple[Arm, ...]
    masked: tuple[tuple[float, float], ...] = ()
    knot_every: int = 150

    @cached_property
    def good(self) -> np.ndarray:
        """True where a pixel is of use, (3136,)."""
        masked = [(low <= WAVE) & (high > WAVE) for low, high in self.masked]
        return ~np.any(masked, axis=0) if masked else np.ones(len(WAVE), bool)

    @cached_property
    def of_arm(self) -> np.ndarray:
        """True in the pixels of each arm, (arms, 3136)."""
        return np.array([(arm.first <= WAVE) & (arm.last > WAVE) for arm in self.arms])

    def _by_pixel(self, name: str, elsewhere: float) -> np.ndarray:
        values = np.full(len(WAVE), elsewhere)
        for arm, pixels in zip(self.arms, self.of_arm, strict=True):
            values[pixels] = getattr(arm, name)
        return values

    @cached_property
    def floor(self) -> np.ndarray:
        """Error of every pixel that files do not tell, as a share of the flux, (3136,)."""
        return self._by_pixel("floor", 0.0)

    @cached_property
    def errors(self) -> np.ndarray:
        """Factor of the files' errors, (3136,)."""
        return self._by_pixel("errors", 1.0)

    @cached_property
    def starts(self) -> np.ndarray:
        """True in the first pixel of every arm, which no other is correlated with, (3136,)."""
        first = np.zeros(len(WAVE), bool)
        first[[int(pixels.argmax()) for pixels in self.of_arm]] = True
        return first

    @cached_property
    def correlation(self) -> np.ndarray:
        """Correlation of every pixel's noise with that of the one before, 0 at the start of an arm, (3136,)."""
        return np.where(self.starts, 0.0, self._by_pixel("correlation", 0.0))

    @cached_property
    def smoothness(self) -> np.ndarray:
        """The same of what the floor stands for, (3136,)."""
        return np.where(self.starts, 0.0, self._by_pixel("smoothness", 0.0))


EVERYWHERE = (0.0, 1e5)

OXYGEN = (6275.0, 6330.0)
"""The γ band of O₂ in the Earth's atmosphere, Å in vacuum: 5 % deep, and not masked with the stronger bands."""

# measured on one half of pairs of visits: with these the visits' labels differ by their errors
LAMOST = Instrument(
    "LAMOST LRS",
    (
        Arm(0.0, 5900.0, velocity=4.5, floor=0.01, correlation=0.08, errors=0.8),
        Arm(5900.0, 1e5, velocity=9.0, floor=0.02, correlation=0.08, errors=0.9),
    ),
    masked=((5650.0, 6050.0), OXYGEN),
)
"""The low-resolution survey: two arms that meet at 5900 Å."""

GENERIC = Instrument("generic", (Arm(*EVERYWHERE),), masked=(OXYGEN,))
"""A spectrograph of one arm of which nothing else is known."""

LIBRARY = Instrument(
    "one arm, library", (Arm(*EVERYWHERE, ln_resolution=0.1, floor=0.007),), masked=()
)
"""A library of bright stars (MILES, STELIB): one arm, telluric bands corrected, no errors in the files."""

INSTRUMENTS = {"lamost": LAMOST, "library": LIBRARY, "generic": GENERIC}
"""Name, as commands take it → instrument."""
