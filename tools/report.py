"""``cranium report`` by path."""

from cranium.cli import run
from cranium.cli.report import command

run(command)
