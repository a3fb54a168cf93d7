"""``cranium compare`` by path."""

from cranium.cli import run
from cranium.cli.compare import command

run(command)
