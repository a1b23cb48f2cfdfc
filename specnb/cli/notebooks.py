"""The commands around the notebooks: run them, build the book, write what follows from their results."""

from pathlib import Path
from typing import Annotated, Any

import typer

from specnb.cli.options import BUILDERS, Profile, Workers, fail, sentences

app = typer.Typer()

STAGE = Path("build/book")
Stage = Annotated[Path, typer.Option(help="folder of the executed copies")]


def _parameters(profile: str, settings: list[str]) -> dict[str, Any]:
    """Read ``key=value``, values in YAML: papermill's own -p would turn false into a string."""
    import yaml

    chosen: dict[str, Any] = {"profile": profile}
    for setting in settings:
        key, found, value = setting.partition("=")
        if not found:
            fail(f"-p {setting!r}: write key=value")
        chosen[key] = yaml.safe_load(value)
    return chosen


def _all() -> list[Path]:
    return sorted(Path("notebooks").glob("*.ipynb"))


@app.command(rich_help_panel=BUILDERS)
def run(
    notebooks: Annotated[
        list[Path] | None, typer.Argument(help="default: all in notebooks/")
    ] = None,
    profile: Profile = "quick",
    p: Annotated[
        list[str] | None, typer.Option("-p", help="key=value, a parameter; YAML values")
    ] = None,
    stage: Stage = STAGE,
    workers: Workers = None,
    force: Annotated[
        bool, typer.Option("--force", help="run what has run with the same inputs, too")
    ] = False,
) -> None:
    """Execute notebooks side by side; what has run with the same inputs and data is not run again."""
    with sentences():
        from specnb.book import execute

        parameters = _parameters(profile, p or [])
        execute.run(notebooks or _all(), stage, parameters, workers, force=force)


@app.command(rich_help_panel=BUILDERS)
def book(profile: Profile = "quick", stage: Stage = STAGE, workers: Workers = None) -> None:
    """Execute the notebooks and build the HTML book."""
    with sentences():
        from specnb.book import execute

        execute.run(_all(), stage, {"profile": profile}, workers)
        typer.echo(f"The book: {execute.build_book(Path(), stage)}")


@app.command(rich_help_panel=BUILDERS)
def verdict(
    output: Annotated[Path | None, typer.Option("-o", help="file; default: print it")] = None,
) -> None:
    """Write the verdict on the plan, as Markdown, from the results in the clone."""
    with sentences():
        from specnb.book import verdict as page

        typer.echo(page.render() if output is None else page.write(output=output))


@app.command(rich_help_panel=BUILDERS)
def answer() -> None:
    """Write the answer so far, from the results in the clone, into its README."""
    with sentences():
        from specnb.book import answer as page

        typer.echo(page.update())
