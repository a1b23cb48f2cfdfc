"""What a row of the verdict is, and how intervals decide it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from specnb.metrics import Interval

Value = TypeVar("Value")

COVERED = 0.60, 0.75
"""Where a coverage of 68 % lies by the plan's criterion."""

FEW = 10
"""Stars below which the interval of a bootstrap decides nothing."""

FEWEST = 5
"""Stars below which it is not even printed."""

BOUNDED = "emulator", "bounded"
SUPERVISED = "emulator", "bounded", "supervised"
LABELS = "bounded", "labels"


class Missing(LookupError):
    """A result does not hold what a row is about; the message says what."""


@dataclass(frozen=True)
class Answer:
    """What a run says.

    Attributes
    ----------
    ours, limit : str
        Our number with its interval, and the best that is possible or known.
    plan : bool or None
        Whether the plan's criterion is met (of a hypothesis: whether it is true); None if the interval leaves it open.
    aim : bool
        Whether what this project aims at is met.
    what : str
        What was measured, where that is not what the row usually says; empty otherwise.
    """

    ours: str
    limit: str
    plan: bool | None
    aim: bool = True
    what: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the verdict.

    Attributes
    ----------
    name, what, plan : str
        Identifier, what it is about, the plan's number.
    source, notebook : str
        Results file and notebook, without ending.
    weights : tuple of str
        Models that the number depends on; the result is stale when they have changed since.
    read : callable
        Takes the numbers of the file (:mod:`specnb.experiments.files`), returns an :class:`Answer`; raises
        :class:`Missing`, or KeyError of a method, label or S/N that is not there.
    """

    name: str
    what: str
    plan: str
    source: str
    notebook: str
    weights: tuple[str, ...]
    read: Callable[[Any], Answer]


def ordered(table: dict[int, Value]) -> list[tuple[int, Value]]:
    """Return (S/N, numbers) of a dict by S/N, in order."""
    return sorted(table.items())


def within(values: Iterable[Interval], low: float, high: float) -> bool | None:
    """Tell whether all intervals lie inside of low…high: False if one lies outside, None if that is open.

    Raises
    ------
    Missing
        There are none.
    """
    values = list(values)
    if not values:
        raise Missing("no values to judge")
    if any(end < low or start > high for _, start, end in values):
        return False
    return True if all(start > low and end < high for _, start, end in values) else None


def shown(value: Interval, stars: int | None, spec: str) -> str:
    """Print a number with its interval; without it where it comes from too few stars, or nobody knows how many."""
    if stars is not None and stars >= FEWEST:
        return f"{value:{spec}}"
    number = Interval(value.value, value.value, value.value)
    return f"{number:{spec}}".partition(" [")[0] + (" %" if spec.endswith("%") else "")


def counted(stars: int | None) -> str:
    """Say how many stars there were."""
    return "number of stars not recorded" if stars is None else f"{stars} stars"


def by_snr(values: Iterable[tuple[int, Interval]], spec: str = ".2f", stars: int = FEW) -> str:
    """Print ``S/N 10: 1.00 [0.90, 1.10]; …`` of (S/N, interval) pairs."""
    return "; ".join(f"S/N {snr}: {shown(value, stars, spec)}" for snr, value in values)


def decided(rows: Iterable[tuple], low: float, high: float) -> str:
    """Print `` (certainly inside at S/N 20, 50)`` of rows (S/N, …, interval); empty where none are inside."""
    snrs = sorted({row[0] for row in rows})
    inside = [str(s) for s in snrs if within([row[-1] for row in rows if row[0] == s], low, high)]
    return f" (certainly inside at S/N {', '.join(inside)})" if inside else ""


def largest(value: Interval) -> float:
    """Return the largest size that an interval allows."""
    return max(abs(v) for v in value)


def least(value: Interval) -> float:
    """Return the least size that an interval allows."""
    return 0.0 if value.low <= 0 <= value.high else min(abs(value.low), abs(value.high))
