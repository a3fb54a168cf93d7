"""``cranium compare``."""

import click

from cranium.cli._options import ManyValues

MEASURES = ('authors_dice', 'volume_dice')

EXAMPLE = 'Example: cranium compare work_dirs/A work_dirs/B'


@click.command(cls=ManyValues, epilog=EXAMPLE)
@click.argument('runs', nargs=-1, required=True, metavar='RUN...')
@click.option(
    '--measure',
    multiple=True,
    type=click.Choice(MEASURES),
    default=MEASURES[:1],
    show_default=True,
    help='What to compare of each patient.',
)
def command(runs: tuple[str, ...], measure: tuple[str, ...]) -> None:
    """Tell whether models differ, patient by patient.

    Compares each further run with the first. A run is a work directory after `mim test`, or the
    output folder of `cranium evaluate`; all must have been tested on the same slices.
    """
    from cranium.evaluation import comparison, results

    slices = [results.read_results(folder).slices for folder in runs]
    found = comparison.compare_runs(slices, measure)
    click.echo(comparison.format_differences(found, runs))
