"""``cranium results-table``."""

from pathlib import Path

import click

from cranium.errors import CraniumError

EXAMPLE = 'Example: cranium results-table work_dirs/A work_dirs/B'


@click.command(epilog=EXAMPLE)
@click.argument('runs', nargs=-1, metavar='[RUN]...')
@click.option(
    '--check',
    type=click.Path(path_type=Path),
    metavar='FILE',
    help='Check the tables of a Markdown file as well.',
)
@click.option(
    '--ablation',
    is_flag=True,
    help='Compare each run, named by its folder, with the first on the same patients.',
)
def command(runs: tuple[str, ...], check: Path | None, ablation: bool) -> int:
    """Print a results table from runs, and check its figures against each other.

    The mIoU and the mDice of two classes determine each other's range; rows in which they exclude
    each other are named, and the exit status is 1.
    """
    from cranium.evaluation import results, results_table

    if not runs and not check:
        raise click.UsageError('name a run, or a file with --check')
    if ablation and len(runs) < 2:
        raise click.UsageError('--ablation compares runs: name two or more')
    found = [results.read_results(folder) for folder in runs]
    if ablation:
        names = [Path(folder).resolve().name for folder in runs]
        named = names if len(set(names)) == len(names) else runs
        click.echo(results_table.format_ablation(dict(zip(named, found))))
    elif runs:
        click.echo(results_table.format_results(found))
    rows = [results_table.row_of(run) for run in found]
    if check:
        read = results_table.read_rows(check.read_text(encoding='utf-8').splitlines())
        if not read:
            raise CraniumError(f'{check}: no table with a row of numbers for mIoU and mDice')
        rows += read
    contradictions = [text for row in rows if (text := results_table.contradiction(row))]
    for text in contradictions:
        click.echo(text, err=True)
    if check:
        click.echo(f'{len(rows)} rows checked, {len(contradictions)} contradict themselves')
    return 1 if contradictions else 0
