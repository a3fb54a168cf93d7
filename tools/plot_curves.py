"""``cranium curves`` by path."""

from cranium.cli import run
from cranium.cli.curves import command

run(command)
