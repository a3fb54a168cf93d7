"""Compute every figure for masks on disk, made by anything.

    python tools/evaluate.py --pred PREDICTIONS --truth data/masks/val --out results

writes summary.json, slices.csv and patients.csv as `mim test` does, and prints the table. Masks are
<patient>_<slice>.png or NIfTI, or <patient>.nii.gz with slices along the last axis.
"""

import argparse
from pathlib import Path

from _cli import run

from cranium.evaluation import masks, provenance, records, results


def main() -> None:
    """Parse the arguments, evaluate, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--pred', required=True, type=Path, help='folder of predicted masks')
    parser.add_argument('--truth', required=True, type=Path, help='folder of true masks')
    parser.add_argument('--out', required=True, type=Path, help='folder for the results')
    parser.add_argument('--images', type=Path, help='folder of the images, for the report')
    parser.add_argument('--diagnosis', help='hemorrhage_diagnosis.csv, for figures by type')
    parser.add_argument(
        '--operating-point',
        metavar='SUMMARY',
        help='summary.json of validation patients, whose thresholds are used here',
    )
    parser.add_argument(
        '--leave-out',
        nargs='+',
        default=[],
        metavar='PATIENT',
        help="patients that the authors' Dice is also given without",
    )
    args = parser.parse_args()

    point = results.read_operating_point(args.operating_point) if args.operating_point else None
    compared = masks.compare_folders(args.pred, args.truth, args.images)
    measured = compared.records
    if args.diagnosis:
        types = records.read_diagnosis(args.diagnosis)
    else:
        types = records.read_manifest(args.truth.resolve().parent.parent)
    measured = records.with_types(measured, types)
    about = provenance.describe_folders(args.pred, args.truth)
    found = results.evaluate(
        measured,
        leave_out=args.leave_out,
        operating_point=point,
        provenance=about,
        warnings=[*compared.warnings, *provenance.warnings(about)],
    )
    results.write_results(found, args.out)
    print(results.format_table(found.figures))
    for warning in found.warnings:
        print(f'Note: {warning}')
    print(f'All figures are in {args.out}')


if __name__ == '__main__':
    run(main)
