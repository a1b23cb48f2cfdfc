"""What the commands share: options, and one sentence instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from specnb.extras import MissingExtra

SPECTRA = "Your spectra"
BUILDERS = "For those who build: notebooks, models, grids"
"""Headings of ``specnb --help``."""

Profile = Annotated[str, typer.Option(help="smoke, quick, cpu or full")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="notebooks at once; default: by cores, one with a GPU")
]
Folder = Annotated[Path, typer.Option("-o", help="folder for weights and model card")]
File = Annotated[Path | None, typer.Option("-o", help="file; default: the one that ships")]
Seed = Annotated[int, typer.Option(help="the same seed, the same result")]
Medium = Annotated[str | None, typer.Option(help="air or vacuum, where the file does not say")]
Device = Annotated[str, typer.Option(help="cpu or cuda, where fits and networks run")]
Sources = Annotated[Path, typer.Argument(help="line lists, from `specnb grid sources`")]


class UsageError(ValueError):
    """A command that cannot be meant: it ends with exit status 2 before anything is computed."""


def fail(error: Exception | str) -> NoReturn:
    """End with a sentence in red: exit status 2 for a command that cannot be meant, else 1."""
    typer.secho(str(error), fg="red", err=True)
    raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None


@contextmanager
def sentences(*more: type[Exception]) -> Iterator[None]:
    """Turn errors that a user can mend, and ``more`` kinds, into sentences."""
    kinds: tuple[type[Exception], ...] = (ValueError, RuntimeError, OSError, MissingExtra, *more)
    try:
        yield
    except typer.Exit:
        raise
    except kinds as error:
        fail(error)
