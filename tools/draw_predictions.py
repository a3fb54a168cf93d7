"""``cranium contact-sheet`` by path."""

from cranium.cli import run
from cranium.cli.contact_sheet import command

run(command)
