"""`cranium env`, callable by path."""

from cranium.cli import run
from cranium.cli.env import command

run(command)
