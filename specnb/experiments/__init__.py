"""What the notebooks call; nothing else of the package imports it."""

from specnb import extras

extras.need("matplotlib", "pandas", "pydantic", "sklearn", extra="book", purpose="An experiment")
