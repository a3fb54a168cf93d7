"""Draw what each step of a config's training pipeline makes of slices, truth as an outline.

python tools/draw_pipeline.py configs/NAME.py --out pipeline.png
"""

import argparse
from pathlib import Path

from _cli import run


def main() -> None:
    """Parse the arguments, run the pipeline step by step, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='the experiment')
    parser.add_argument('--data', help="prepared tree (default: the config's)")
    parser.add_argument('--out', type=Path, required=True, help='the picture to write')
    parser.add_argument('--count', type=int, default=4, help='slices (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of what is drawn (default: 0)')
    args = parser.parse_args()
    # After the arguments: --help should not wait for it.
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    from cranium.datasets import BalancedSampler
    from cranium.visualization.pipeline import draw_stages, run_steps

    init_default_scope('mmseg')
    settings = Config.fromfile(args.config).train_dataloader.dataset
    if args.data:
        settings.data_root = args.data
    dataset = DATASETS.build(settings)
    sampler = BalancedSampler(dataset, seed=args.seed)
    steps = [*dataset.load.transforms, *dataset.pipeline.transforms[:-1]]
    rows = []
    for number in range(args.count):
        draw = sampler.draw(number)
        draw.seed_transforms()
        sample = dataset.begin(draw)
        name = f'{sample["patient"]}_{sample["slice"]:03d}'
        rows.append((name, run_steps(sample, steps)))
    draw_stages(rows, args.out)
    print(f'{len(rows)} slices in {args.out}')


if __name__ == '__main__':
    run(main)
