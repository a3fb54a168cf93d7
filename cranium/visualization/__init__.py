"""Pictures of slices, curves and results."""
