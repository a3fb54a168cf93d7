"""``cranium sheets`` by path."""

from cranium.cli import run
from cranium.cli.sheets import command

run(command)
