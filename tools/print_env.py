"""``cranium env`` by path."""

from cranium.cli import run
from cranium.cli.env import command

run(command)
