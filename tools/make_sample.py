"""Choose the slices of ``data/sample`` from the unpacked download, byte for byte."""

import shutil
from pathlib import Path

import click

from cranium.cli import run
from cranium.diagnosis import DIAGNOSIS
from cranium.preparation.raw import DEMOGRAPHICS
from cranium.preparation.source import PATIENTS

RUNS = {  # first and last slice by patient: neighbours, so that a volume can be seen
    # With hemorrhage: each run opens with slices below the lesion or ends with some above it.
    50: (13, 19),  # intraparenchymal
    52: (10, 15),  # epidural
    66: (11, 17),  # epidural
    71: (10, 15),  # intraparenchymal and subdural
    76: (16, 20),  # intraparenchymal and subarachnoid
    81: (11, 17),  # subdural
    85: (10, 14),  # intraventricular
    94: (19, 24),  # intraventricular, intraparenchymal and subarachnoid
    # Without.
    62: (9, 11),
    105: (12, 14),
    112: (11, 13),
    122: (12, 14),
}


@click.command()
@click.option('--source', type=click.Path(path_type=Path), required=True)
@click.option('--out', type=click.Path(path_type=Path), default='data/sample', show_default=True)
def command(source: Path, out: Path) -> None:
    """Copy the sample from SOURCE, the folder that holds Patients_CT and the CSVs."""
    for patient, (first, last) in RUNS.items():
        for number in range(first, last + 1):
            for name in (
                f'brain/{number}.jpg',
                f'bone/{number}.jpg',
                f'brain/{number}_HGE_Seg.jpg',
            ):
                file = f'{PATIENTS}/{patient:03d}/{name}'
                if (source / file).exists() or 'Seg' not in name:
                    (out / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source / file, out / file)
    for table in (DIAGNOSIS, DEMOGRAPHICS):
        lines = (source / table).read_bytes().splitlines(keepends=True)
        (out / table).write_bytes(b''.join(filter(is_sampled, lines)))


def is_sampled(line: bytes) -> bool:
    """Whether a line of a table is of the header, or of a sampled slice or patient."""
    patient, number, *_ = line.split(b',') + [b'']
    if not patient.isdigit():
        return True
    first, last = RUNS.get(int(patient), (1, 0))
    is_demographics = not number.isdigit() or line.count(b'"')
    return first <= last if is_demographics else first <= int(number) <= last


run(command)
