"""Measurements of speed and robustness; not part of the package."""
