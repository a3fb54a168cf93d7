"""Draw what each step of a config's training pipeline makes of slices."""

from cranium.cli import run
from cranium.cli.pipeline import command

run(command)
