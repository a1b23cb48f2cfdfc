"""What is known of a spectrum and its fit when its quality flags are set (:mod:`specnb.observing.flags`)."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Facts:
    """What the flags of a spectrum are judged by.

    Attributes
    ----------
    edges : list of str
        Labels whose most likely value lies at the edge of the prior.
    broader : float
        By how much χ² falls if lines are broader than any rotation of the prior makes them.
    inflation, chi2 : float
        Factor of the file's errors, and χ² a pixel before it.
    unexplained : int
        Windows that the prior cannot explain.
    distance : float
        Sum of squares of the components in units of the prior's standard deviations.
    snr : float
        Median of good pixels.
    resolution : float or None
        λ/FWHM.
    at_edge : dict
        Label → share of its draws in the outer 1 % of the prior, below and above.
    cool : float
        Share of draws below ``flags.COOL``.
    empty : float
        Share of draws where no star lives: hotter than a population as metal-poor can be.
    lines_left : float
        Share of the lines that the best star leaves.
    velocity, faster : float
        Radial velocity [km/s] from templates, and by how much χ² is lower there than inside the prior.
    emission : list of str
        Lines of stars and nebulae that stand out in emission.
    gap : int
        Longest run of native pixels without data, inside of what was observed and outside of telluric bands.
    cosmic_rays : int
        Pixels masked as such.
    pixels : int
        Good native pixels.
    resampled : bool
        Whether pixels are not those of the file.
    double, separation : float
        By how much χ² is lower with two stars than with any single one, and their distance in km/s.
    """

    edges: list[str]
    broader: float
    inflation: float
    chi2: float
    unexplained: int
    distance: float
    snr: float
    resolution: float | None
    at_edge: dict[str, tuple[float, float]] = field(default_factory=dict)
    cool: float = 0.0
    empty: float = 0.0
    lines_left: float = 0.0
    velocity: float = 0.0
    faster: float = 0.0
    emission: list[str] = field(default_factory=list)
    gap: int = 0
    cosmic_rays: int = 0
    pixels: int = 3136
    resampled: bool = False
    double: float = 0.0
    separation: float = 0.0
