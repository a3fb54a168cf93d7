"""Draw a contact sheet of predicted slices: prediction and truth as outlines."""

import argparse
from pathlib import Path

from _cli import run


def main() -> None:
    """Parse the arguments and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python tools/draw_predictions.py work_dirs/X/predictions --data data '
        '--out work_dirs/X/contact_sheet.png',
    )
    parser.add_argument('predictions', type=Path, help='what `mim test --out` wrote')
    parser.add_argument('--data', type=Path, default=Path('data'), help='the prepared tree')
    parser.add_argument('--split', default='val', help='its part (default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='the picture to write')
    parser.add_argument('--count', type=int, default=16, help='slices (default: %(default)s)')
    parser.add_argument('--title', default='', help='a line above the slices')
    args = parser.parse_args()
    # After the arguments: --help should not wait for it.
    from cranium.visualization.contact_sheet import contact_sheet, read_panels

    panels = read_panels(
        args.predictions,
        args.data / 'images' / args.split,
        args.data / 'masks' / args.split,
        args.count,
    )
    contact_sheet(panels, title=args.title or f'{args.predictions}, {len(panels)} slices').save(
        args.out
    )
    print(f'{len(panels)} slices in {args.out}')


if __name__ == '__main__':
    run(main)
