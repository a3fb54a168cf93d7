"""Show slices with the truth outlined: a contact sheet (PNG), or a page for one patient (HTML)."""

import argparse
from pathlib import Path

from _cli import run

from cranium.preparation.collection import open_collection
from cranium.preparation.raw import HEMORRHAGE_TYPES
from cranium.preparation.sheets import choose, contact_sheet, load, patient_page


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--source', type=Path, default='data', help='prepared tree or download (default: data)')
    add('--out', type=Path, default='slices.png', help='.png or .html (default: slices.png)')
    add('--number', type=int, default=12, help='slices on a sheet (default: 12)')
    add('--seed', type=int, default=0, help='what the slices are drawn with (default: 0)')
    add('--patient', nargs='+', default=[], metavar='PID', help='only these patients')
    add('--type', choices=HEMORRHAGE_TYPES, help='only slices with this type')
    add('--min-pixels', type=int, default=0, help='only slices with so much hemorrhage')
    add('--max-pixels', type=int, help='only slices with so little hemorrhage')
    add('--clean', action='store_true', help='slices without hemorrhage')
    args = parser.parse_args()
    if args.out.suffix.lower() not in ('.png', '.html'):
        parser.error('--out: name a .png or a .html file')
    if args.out.suffix.lower() == '.html' and len(args.patient) != 1:
        parser.error('an .html page needs one --patient')
    if args.number < 1:
        parser.error('--number: at least 1')
    args.patient = [f'{patient:0>3}' for patient in args.patient]
    return args


def main() -> None:
    """Draw and write."""
    args = parse_args()
    collection = open_collection(args.source)
    if args.out.suffix.lower() == '.html':
        items = [item for item in collection.items if item.patient in args.patient]
        items = items or choose(collection, number=1, patients=args.patient)
        page = patient_page([load(collection, item) for item in items])
        args.out.write_text(page, encoding='utf-8')
    else:
        by_size = args.min_pixels > 0 or args.max_pixels is not None
        items = choose(
            collection,
            number=args.number,
            seed=args.seed,
            patients=args.patient,
            kind=args.type,
            pixels=(args.min_pixels, args.max_pixels) if by_size else None,
            clean=args.clean,
        )
        contact_sheet([load(collection, item) for item in items]).save(args.out)
    print(f'{args.out}: {len(items)} slices')


if __name__ == '__main__':
    run(main)
