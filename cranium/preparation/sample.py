"""The choice of real slices that the repository carries in ``data/sample``."""

from pathlib import Path

from cranium.preparation.errors import DataError
from cranium.preparation.raw import DEMOGRAPHICS_CSV, DIAGNOSIS_CSV, PATIENTS
from cranium.preparation.source import FolderSource

RUNS = {
    # With hemorrhage: each run opens with slices below the lesion or ends with some above it.
    '050': (13, 19),  # intraparenchymal
    '052': (10, 15),  # epidural
    '066': (11, 17),  # epidural
    '071': (10, 15),  # intraparenchymal and subdural
    '076': (16, 20),  # intraparenchymal and subarachnoid
    '081': (11, 17),  # subdural
    '085': (10, 14),  # intraventricular
    '094': (19, 24),  # intraventricular, intraparenchymal and subarachnoid
    # Without.
    '062': (9, 11),
    '105': (12, 14),
    '112': (11, 13),
    '122': (12, 14),
}
"""First and last slice by patient: neighbours, so that a volume can be seen."""


def copy_sample(source: FolderSource, out: Path) -> int:
    """Copy the sample's slices, byte for byte, and the rows of both CSV files that are theirs.

    Args:
        source (FolderSource): An unpacked download that holds the patients of ``RUNS``.
        out (Path): Where to write; it must not hold slices yet.

    Returns:
        int: The number of slices.

    Raises:
        DataError: A slice is not in the source, or ``out`` has slices.
    """
    if (out / PATIENTS).exists():
        raise DataError(f'{out / PATIENTS}: exists already; remove it first')
    for patient, (first, last) in RUNS.items():
        for number in range(first, last + 1):
            _copy_slice(source, out, f'{PATIENTS}/{patient}', number)
    _copy_rows(source, out, DIAGNOSIS_CSV, _is_sampled_slice)
    _copy_rows(source, out, DEMOGRAPHICS_CSV, lambda cells: f'{int(cells[0]):03d}' in RUNS)
    return sum(last + 1 - first for first, last in RUNS.values())


def _copy_slice(source: FolderSource, out: Path, patient: str, number: int) -> None:
    names = [f'brain/{number}.jpg', f'bone/{number}.jpg']
    mask = f'brain/{number}_HGE_Seg.jpg'
    if (source.root / patient / mask).exists():
        names.append(mask)
    for name in names:
        content = source.read(f'{patient}/{name}')
        target = out / patient / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _is_sampled_slice(cells: list[str]) -> bool:
    first, last = RUNS.get(f'{int(cells[0]):03d}', (1, 0))
    return first <= int(cells[1]) <= last


def _copy_rows(source: FolderSource, out: Path, name: str, wanted) -> None:
    """Copy the header as it is, byte order mark and line break too, and the wanted lines."""
    lines = source.read(name).splitlines(keepends=True)
    body = next(i for i, line in enumerate(lines) if line[:1].isdigit())
    rows = [line for line in lines[body:] if wanted(line.decode().split(','))]
    (out / name).write_bytes(b''.join(lines[:body] + rows))
