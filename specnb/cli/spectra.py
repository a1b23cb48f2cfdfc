"""The commands for one's own spectra: denoise, infer, plot. One bad file never stops the others."""

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specnb.cli.options import SPECTRA, Medium, Seed, fail, sentences

if TYPE_CHECKING:
    from specnb.observing.native import Prepared
    from specnb.observing.products import Products

app = typer.Typer()

Files = Annotated[
    list[Path],
    typer.Argument(help="FITS spectra: LAMOST low resolution, SDSS, or any that specutils reads"),
]
Resolution = Annotated[float | None, typer.Option(help="λ/FWHM, where the file does not say")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
Json = Annotated[bool, typer.Option("--json", help="say what was done as JSON, for machines")]
CHUNK = 32
CLEAN = (ValueError, TypeError, RuntimeError)
"""What a spectrum may raise that cannot be processed; the others go on."""


Reasons = dict[str, str]
"""File → why it could not be processed."""


def _prepared(
    files: Sequence[Path], medium: str | None, resolution: float | None
) -> tuple[dict[Path, "Prepared"], Reasons]:
    """Read what can be read, and say why of the rest."""
    from tqdm.auto import tqdm

    from specnb.observing import native, readers

    good: dict[Path, Prepared] = {}
    bad: Reasons = {}
    for path in tqdm(files, desc="reading", unit="file", disable=len(files) < 3):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                good[path] = native.prepare(readers.read(path), medium, resolution)
        except CLEAN as error:
            bad[str(path)] = _named(path, error)
    return good, bad


def _named(path: Path, error: Exception) -> str:
    text = str(error)
    return text if repr(str(path)) in text else f"{str(path)!r}: {text}"


def _chunks(
    files: Sequence[Path], medium: str | None, resolution: float | None, seed: int
) -> Iterator[tuple[list[tuple[Path, "Products"]], Reasons]]:
    """Make the products of files, some at a time: pairs of path and products, and reasons."""
    from specnb.observing import native, products

    def process(prepared: "list[Prepared]") -> "list[Products]":
        return products.process(native.normalised(prepared), seed)

    for first in range(0, len(files), CHUNK):
        good, bad = _prepared(files[first : first + CHUNK], medium, resolution)
        try:
            made = dict(zip(good, process(list(good.values())), strict=True))
        except CLEAN:  # one of them: which?
            made = {}
            for path, prepared in good.items():
                try:
                    (made[path],) = process([prepared])
                except CLEAN as error:
                    bad[str(path)] = _named(path, error)
        yield list(made.items()), bad


def _free(path: Path, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise ValueError(f"{str(path)!r} is there already; give --overwrite or another name")
    return path


def _end(done: list[dict[str, Any]], bad: Reasons, as_json: bool) -> None:
    """Say what was done and what was not; exit status 1 if anything was not."""
    if as_json:
        typer.echo(json.dumps({"done": done, "failed": bad}, indent=1))
    else:
        for entry in done:
            note = f"  ({'; '.join(entry['warnings'])})" if entry.get("warnings") else ""
            typer.echo(f"{entry['file']} -> {entry['output']}{note}")
        for reason in bad.values():
            typer.secho(f"failed: {reason}", fg="red", err=True)
    if bad:
        raise typer.Exit(1)


@app.command(rich_help_panel=SPECTRA)
def denoise(
    files: Files,
    output: Annotated[Path, typer.Option("-o", help="folder for the denoised spectra")] = Path(
        "denoised"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Denoise spectra into NAME.denoised.fits: flux, denoised flux, uncertainty, continuum, warnings."""
    from specnb import storage
    from specnb.observing import products

    done: list[dict[str, Any]] = []
    bad: Reasons = {}
    for some, failed in _chunks(files, medium, resolution, seed):
        bad |= failed
        for path, one in some:
            target = output / (path.name.removesuffix(".gz").rsplit(".", 1)[0] + ".denoised.fits")
            try:
                buffer = io.BytesIO()
                products.to_fits(one, path).writeto(buffer)
                storage.write_bytes(_free(target, overwrite), buffer.getvalue())
            except (ValueError, OSError) as error:
                bad[str(path)] = f"{str(path)!r}: {error}"
                continue
            done.append({"file": str(path), "output": str(target), "warnings": one.warnings})
    _end(done, bad, as_json)


@app.command(rich_help_panel=SPECTRA)
def infer(
    files: Files,
    output: Annotated[Path, typer.Option("-o", help="table, .ecsv")] = Path("labels.ecsv"),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Infer labels: a row a spectrum with 16, 50 and 84 %, χ², anomalies and warnings."""
    from specnb import storage
    from specnb.observing import products

    names: list[Path] = []
    made: list[Products] = []
    bad: Reasons = {}
    with sentences():
        _free(output, overwrite)
    for some, failed in _chunks(files, medium, resolution, seed):
        bad |= failed
        names += [path for path, _ in some]
        made += [one for _, one in some]
    if made:
        buffer = io.StringIO()
        products.table(names, made).write(buffer, format="ascii.ecsv")
        storage.write_bytes(output, buffer.getvalue().encode())
    done = [
        {"file": str(n), "output": str(output), "warnings": p.warnings}
        | ({"labels": products.quantiles(p)} if as_json else {})
        for n, p in zip(names, made, strict=True)
    ]
    _end(done, bad, as_json)


@app.command(rich_help_panel=SPECTRA)
def plot(
    file: Annotated[Path, typer.Argument(help="one spectrum")],
    output: Annotated[Path, typer.Option("-o", help="picture, .png, .pdf or .svg")] = Path(
        "spectrum.png"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: Seed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Plot a spectrum, the denoised one with its error band, three lines, and anomalies."""
    with sentences():
        from specnb import plotting, storage

        plotting.style()
        _free(output, overwrite)
        ((some, bad),) = _chunks([file], medium, resolution, seed)
        if bad:
            fail(next(iter(bad.values())))
        buffer = io.BytesIO()
        plotting.products(some[0][1], file.name).savefig(
            buffer, format=output.suffix.lstrip(".") or "png", dpi=120
        )
        storage.write_bytes(output, buffer.getvalue())
    typer.echo(str(output))
