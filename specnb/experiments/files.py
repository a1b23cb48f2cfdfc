"""Every results file and the dataclass of what it holds."""

from pathlib import Path
from typing import Any

from specnb.experiments import (
    ablation,
    baseline,
    bounded,
    coverage,
    data,
    dps,
    explore,
    limit,
    lines,
    parameters,
    results,
    stars,
    supervised,
    wmae,
    your_spectra,
)

KINDS = {
    "ablation": ablation.Ablation,
    "baseline": baseline.Baseline,
    "bounded": bounded.Bounded,
    "coverage": coverage.Coverage,
    "data": data.Data,
    "dps": dps.Dps,
    "explore": explore.Explore,
    "limit": limit.Limit,
    "lines": lines.Lines,
    "own": your_spectra.YourSpectra,
    "parameters": parameters.Parameters,
    "stars": stars.Stars,
    "supervised": supervised.Supervised,
    "wmae": wmae.Wmae,
}
"""Name of the file without its ending → dataclass."""


def read(path: Path | str) -> tuple[Any, results.Provenance]:
    """Read a results file by its name; see :func:`specnb.experiments.results.read`."""
    return results.read(path, KINDS[Path(path).stem])
