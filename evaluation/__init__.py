"""Figures from predictions and truth."""
