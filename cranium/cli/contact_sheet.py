"""``cranium contact-sheet``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, picture


@click.command(
    epilog='Example: cranium contact-sheet work_dirs/X/predictions --data data --out sheet.png'
)
@click.argument('predictions', type=PATH)
@click.option('--data', type=PATH, default='data', show_default=True, help='Prepared tree.')
@picture
@click.option(
    '--count', type=click.IntRange(1), default=16, show_default=True, help='Number of slices.'
)
@click.option('--title', default='', help='A line above the slices.')
def command(predictions: Path, data: Path, out: Path, count: int, title: str) -> None:
    """Draw predicted slices: prediction and truth as outlines.

    PREDICTIONS is the folder that `mim test --out` wrote.
    """
    from cranium.visualization.contact_sheet import contact_sheet, read_panels

    panels = read_panels(predictions, data, count)
    contact_sheet(panels, title=title or f'{predictions}, {len(panels)} slices').save(out)
    click.echo(f'{len(panels)} slices in {out}')
