"""``cranium pipeline``."""

from pathlib import Path

import click

from cranium.cli._options import PATH, picture


@click.command(epilog='Example: cranium pipeline configs/NAME.py --out pipeline.png')
@click.argument('config', type=PATH)
@click.option('--data', help="Prepared tree; default: the config's.")
@picture
@click.option(
    '--count', type=click.IntRange(1), default=4, show_default=True, help='Number of slices.'
)
@click.option('--seed', default=0, show_default=True, help='Seed of what is drawn.')
def command(config: Path, data: str | None, out: Path, count: int, seed: int) -> None:
    """Draw what each step of the training pipeline of CONFIG makes of slices.

    The truth is an outline.
    """
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from cranium.datasets import BalancedSampler
    from cranium.visualization.contact_sheet import contact_sheet
    from cranium.visualization.pipeline import run_steps, stage_panels

    init_default_scope('mmseg')
    settings = Config.fromfile(config).train_dataloader.dataset
    if data:
        settings.data_root = data
    dataset = DATASETS.build(settings)
    sampler = BalancedSampler(dataset, seed=seed)
    steps = [*dataset.load.transforms, *dataset.pipeline.transforms[:-1]]
    rows = []
    for number in range(count):
        draw = sampler.draw(number)
        draw.seed_transforms()
        sample = dataset.begin(draw)
        rows.append((Path(sample['img_path']).stem, run_steps(sample, steps)))
    panels, columns = stage_panels(rows)
    contact_sheet(panels, columns, title=f'Training pipeline of {config.stem}').save(out)
    click.echo(f'{count} slices in {out}')
