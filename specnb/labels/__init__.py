"""Labels of stars: the exact posterior, the amortised one, and bounds."""
