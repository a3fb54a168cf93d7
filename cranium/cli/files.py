"""Where the files are that came with the package."""

import click


@click.command(epilog='Example: cranium files')
def command() -> None:
    """Print the folder with the configs, weights, sample and tools that came with the package."""
    from pathlib import Path

    import cranium

    click.echo(Path(cranium.__file__).parent / '.mim')
