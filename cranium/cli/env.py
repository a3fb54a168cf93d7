"""Print versions and hardware, to be pasted into a bug report."""

import click


@click.command(epilog='Example: cranium env > env.txt')
def command() -> None:
    """Print versions and hardware, to be pasted into a bug report."""
    import importlib.util
    import os

    from mmengine.utils.dl_utils import collect_env

    from cranium.engine import mmcv_ops
    from cranium.evaluation.provenance import versions

    for name, value in collect_env().items():
        click.echo(f'{name}: {value}')
    for package, version in versions().items():
        click.echo(f'{package}: {version}')
    spec = importlib.util.find_spec(mmcv_ops.EXTENSION)
    lite = spec is None or spec.loader is None
    click.echo(f'mmcv operators: {"none (mmcv-lite)" if lite else "compiled"}')
    threads = os.environ.get('OMP_NUM_THREADS')
    click.echo(f'CPU cores: {os.cpu_count()}, OMP_NUM_THREADS: {threads}')
