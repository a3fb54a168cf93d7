"""``CraniumDataset`` under its module name in mmseg's project, with the checkout in PYTHONPATH."""

from cranium.datasets import CraniumDataset

__all__ = ['CraniumDataset']
