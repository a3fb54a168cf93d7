"""``CraniumDataset`` under the predecessor's module name, with the checkout in PYTHONPATH."""

from cranium.datasets import CraniumDataset

__all__ = ['CraniumDataset']
