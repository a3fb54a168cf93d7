"""The exception of the project, by the name that this room has used."""

from cranium.errors import CraniumError as DataError

__all__ = ['DataError']
