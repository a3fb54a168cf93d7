"""Describe the data set, raw or prepared: classes, splits, types, lesions, people, intensities."""

import argparse
from pathlib import Path

from _cli import run
from _progress import progress_bar, workers

from cranium.preparation.collection import open_collection
from cranium.preparation.report import FORMATS, render, save_figure
from cranium.preparation.statistics import measure, summarize


def main() -> None:
    """Measure, then print or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--source', type=Path, default='data', help='prepared tree or download (default: data)')
    add(
        '--mask-threshold',
        type=int,
        default=127,
        help='mask pixels above it are hemorrhage (default: 127; 254 is what the predecessor used)',
    )
    add('--format', choices=FORMATS, default='text', help='default: text')
    add('--out', type=Path, help='file to write to; needed for a figure (default: print)')
    add('--jobs', type=int, help='processes (default: one per core)')
    args = parser.parse_args()
    if args.format == 'figure' and args.out is None:
        parser.error('--format figure needs --out FILE.png')
    if not 0 <= args.mask_threshold <= 254:
        parser.error('--mask-threshold: choose from 0 to 254')
    collection = open_collection(args.source, args.mask_threshold)
    total = len(collection.items)
    with workers(args.jobs, total), progress_bar(total) as progress:
        report = summarize(collection, measure(collection, progress))
    if args.format == 'figure':
        save_figure(report, args.out)
    elif args.out:
        args.out.write_text(render(report, args.format), encoding='utf-8')
    else:
        print(render(report, args.format), end='')


if __name__ == '__main__':
    run(main)
