"""Choose the slices of ``data/sample`` from the unpacked download."""

import argparse
from pathlib import Path

from _cli import run

from cranium.preparation.sample import copy_sample
from cranium.preparation.source import FolderSource


def main() -> None:
    """Parse the arguments and copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--source', type=Path, required=True, help='folder that holds Patients_CT and the CSVs'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('data/sample'), help='default: %(default)s'
    )
    args = parser.parse_args()
    count = copy_sample(FolderSource(args.source), args.out)
    print(f'{count} slices in {args.out}')


if __name__ == '__main__':
    run(main)
