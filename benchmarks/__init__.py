"""Paired measurements of speed; not part of the package."""
