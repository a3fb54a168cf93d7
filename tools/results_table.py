"""``cranium results-table`` by path."""

from cranium.cli import run
from cranium.cli.results_table import command

run(command)
