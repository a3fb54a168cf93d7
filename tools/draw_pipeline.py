"""``cranium pipeline`` by path."""

from cranium.cli import run
from cranium.cli.pipeline import command

run(command)
