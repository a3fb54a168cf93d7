"""The same as ``cranium compare``."""

from cranium.cli import run
from cranium.cli.compare import command

run(command)
