"""The same as ``cranium results-table``."""

from cranium.cli import run
from cranium.cli.results_table import command

run(command)
