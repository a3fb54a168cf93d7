"""``cranium prepare`` by path."""

from cranium.cli import run
from cranium.cli.prepare import command

run(command)
