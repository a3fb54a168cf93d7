"""Write the report of a run: one HTML file with figures, curves and slices, or Markdown.

    python tools/report.py WORK_DIR

WORK_DIR is a work directory after `mim test`, or the output folder of tools/evaluate.py. The file
loads nothing from elsewhere, so it can be sent and archived as it is.
"""

import argparse
from pathlib import Path

from _cli import run

from cranium.evaluation import results
from cranium.visualization.report import FORMATS


def main() -> None:
    """Parse the arguments, write the report, say where."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('work_dir', type=Path, metavar='WORK_DIR', help='folder with results')
    parser.add_argument('--format', choices=FORMATS, default='html', help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='file to write (default: beside summary.json)')
    args = parser.parse_args()
    text = FORMATS[args.format](args.work_dir)
    file = args.out or results.find_results(args.work_dir) / f'report.{args.format}'
    file.write_text(text, encoding='utf-8')
    print(file)


if __name__ == '__main__':
    run(main)
