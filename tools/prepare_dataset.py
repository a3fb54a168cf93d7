"""Prepare the ct-ich download for training: images, 0/1 masks, splits and a manifest."""

import argparse
from pathlib import Path

from _cli import run
from _progress import progress_bar, workers

from cranium.preparation.check import check_tree
from cranium.preparation.errors import DataError
from cranium.preparation.plan import UNLABELLED_CHOICES, WINDOWS, Options, Plan, make_plan
from cranium.preparation.prepare import rows_to_reuse, write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.preparation.splits import PROTOCOLS
from cranium.preparation.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        '--source',
        type=Path,
        default='data',
        help='the download: its zip, its folder, or a folder that holds either (default: data)',
    )
    add('--out', type=Path, default='data', help='folder for the result (default: data)')
    add('--split', choices=PROTOCOLS, help='protocol (default: patient)')
    add('--folds', type=int, help='number of folds (default: 5; the authors have 5)')
    add('--fold', type=int, default=0, help='the fold to hold out, from 0 (default: 0)')
    add('--seed', type=int, help='what the folds are drawn with (default: 0)')
    add('--splits', type=Path, metavar='FILE', help='take protocol and folds from this splits.json')
    add('--window', choices=WINDOWS, default='brain', help='CT window (default: brain)')
    add(
        '--mask-threshold',
        type=int,
        default=127,
        help='mask pixels above it are hemorrhage (default: 127; 254 is what the predecessor used)',
    )
    add(
        '--unlabelled',
        choices=UNLABELLED_CHOICES,
        default='drop',
        help='slices with hemorrhage but no mask: left out, or kept with mask 255 (default: drop)',
    )
    add('--jobs', type=int, help='processes (default: one per core)')
    add('--overwrite', action='store_true', help='replace a tree that has other options or changes')
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--check', action='store_true', help='only verify the tree in --out')
    only.add_argument('--dry-run', action='store_true', help='only say what would be written')
    args = parser.parse_args()
    for name in ('split', 'folds', 'seed'):
        if getattr(args, name) is None:
            setattr(args, name, getattr(Options, name))
        elif args.splits is not None:
            parser.error(f'--{name}: not with --splits, whose file decides it')
    if args.folds < 2:
        parser.error('--folds: at least 2')
    if args.split == 'authors' and args.folds != 5:
        parser.error('--folds: the authors made 5')
    if args.fold < 0 or (args.splits is None and args.fold >= args.folds):
        parser.error(f'--fold: choose from 0 to {args.folds - 1}')
    if not 0 <= args.seed < 2**32:
        parser.error('--seed: choose from 0 to 2**32 - 1')
    if not 0 <= args.mask_threshold <= 254:
        parser.error('--mask-threshold: choose from 0 to 254')
    if args.jobs is not None and args.jobs < 1:
        parser.error('--jobs: at least 1')
    return args


def main() -> None:
    """Check the tree, or prepare it."""
    args = parse_args()
    if args.check:
        check(args.out)
    else:
        prepare(args)


def check(out: Path) -> None:
    """Print what is wrong with a tree."""
    findings = 0
    for finding in check_tree(out):
        print(finding)
        findings += 1
    if findings:
        msg = f'{out}: {findings} findings; move foreign files away, then run with --overwrite'
        raise DataError(msg)
    print(f'{out}: every file is as it was written')


def prepare(args: argparse.Namespace) -> None:
    """Write the tree and print its summary."""
    options = Options(
        split=args.split,
        folds=args.folds,
        fold=args.fold,
        seed=args.seed,
        splits_file=args.splits,
        window=args.window,
        mask_threshold=args.mask_threshold,
        unlabelled=args.unlabelled,
    )
    plan = make_plan(read_raw(find_source(args.source)), options)
    if args.dry_run:
        there = len(rows_to_reuse(plan, args.out, args.overwrite))
        outcome = f'nothing written (dry run); up to {there} slices could be kept'
    else:
        with workers(args.jobs, len(plan.slices)), progress_bar(len(plan.slices)) as progress:
            outcomes = write_plan(plan, args.out, overwrite=args.overwrite, progress=progress)
        outcome = f'{outcomes["written"]} slices written, {outcomes["linked"]} kept'
    print_summary(plan)
    print(f'{args.out}: {outcome}')


def print_summary(plan: Plan) -> None:
    """Print what each split holds, and what is unusual."""
    counts = plan.counts()
    header = ['split', 'patients', 'slices', 'hemorrhage patients', 'hemorrhage slices']
    print(markdown_table(header, [[split, *numbers.values()] for split, numbers in counts.items()]))
    print(f'{plan.splits.protocol} split, fold {plan.options.fold} of {len(plan.splits.folds)}')
    for remark in plan.remarks():
        print(remark)


if __name__ == '__main__':
    run(main)
