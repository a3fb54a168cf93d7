"""Draw the loss and the validation Dice of a training."""

from cranium.cli import run
from cranium.cli.curves import command

run(command)
