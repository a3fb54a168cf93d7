"""Draw predicted slices: prediction and truth as outlines."""

from cranium.cli import run
from cranium.cli.contact_sheet import command

run(command)
