"""``cranium publish``."""

from pathlib import Path

import click

from cranium.cli._options import PATH


@click.command(epilog='Example: cranium publish work_dirs/unet/iter_8000.pth --out unet.pth')
@click.argument('checkpoint', type=PATH)
@click.option('--out', type=PATH, required=True, help='The file to write.')
@click.option(
    '--cross-validation',
    type=PATH,
    metavar='FOLDER',
    help='Of the same config: where its thresholds of yes or no, and its probabilities, come from.',
)
def command(checkpoint: Path, out: Path, cross_validation: Path | None) -> None:
    """Write the weights of a training's CHECKPOINT to a file that others can load safely."""
    import hashlib

    from cranium.engine.publishing import publish_checkpoint

    points = None
    if cross_validation:
        from cranium.evaluation.pooling import shipped_operating_points
        from cranium.evaluation.results import SUMMARY, find_results, read_results

        pooled = find_results(cross_validation).resolve()
        alone = pooled.with_name(f'{pooled.name}-alone')
        has_alone = (alone / SUMMARY).is_file()
        points = shipped_operating_points(
            read_results(pooled), read_results(alone) if has_alone else None
        )
        if not has_alone:
            click.echo(
                'Note: lone slices get the threshold of slices in a scan; where networks see '
                'slices in their scan, `cranium cross-validate --alone` measures their own'
            )
    count = publish_checkpoint(checkpoint, out, points)
    content = out.read_bytes()
    click.echo(f'{out}: {count} weights, {len(content) / 1e6:.1f} MB')
    click.echo(f'SHA-256 {hashlib.sha256(content).hexdigest()}')
