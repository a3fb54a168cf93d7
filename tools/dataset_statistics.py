"""Describe the data set, raw or prepared."""

from cranium.cli import run
from cranium.cli.statistics import command

run(command)
