"""``cranium evaluate`` by path."""

from cranium.cli import run
from cranium.cli.evaluate import command

run(command)
