"""``cranium curves``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, PLOT


@click.command(epilog='Example: cranium curves work_dirs/quickstart --out curves.png')
@click.argument('work_dir', type=PATH)
@click.option('--out', type=PLOT, help='Picture to write; default: WORK_DIR/curves.png.')
def command(work_dir: Path, out: Path | None) -> None:
    """Draw the loss and the validation Dice of a training.

    WORK_DIR is the --work-dir of `mim train`.
    """
    from cranium.visualization.curves import plot_curves

    out = out or work_dir / 'curves.png'
    plot_curves(work_dir, out)
    click.echo(out)
