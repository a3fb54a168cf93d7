"""Packaging of Cranium; every static field but the package map is in pyproject.toml.

The checkout *is* the package ``cranium``: each room at the top level is mapped to a sub-package of
the namespace ``cranium``, so that a config needs no PYTHONPATH and ``datasets/`` never shadows
another library's top-level module of that name.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
ROOMS = sorted(
    path.parent.name for path in ROOT.glob('*/__init__.py') if path.parent.name != 'tests'
)

setup(
    package_dir={f'cranium.{room}': room for room in ROOMS},
    packages=[f'cranium.{room}' for room in ROOMS]
    + [
        f'cranium.{room}.{package}' for room in ROOMS for package in find_packages(str(ROOT / room))
    ],
)
