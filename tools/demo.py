"""``cranium demo`` by path."""

from cranium.cli import run
from cranium.cli.demo import command

run(command)
