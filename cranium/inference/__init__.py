"""Scans in, masks and volumes out."""
