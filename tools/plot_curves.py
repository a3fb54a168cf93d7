"""Draw the loss and the validation Dice of a training."""

import argparse
from pathlib import Path

from _cli import run


def main() -> None:
    """Parse the arguments and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/plot_curves.py work_dirs/quickstart --out curves.png',
    )
    parser.add_argument('work_dir', type=Path, help='the --work-dir of `mim train`')
    parser.add_argument('--out', type=Path, help='picture to write (default: WORK_DIR/curves.png)')
    args = parser.parse_args()
    from cranium.visualization.curves import plot_curves

    out = args.out or args.work_dir / 'curves.png'
    plot_curves(args.work_dir, out)
    print(out)


if __name__ == '__main__':
    run(main)
