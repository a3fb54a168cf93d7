"""``cranium cross-validate`` by path."""

from cranium.cli import run
from cranium.cli.cross_validate import command

run(command)
