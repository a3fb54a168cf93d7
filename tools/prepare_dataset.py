"""Prepare the ct-ich download for training: images, 0/1 masks, splits and a manifest."""

import argparse
from pathlib import Path

from _cli import run
from cranium.preparation.prepare import UNLABELLED_CHOICES, WINDOWS, Options, make_plan, write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.preparation.splits import PROTOCOLS


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add('--source', type=Path, default='data', help='the download: a zip, or a folder that has it')
    add('--out', type=Path, default='data', help='folder for images/ and masks/')
    add('--split', choices=PROTOCOLS, default='patient', help='how slices are split')
    add('--folds', type=int, help='number of folds (default: 5)')
    add('--fold', type=int, default=0, help='the fold to hold out')
    add('--seed', type=int, default=0, help='what the folds are drawn with')
    add('--splits', type=Path, metavar='FILE', help='take the folds from this splits.json')
    add('--window', choices=WINDOWS, default='brain', help='CT window of the images')
    add(
        '--mask-threshold',
        type=int,
        default=127,
        help='a mask pixel above it is hemorrhage; 254 is what the predecessor used',
    )
    add(
        '--unlabelled',
        choices=UNLABELLED_CHOICES,
        default='drop',
        help='hemorrhage slices without a mask: leave out, or write with an ignored mask',
    )
    add('--jobs', type=int, help='processes (default: one per core)')
    add('--overwrite', action='store_true', help='replace a tree made with other options')
    return parser.parse_args()


def main() -> None:
    """Parse the arguments and prepare."""
    args = parse_args()
    options = Options(
        split=args.split,
        folds=args.folds or 5,
        fold=args.fold,
        seed=args.seed,
        splits_file=args.splits,
        window=args.window,
        mask_threshold=args.mask_threshold,
        unlabelled=args.unlabelled,
    )
    plan = make_plan(read_raw(find_source(args.source)), options)
    outcomes = write_plan(plan, args.out, overwrite=args.overwrite, jobs=args.jobs or -1)
    print(dict(outcomes))


if __name__ == '__main__':
    run(main)
