"""``cranium publish`` by path."""

from cranium.cli import run
from cranium.cli.publish import command

run(command)
