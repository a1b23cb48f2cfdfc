"""Figures of the chapters that take more than a few lines to draw, one module a notebook; each draws, none computes."""
