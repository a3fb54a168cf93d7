"""Where the files are that came with the package."""

import click


@click.command()
def command() -> None:
    r"""Print the folder with the configs, weights, sample and tools.

    \b
    Example, in an empty folder:
      cp -r $(cranium files)/data/sample .
    """
    from pathlib import Path

    import cranium

    click.echo(Path(cranium.__file__).parent / '.mim')
