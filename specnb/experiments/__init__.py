"""What the notebooks call; nothing else of the package imports it."""
