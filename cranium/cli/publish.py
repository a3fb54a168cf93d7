"""Write the weights of a training to a file that others can load safely."""

from pathlib import Path

import click


@click.command(epilog='Example: cranium publish work_dirs/unet/iter_8000.pth --out unet.pth')
@click.argument('checkpoint', type=click.Path(path_type=Path))
@click.option('--out', type=click.Path(path_type=Path), required=True, help='The file to write.')
def command(checkpoint: Path, out: Path) -> None:
    """Write the weights of a training's CHECKPOINT to a file that others can load safely."""
    import hashlib

    import cranium.engine  # noqa: F401  (before a checkpoint of mmengine is read)
    from cranium.engine.publishing import publish_checkpoint

    count = publish_checkpoint(checkpoint, out)
    content = out.read_bytes()
    click.echo(f'{out}: {count} weights, {len(content) / 1e6:.1f} MB')
    click.echo(f'SHA-256 {hashlib.sha256(content).hexdigest()}')
