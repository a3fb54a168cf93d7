"""A tiny download."""

from tests.test_preparation.conftest import raw_tree

__all__ = ['raw_tree']
