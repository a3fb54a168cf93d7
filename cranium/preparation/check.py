"""Comparing a prepared tree with its own records."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cranium.preparation.errors import DataError
from cranium.preparation.tree import (
    DATASET,
    Row,
    dataset_digest,
    files_in,
    is_interrupted,
    read_dataset_json,
    read_manifest,
    sha256_file,
)


def check_tree(out: Path) -> Iterator[str]:
    """Find whatever is missing, changed or foreign; reads every file and writes nothing.

    Args:
        out (Path): A prepared tree.

    Yields:
        str: A line for each finding: the file and what is wrong with it.

    Raises:
        DataError: No prepared tree, or one whose replacement was interrupted.
    """
    out = Path(out)
    if is_interrupted(out):
        raise DataError(f'{out}: a run was killed; run tools/prepare_dataset.py again to finish it')
    recorded = read_dataset_json(out)
    rows = [row for row in read_manifest(out) if row.image]
    if recorded.get('sha256') != dataset_digest(recorded):
        yield f'{out / DATASET}: changed'
    for name, sha256 in recorded['files'].items():
        yield from _compare(out, name, sha256)
    for row in rows:
        yield from _compare(out, row.image, row.image_sha256)
        yield from _compare(out, row.mask, row.mask_sha256)
    listed = {path for row in rows for path in (row.image, row.mask)}
    for path in sorted(set(files_in(out)) - listed):
        yield f'{out / path}: foreign, not in the manifest'
    yield from _compare_counts(out, recorded, rows)
    if recorded['options']['split'] != 'slice':
        yield from _find_leaks(out, rows)


def _compare(out: Path, name: str, sha256: str) -> Iterator[str]:
    path = out / name
    if not path.is_file():
        yield f'{path}: missing'
    elif sha256_file(path) != sha256:
        yield f'{path}: changed'


def _compare_counts(out: Path, recorded: dict, rows: list[Row]) -> Iterator[str]:
    slices = Counter(row.split for row in rows)
    counts = {split: numbers['slices'] for split, numbers in recorded['splits'].items()}
    if counts != dict(slices):
        yield f'{out / DATASET}: changed, its counts are not those of the manifest'


def _find_leaks(out: Path, rows: list[Row]) -> Iterator[str]:
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.patient, set()).add(row.split)
    for patient, names in splits.items():
        if len(names) > 1:
            yield f'{out}: patient {patient} is in {" and ".join(sorted(names))}'
