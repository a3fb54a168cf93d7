"""Write the report of a run: one HTML file with figures, curves and slices, or Markdown."""

from cranium.cli import run
from cranium.cli.report import command

run(command)
