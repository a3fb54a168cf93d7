"""``python -m cranium.cli``, where the command is not on the path."""

from cranium.cli import main

main()
