"""``cranium check``."""

from pathlib import Path

import click

from cranium.errors import CraniumError


@click.command(epilog='Example: cranium check data')
@click.argument('tree', type=click.Path(path_type=Path), default='data')
def command(tree: Path) -> None:
    """Verify that every file of a prepared TREE (default: data) is as it was written."""
    print_findings(tree)


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
