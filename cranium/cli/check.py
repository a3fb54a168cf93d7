"""``cranium check``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, PLOT, workers
from cranium.errors import CraniumError


@click.command(epilog='Example: cranium check archive.zip --out checks.png')
@click.argument('source_or_tree', type=PATH, default='data')
@click.option('--out', type=PLOT, help='Picture of the checks of a download, such as checks.png.')
def command(source_or_tree: Path, out: Path | None) -> None:
    """Verify a prepared tree, or a download.

    Of a tree, whether every file is as it was written; of a download (its zip, its folder, or a
    folder that holds either), whether the windows of each scan are what they are said to be and its
    masks can be hemorrhage. Default: data.
    """
    from cranium.preparation.check import is_tree

    if not is_tree(source_or_tree):
        print_checks(source_or_tree, out)
    elif out:
        raise click.UsageError(f'--out: {source_or_tree} is prepared; there is nothing to draw')
    else:
        print_findings(source_or_tree)


def print_findings(tree: Path) -> None:
    """Print what is wrong with a tree; fail where anything is."""
    from cranium.preparation.check import check_tree

    findings = 0
    for finding in check_tree(tree):
        click.echo(finding)
        findings += 1
    if findings:
        msg = f'{tree}: {findings} findings; move foreign files away, then prepare with --overwrite'
        raise CraniumError(msg)
    click.echo(f'{tree}: every file is as it was written')


def print_checks(path: Path, out: Path | None) -> None:
    """Print what is wrong with a download, and draw it; fail where no erratum corrects it."""
    from cranium.preparation.check_figure import save_checks
    from cranium.preparation.images import MASK_THRESHOLD
    from cranium.preparation.raw import read_raw
    from cranium.preparation.scans import check_scans
    from cranium.preparation.source import find_source

    raw = read_raw(find_source(path))
    with workers(None, len(raw.slices)):
        checks = check_scans(raw, MASK_THRESHOLD)
    findings = [fault for check in checks for fault in check.mask_faults]
    findings += filter(None, (check.remark(apply=True) for check in checks))
    for line in (*raw.remarks, *findings):
        click.echo(line)
    if out:
        save_checks(checks, raw.source.name, out)
        click.echo(out)
    passed, masks = sum(check.passed for check in checks), sum(bool(s.mask) for s in raw.slices)
    what = f'windows as expected in {passed} of {len(checks)} scans; {masks} masks tested'
    click.echo(f'{raw.source}: {what}')
    wrong = [check for check in checks if check.mask_faults or not (check.passed or check.shown)]
    if wrong:
        msg = f'{raw.source}: {len(wrong)} scans are wrong, {wrong[0].patient} first; see above'
        raise CraniumError(msg)
