"""``cranium env``."""

import click


@click.command(epilog='Example: cranium env > env.txt')
def command() -> None:
    """Print versions and hardware, to be pasted into a bug report."""
    import os

    from mmengine.utils.dl_utils import collect_env, mmcv_full_available

    from cranium.evaluation.provenance import versions

    about = {**collect_env(), **versions()}
    about['mmcv operators'] = 'compiled' if mmcv_full_available() else 'none (mmcv-lite)'
    about['CPU cores'] = f'{os.cpu_count()}, OMP_NUM_THREADS: {os.environ.get("OMP_NUM_THREADS")}'
    for name, value in about.items():
        click.echo(f'{name}: {value}')
