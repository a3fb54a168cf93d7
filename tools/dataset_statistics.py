"""``cranium statistics`` by path."""

from cranium.cli import run
from cranium.cli.statistics import command

run(command)
