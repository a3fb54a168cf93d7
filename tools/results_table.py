"""Print the README's results table from runs, and check its figures against each other.

    python tools/results_table.py work_dirs/A work_dirs/B
    python tools/results_table.py --ablation work_dirs/ablation/base work_dirs/ablation/no_paste
    python tools/results_table.py --check README.md

The mIoU and the mDice of two classes determine each other's range; rows in which they exclude each
other are named, and the exit status is 1.
"""

import argparse
import sys
from pathlib import Path

from _cli import run

from cranium.evaluation import results, results_table


def main() -> int:
    """Parse the arguments, print the table and what contradicts itself."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='*', metavar='RUN', help='folder with results')
    parser.add_argument(
        '--check', type=Path, metavar='FILE', help='check the tables of a Markdown file as well'
    )
    parser.add_argument(
        '--ablation',
        action='store_true',
        help='compare each run, named by its folder, with the first on the same patients',
    )
    args = parser.parse_args()
    if not args.runs and not args.check:
        parser.error('name a run, or a file with --check')
    if args.ablation and len(args.runs) < 2:
        parser.error('--ablation compares runs: name two or more')
    runs = [results.read_results(folder) for folder in args.runs]
    rows = [results_table.row_of(found) for found in runs]
    if args.ablation:
        names = [Path(run).resolve().name for run in args.runs]
        if len(set(names)) < len(names):
            names = args.runs
        print(results_table.format_ablation(dict(zip(names, runs))))
    elif runs:
        print(results_table.format_results(runs))
    if args.check:
        rows += results_table.read_rows(args.check.read_text(encoding='utf-8').splitlines())
    contradictions = [text for row in rows if (text := results_table.contradiction(row))]
    for text in contradictions:
        print(text, file=sys.stderr)
    if args.check:
        print(f'{len(rows)} rows checked, {len(contradictions)} contradict themselves')
    return 1 if contradictions else 0


if __name__ == '__main__':
    run(main)
