"""What a results file holds, as the notebook writes it and the book reads it.

Every experiment has a dataclass for its numbers; keys that are data (methods, labels, S/N) stay dicts. A file is read
strictly: what is missing, renamed or of another type is an error that names the place, never something else in silence.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from specnb.metrics import Interval

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """Base of everything in a results file: fields without a default must be there, and no others may be."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class Error(Record):
    """Median and scatter (1.4826 MAD) of estimate − truth."""

    bias: Interval
    scatter: Interval


@dataclass(frozen=True)
class Inside(Record):
    """Share of truths inside of central intervals of 68 and 95 %."""

    coverage_68: Interval
    coverage_95: Interval


@dataclass(frozen=True)
class Provenance(Record):
    """Where a result comes from; see :func:`specnb.storage.provenance`."""

    specnb: str
    torch: str
    commit: str | None
    date: str
    device: str
    seed: int
    wall_s: float


@cache
def _adapter(kind):
    return TypeAdapter(kind)


def _parse(kind, content, path):
    try:
        return _adapter(kind).validate_json(to_json(content))
    except ValidationError as error:
        places = {"/".join(map(str, e["loc"])): e["msg"] for e in error.errors()[:3]}
        listed = "; ".join(f"{place}: {said}" for place, said in places.items())
        raise ValueError(f"{path} is no {kind.__name__}: {listed}") from None


def read(path: Path | str, kind: type[T]) -> tuple[T, Provenance]:
    """Read what :func:`specnb.storage.write` wrote.

    Parameters
    ----------
    path
        Results file.
    kind
        Its dataclass.

    Returns
    -------
    numbers, made
        The numbers, and where they come from.

    Raises
    ------
    ValueError
        A field is missing, unknown, or of another type; the message names it.
    """
    content = from_json(Path(path).read_bytes())
    made = content.pop("provenance", {})
    return _parse(kind, content, path), _parse(Provenance, made, path)
