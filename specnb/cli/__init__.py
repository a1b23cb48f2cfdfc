"""Denoise stellar spectra, infer their labels, plot them; and build what does it: notebooks, models, grids."""

import typer

from specnb.cli import grids, models, notebooks, spectra

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
for part in (spectra, notebooks, models, grids):
    app.registered_commands += part.app.registered_commands
    app.registered_groups += part.app.registered_groups
