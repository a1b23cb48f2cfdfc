"""The commands for one's own spectra: denoise, infer, plot, validate. One bad file never stops the others."""

import io
from pathlib import Path
from typing import Annotated

import typer

from specnb.cli.options import SPECTRA, Device, Medium, Seed, UsageError, sentences

app = typer.Typer()

Files = Annotated[
    list[str],
    typer.Argument(
        help="FITS spectra, folders, patterns, @FILE with one of these a line, - for such a list on stdin"
    ),
]
Resolution = Annotated[float | None, typer.Option(help="λ/FWHM, where the file does not say")]
Snr = Annotated[float | None, typer.Option(help="signal-to-noise, where a file has no errors")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
Json = Annotated[bool, typer.Option("--json", help="say what was done as JSON, for machines")]
Processes = Annotated[
    int, typer.Option("--workers", min=1, help="processes, of one thread each; 1: this one")
]
Progress = Annotated[
    bool, typer.Option("--progress", help="show progress where stderr is no terminal, too")
]


@app.command(rich_help_panel=SPECTRA)
def denoise(
    files: Files,
    output: Annotated[Path, typer.Option("-o", help="folder for the denoised spectra")] = Path(
        "denoised"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    snr: Snr = None,
    seed: Seed = 0,
    workers: Processes = 1,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    progress: Progress = False,
    as_json: Json = False,
) -> None:
    """Denoise spectra into NAME.denoised.fits: flux, denoised flux, uncertainty, continuum, warnings.

    OUTPUT/index.ecsv lists them with their labels. Folders are mirrored. Interrupted, the same command goes on.
    """
    with sentences():
        from specnb.cli import batch

        if output.exists() and not output.is_dir():
            raise UsageError(f"{str(output)!r} is a file; give a folder for the denoised spectra")
        settings = batch.settings(medium, resolution, snr, seed, device)
        job = batch.Job(output / "index.ecsv", output, settings, workers, overwrite)
        job.run(files, progress, as_json)


@app.command(rich_help_panel=SPECTRA)
def infer(
    files: Files,
    output: Annotated[
        Path, typer.Option("-o", help="table: .ecsv, .fits, .parquet or .csv")
    ] = Path("labels.ecsv"),
    medium: Medium = None,
    resolution: Resolution = None,
    snr: Snr = None,
    seed: Seed = 0,
    workers: Processes = 1,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    progress: Progress = False,
    as_json: Json = False,
) -> None:
    """Infer labels: a row a spectrum with 16, 50 and 84 %, χ², anomalies and warnings.

    What failed is listed in OUTPUT's name with .failed.ecsv. Interrupted, the same command goes on.
    """
    with sentences():
        from specnb.cli import batch

        settings = batch.settings(medium, resolution, snr, seed, device)
        batch.Job(output, None, settings, workers, overwrite).run(files, progress, as_json)


@app.command(rich_help_panel=SPECTRA)
def plot(
    file: Annotated[Path, typer.Argument(help="one spectrum")],
    output: Annotated[Path, typer.Option("-o", help="picture, .png, .pdf or .svg")] = Path(
        "spectrum.png"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    snr: Snr = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Plot a spectrum, the denoised one with its error band, three lines, and anomalies."""
    with sentences():
        from specnb import plotting, storage
        from specnb.cli import batch, work

        plotting.style()
        settings = batch.settings(medium, resolution, snr, seed)
        if output.is_dir():
            raise UsageError(f"{str(output)!r} is a folder; give a file, such as spectrum.png")
        if output.exists() and not overwrite:
            raise ValueError(f"{str(output)!r} is there already; give --overwrite or another name")
        buffer = io.BytesIO()
        plotting.products(work.one(file, settings), file.name).savefig(
            buffer, format=output.suffix.lstrip(".") or "png", dpi=120
        )
        storage.write_bytes(output, buffer.getvalue())
    typer.echo(str(output))


@app.command(rich_help_panel=SPECTRA)
def validate(
    table: Annotated[
        Path,
        typer.Argument(help="folder with labels.csv or index.csv: file, teff, logg, feh, name"),
    ],
    instrument: Annotated[str, typer.Option(help="lamost, library or generic")] = "generic",
    output: Annotated[Path | None, typer.Option("-o", help="table of the report: .ecsv")] = None,
) -> None:
    """Compare labels of stars with known ones, and visits with each other: bias, scatter, pulls by kind and S/N."""
    with sentences():
        from specnb.training import validation
        from specnb.world.instrument import INSTRUMENTS

        if instrument not in INSTRUMENTS:
            raise UsageError(
                f"--instrument is {instrument!r}; choose one of {', '.join(INSTRUMENTS)}"
            )
        report = validation.table(validation.validate(table, INSTRUMENTS[instrument]))
        if not len(report):
            raise ValueError(
                f"{str(table)!r} has fewer than {validation.LEAST} stars of known labels, and fewer such pairs"
            )
        typer.echo("\n".join(report.pformat(max_lines=-1, max_width=-1)))
        if output:
            report.write(output, overwrite=True)
