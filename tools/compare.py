"""Tell whether models differ, patient by patient.

    python tools/compare.py RUN_A RUN_B [RUN...]

compares each further run with the first. A run is a work directory after `mim test`, or the output
folder of tools/evaluate.py; all must have been tested on the same slices.
"""

import argparse

from _cli import run

from cranium.evaluation import comparison, results


def main() -> None:
    """Parse the arguments, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('runs', nargs='+', metavar='RUN', help='folder with results')
    parser.add_argument(
        '--measure',
        nargs='+',
        choices=comparison.MEASURES,
        default=[comparison.MEASURES[0]],
        help='what to compare of each patient (default: %(default)s)',
    )
    args = parser.parse_args()
    found = comparison.compare_runs(
        [results.read_results(folder).records for folder in args.runs], args.measure
    )
    print(comparison.format_differences(found, args.runs))


if __name__ == '__main__':
    run(main)
