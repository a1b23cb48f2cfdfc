"""Training of the models that ship, and their cards."""
