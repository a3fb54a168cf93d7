"""The same as ``cranium evaluate``."""

from cranium.cli import run
from cranium.cli.evaluate import command

run(command)
