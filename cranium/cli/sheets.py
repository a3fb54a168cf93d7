"""``cranium sheets``."""

from pathlib import Path
from typing import Any

import click

from cranium.cli._options import ManyValues, Picture, data_set
from cranium.slices import HEMORRHAGE_TYPES, patient_name


@click.command(
    cls=ManyValues,
    context_settings={'show_default': True},
    epilog='Example: cranium sheets --source data --type Epidural',
)
@data_set
@click.option(
    '--out',
    type=Picture('.png', '.html'),
    default='slices.png',
    help='A .png, or a .html of one patient.',
)
@click.option('--number', type=click.IntRange(1), default=12, help='Slices.')
@click.option('--seed', default=0, help='What the slices are drawn with.')
@click.option('--patient', multiple=True, metavar='PID...', help='Only these patients.')
@click.option('--type', 'kind', type=click.Choice(HEMORRHAGE_TYPES), help='Only with this type.')
@click.option('--min-pixels', default=0, help='Only slices with so much hemorrhage.')
@click.option('--max-pixels', type=int, help='Only slices with so little hemorrhage.')
@click.option('--clean', is_flag=True, help='Slices without hemorrhage.')
def command(
    source: Path,
    out: Path,
    patient: tuple[str, ...],
    min_pixels: int,
    max_pixels: int | None,
    **wish: Any,
) -> None:
    """Show slices with the truth outlined: a contact sheet, or a page for one patient."""
    page = out.suffix.lower() == '.html'
    if page and len(patient) != 1:
        raise click.UsageError('an .html page needs one --patient')
    from cranium.preparation.collection import open_collection
    from cranium.preparation.sheets import choose, load
    from cranium.visualization.contact_sheet import contact_sheet
    from cranium.visualization.page import patient_page, view_panels

    collection = open_collection(source)
    patients = [patient_name(name) for name in patient]
    slices = collection.slices[collection.slices['patient'].isin(patients)]
    if not page or slices.empty:
        pixels = (min_pixels, max_pixels)
        slices = choose(collection, patients=patients, pixels=pixels, **wish)
    views = load(collection, slices)
    if page:
        out.write_text(patient_page(views, patients[0]), encoding='utf-8')
    else:
        panels = view_panels(views)
        columns = 6 if len(panels) > len(views) else 4
        contact_sheet(panels, columns, title=f'{len(views)} slices of {source}').save(out)
    click.echo(f'{out}: {len(views)} slices')
