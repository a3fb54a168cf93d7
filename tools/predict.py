"""``cranium predict`` by path."""

from cranium.cli import run
from cranium.cli.predict import command

run(command)
