"""The command ``specnb``: denoise, infer and plot spectra; run notebooks, train models, make grids."""

import typer

from specnb.cli import builders, spectra

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.registered_commands += spectra.app.registered_commands + builders.app.registered_commands
app.registered_groups += builders.app.registered_groups
