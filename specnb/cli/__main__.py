"""``python -m specnb.cli``, as torchrun starts it."""

from specnb.cli import app

app()
