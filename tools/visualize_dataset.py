"""Show slices with the truth outlined: a contact sheet (PNG), or a page for one patient (HTML)."""

from cranium.cli import run
from cranium.cli.sheets import command

run(command)
