"""The commands that train the models that ship, and measure what training is judged by."""

from pathlib import Path
from typing import Annotated

import typer

from specnb import extras
from specnb.cli.options import BUILDERS, File, Folder, Medium, Profile, Seed, sentences

app = typer.Typer()
emulator = typer.Typer(no_args_is_help=True, help="Train and test the emulator of LTE spectra.")
app.add_typer(emulator, name="emulator", rich_help_panel=BUILDERS)


@app.command(rich_help_panel=BUILDERS)
def train(
    name: Annotated[str, typer.Option(help="model, as in specnb/training/profiles.py")] = "bounded",
    profile: Profile = "cpu",
    output: Folder = Path("."),
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
) -> None:
    """Train a model that ships with the package; interrupted, it goes on where it was.

    On several GPUs: torchrun --nproc-per-node 4 -m specnb.cli train --device cuda
    """
    with sentences():
        extras.need("lightning_fabric", extra="train", purpose="Training")  # before torch is loaded
        from specnb.training import models

        card = models.train(name, profile, output, seed, device)
        if card:
            typer.echo(card.read_text())


@emulator.command("train")
def emulator_train(
    grid: Annotated[
        Path | None,
        typer.Option(help="your grid: packed, table, BOSZ; default: lte_grid/ of the clone"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="table of labels, one row a spectrum")] = None,
    medium: Medium = None,
    resolution: Annotated[
        float | None, typer.Option(help="resolving power, where the file does not say")
    ] = None,
    output: Folder = Path("."),
    curve: Annotated[
        bool, typer.Option("--curve", help="add a learning curve and a cross-validation")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Train the emulator on a grid of spectra and write weights, numbers and model card."""
    with sentences():
        from specnb.training import lte_emulator

        card = lte_emulator.train(
            grid or lte_emulator.shipped_grid(),
            output,
            seed,
            curve,
            labels=labels,
            medium=medium,
            resolution=resolution,
        )
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
) -> None:
    """Compare the emulator with real stars: residuals by type, and the model error that they need."""
    with sentences():
        from specnb.training import real_stars

        numbers = real_stars.compare(folder, output, bosz)
    for region, score in numbers["judging_half"].items():
        without, with_error = (
            score[f"{kind}_model_error"]["within_1"][0] for kind in ("without", "with")
        )
        typer.echo(
            f"{region} Å: {without:.0%} within 1 sigma without, {with_error:.0%} with model error"
        )


@emulator.command("correct")
def emulator_correct(
    surveys: Annotated[
        list[Path], typer.Argument(help="LAMOST spectra and labels.csv (file, teff, logg, feh)")
    ],
    sun: Annotated[Path, typer.Option(help="table of one row: a spectrum of the Sun")],
    library: Annotated[
        list[Path] | None, typer.Option(help="table of a library's stars; may be repeated")
    ] = None,
    output: Folder = Path("."),
) -> None:
    """Learn from real stars what the emulator lacks, on one half of them, and judge it on the other."""
    with sentences():
        from specnb.training import correction_card

        card = correction_card.write(surveys, library or [], sun, output)
        typer.echo(card.read_text())


@app.command(rich_help_panel=BUILDERS)
def yardstick(output: File = None) -> None:
    """Sample the exact posteriors of the validation stars by which training measures ρ."""
    with sentences():
        from specnb.training import yardstick as stars

        typer.echo(stars.measure(output))


@app.command(rich_help_panel=BUILDERS)
def ablate(output: File = None) -> None:
    """Train the denoiser with one thing changed at a time, and judge what matters."""
    with sentences():
        from specnb.experiments import ablation

        typer.echo(ablation.write(output))
