"""Comparing a prepared tree with its own records."""

from collections.abc import Iterator
from pathlib import Path

from cranium.errors import CraniumError
from cranium.manifest import read_manifest
from cranium.preparation.tree import (
    DATASET,
    ENTRIES,
    compare_files,
    foreign_files,
    is_interrupted,
    read_dataset_json,
)


def is_tree(path: Path) -> bool:
    """Whether a folder is, or should be, a prepared tree; it may hold a download as well."""
    return is_interrupted(path) or any((path / name).exists() for name in ENTRIES)


def check_tree(out: Path) -> Iterator[str]:
    """Find whatever is missing, changed or foreign; reads every file and writes nothing.

    Args:
        out (Path): A prepared tree.

    Yields:
        str: A line for each finding: the file and what is wrong with it.

    Raises:
        CraniumError: No prepared tree, or one whose replacement was interrupted.
    """
    out = Path(out)
    if is_interrupted(out):
        raise CraniumError(f'{out}: a run was killed; run cranium prepare again to finish it')
    recorded, rows = read_dataset_json(out), read_manifest(out)
    for name, what in compare_files(out, rows, recorded):
        yield f'{out / name}: {what}'
    for name in foreign_files(out):
        yield f'{out / name}: foreign, not in the manifest'
    written = rows[rows['image'] != '']
    counts = {split: numbers['slices'] for split, numbers in recorded['splits'].items()}
    if counts != written['split'].value_counts().to_dict():
        yield f'{out / DATASET}: its counts are not those of the manifest'
    if recorded['options']['split'] != 'slice':
        for patient, splits in written.groupby('patient')['split'].unique().items():
            if len(splits) > 1:
                yield f'{out}: patient {patient} is in {" and ".join(sorted(splits))}'
