"""The version, where setuptools reads it and nothing else has to be imported."""

__version__ = '0.2.0'
