"""``cranium statistics``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, PLOT, data_set, progress_bar, workers

FORMATS = ('text', 'markdown', 'json', 'figure')


@click.command(epilog='Example: cranium statistics --source data --format markdown')
@data_set
@click.option(
    '--mask-threshold',
    type=click.IntRange(0, 254),
    help="Mask pixels above it are hemorrhage; mmseg's project used 254.  [default: a tree's, 127]",
)
@click.option('--format', 'kind', type=click.Choice(FORMATS), default='text', show_default=True)
@click.option('--out', type=PATH, help='File to write, needed for a figure; default: print.')
@click.option('--jobs', type=int, help='Processes; default: one per core.')
def command(
    source: Path, mask_threshold: int | None, kind: str, out: Path | None, jobs: int | None
) -> None:
    """Describe a data set, raw or prepared.

    Classes, splits, hemorrhage types, lesions, people, intensities.
    """
    if kind == 'figure':
        out = PLOT.convert(out or '--out', None, None)
    from cranium.preparation.collection import open_collection
    from cranium.preparation.report import render, save_figure
    from cranium.preparation.statistics import describe

    collection = open_collection(source, mask_threshold)
    total = len(collection.slices)
    with workers(jobs, total), progress_bar(total) as progress:
        statistics = describe(collection, progress)
    if out is None:
        click.echo(render(statistics, kind), nl=False)
    elif kind == 'figure':
        save_figure(statistics, out)
    else:
        out.write_text(render(statistics, kind), encoding='utf-8')
