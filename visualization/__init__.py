"""Pictures of predictions and training."""
