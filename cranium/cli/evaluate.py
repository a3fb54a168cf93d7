"""``cranium evaluate``."""

from pathlib import Path

import click

from cranium.cli._options import ManyValues

FOLDER = click.Path(path_type=Path)
EXAMPLE = 'Example: cranium evaluate --pred PREDICTIONS --truth data/masks/val --out results'


@click.command(cls=ManyValues, epilog=EXAMPLE)
@click.option('--pred', required=True, type=FOLDER, help='Folder of predicted masks.')
@click.option('--truth', required=True, type=FOLDER, help='Folder of true masks.')
@click.option('--out', required=True, type=FOLDER, help='Folder for the results.')
@click.option('--images', type=FOLDER, help='Folder of the images, for contrasts and pictures.')
@click.option('--diagnosis', help='hemorrhage_diagnosis.csv, for figures by hemorrhage type.')
@click.option(
    '--operating-point',
    metavar='SUMMARY',
    help='summary.json of validation patients, whose thresholds are used here.',
)
@click.option(
    '--leave-out',
    multiple=True,
    metavar='PATIENT...',
    help="Patients that the authors' Dice is also given without.",
)
def command(
    pred: Path,
    truth: Path,
    out: Path,
    images: Path | None,
    diagnosis: str | None,
    operating_point: str | None,
    leave_out: tuple[str, ...],
) -> None:
    """Compute every figure for masks on disk, made by anything.

    Writes summary.json, slices.csv and patients.csv as `mim test` does, and prints the table. Masks
    are <patient>_<slice>.png, or NIfTI: <patient>_<slice>.nii.gz or <patient>.nii.gz (volumes).
    """
    from cranium.diagnosis import read_diagnosis
    from cranium.evaluation import masks, provenance, results
    from cranium.evaluation.records import with_types
    from cranium.manifest import MANIFEST, read_manifest

    point = results.read_operating_point(operating_point) if operating_point else None
    slices, warnings = masks.compare_folders(pred, truth, images)
    tree = truth.resolve().parent.parent
    if diagnosis:
        slices = with_types(slices, read_diagnosis(diagnosis))
    elif (tree / MANIFEST).is_file():
        slices = with_types(slices, read_manifest(tree))
    about = provenance.describe_folders(pred, truth)
    found = results.evaluate(
        slices,
        leave_out=leave_out,
        operating_point=point,
        provenance=about,
        warnings=[*warnings, *provenance.warnings(about)],
    )
    results.write_results(found, out)
    click.echo(results.describe_results(found, out))
