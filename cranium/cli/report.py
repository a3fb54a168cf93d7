"""``cranium report``."""

from pathlib import Path

import click

from cranium.cli._options import PATH


@click.command(epilog='Example: cranium report work_dirs/X')
@click.argument('work_dir', type=PATH)
@click.option(
    '--format',
    'kind',
    type=click.Choice(('html', 'md')),
    default='html',
    show_default=True,
    help='A page to look at, or Markdown.',
)
@click.option('--out', type=PATH, help='File to write; default: beside summary.json.')
def command(work_dir: Path, kind: str, out: Path | None) -> None:
    """Write the report of a run: one HTML file with figures, curves and slices, or Markdown.

    WORK_DIR is a work directory after `mim test`, or the output folder of `cranium evaluate`. The
    file loads nothing from elsewhere, so it can be sent and archived as it is.
    """
    from cranium.evaluation.results import find_results
    from cranium.visualization.report import build_report

    text = build_report(work_dir, kind)
    out = out or find_results(work_dir) / f'report.{kind}'
    out.write_text(text, encoding='utf-8')
    click.echo(out)
