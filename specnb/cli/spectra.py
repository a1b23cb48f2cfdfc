"""The commands for one's own spectra: denoise, infer, plot. One bad file never stops the others."""

import io
import json
import warnings
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

app = typer.Typer()

Files = Annotated[
    list[Path],
    typer.Argument(help="FITS spectra: LAMOST low resolution, SDSS, or any that specutils reads"),
]
Medium = Annotated[str | None, typer.Option(help="air or vacuum, where the file does not say")]
Resolution = Annotated[float | None, typer.Option(help="λ/FWHM, where the file does not say")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there")]
Json = Annotated[bool, typer.Option("--json", help="say what was done as JSON, for machines")]
CHUNK = 32
CLEAN = (ValueError, TypeError, RuntimeError)
"""What a spectrum may raise that cannot be processed; the others go on."""


def _observed(files, medium, resolution):
    """(file, Observation) of what can be read, and {file: reason} of the rest."""
    from specnb.observing import native, readers

    good, bad = [], {}
    for path in tqdm(files, desc="reading", unit="file", disable=len(files) < 3):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                good.append((path, native.observe(readers.read(path), medium, resolution)))
        except CLEAN as error:
            bad[str(path)] = _named(path, error)
    return good, bad


def _named(path, error):
    text = str(error)
    return text if repr(str(path)) in text else f"{str(path)!r}: {text}"


def _chunks(files, medium, resolution, seed):
    """Products of files, some at a time: (path, Products) pairs and reasons."""
    from specnb.observing import products

    for first in range(0, len(files), CHUNK):
        good, bad = _observed(files[first : first + CHUNK], medium, resolution)
        try:
            made = products.process([o for _, o in good], seed)
        except CLEAN:  # one of them: which?
            made = []
            for path, observation in list(good):
                try:
                    made += products.process([observation], seed)
                except CLEAN as error:
                    bad[str(path)] = _named(path, error)
            good = [(path, o) for path, o in good if str(path) not in bad]
        yield list(zip([path for path, _ in good], made, strict=True)), bad


def _free(path, overwrite):
    if path.exists() and not overwrite:
        raise ValueError(f"{str(path)!r} is there already; give --overwrite or another name")
    return path


def _end(done, bad, as_json):
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


@app.command()
def denoise(
    files: Files,
    output: Annotated[Path, typer.Option("-o", help="folder for the denoised spectra")] = Path(
        "denoised"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: int = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
):
    """Denoise spectra: writes NAME.denoised.fits with flux, denoised flux, uncertainty, continuum and warnings."""
    from specnb import storage
    from specnb.observing import products

    done, bad = [], {}
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


@app.command()
def infer(
    files: Files,
    output: Annotated[Path, typer.Option("-o", help="table, .ecsv")] = Path("labels.ecsv"),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: int = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
):
    """Labels with 16, 50 and 84 %, χ², anomalies and warnings, a row a spectrum."""
    from specnb import storage
    from specnb.observing import products

    names, made, bad = [], [], {}
    try:
        _free(output, overwrite)
    except ValueError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
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


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(help="one spectrum")],
    output: Annotated[Path, typer.Option("-o", help="picture, .png, .pdf or .svg")] = Path(
        "spectrum.png"
    ),
    medium: Medium = None,
    resolution: Resolution = None,
    seed: int = 0,
    overwrite: Overwrite = False,
):
    """Draw a spectrum, what is left of it without noise with its band, three lines, and what cannot be explained."""
    from specnb import plotting, storage

    plotting.style()
    try:
        _free(output, overwrite)
        ((some, bad),) = _chunks([file], medium, resolution, seed)
        if bad:
            raise ValueError(next(iter(bad.values())))
        buffer = io.BytesIO()
        plotting.products(some[0][1], file.name).savefig(
            buffer, format=output.suffix.lstrip(".") or "png", dpi=120
        )
        storage.write_bytes(output, buffer.getvalue())
    except (ValueError, OSError) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    typer.echo(str(output))
