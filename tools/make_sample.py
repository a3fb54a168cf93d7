"""Choose the slices of ``data/sample`` from the unpacked download, byte for byte."""

import shutil
from pathlib import Path

import click

from cranium.cli import run
from cranium.diagnosis import DIAGNOSIS
from cranium.errors import CraniumError
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
    if (out / PATIENTS).exists():
        raise CraniumError(f'{out / PATIENTS}: exists already; remove it first')
    for patient, (first, last) in RUNS.items():
        for number in range(first, last + 1):
            for file in (
                f'brain/{number}.jpg',
                f'bone/{number}.jpg',
                f'brain/{number}_HGE_Seg.jpg',
            ):
                member = f'{PATIENTS}/{patient:03d}/{file}'
                (out / member).parent.mkdir(parents=True, exist_ok=True)
                if (source / member).exists():  # there is a mask only of hemorrhage
                    shutil.copyfile(source / member, out / member)
    for table in (DIAGNOSIS, DEMOGRAPHICS):
        lines = (source / table).read_bytes().splitlines(keepends=True)
        wanted = [line for line in lines if is_wanted(line.decode(), table)]
        (out / table).write_bytes(b''.join(wanted))


def is_wanted(line: str, table: str) -> bool:
    """Whether a line is of the header, or of a sampled slice or patient."""
    patient, _, rest = line.partition(',')
    if not patient.isdigit():
        return True
    first, last = RUNS.get(int(patient), (1, 0))
    return first <= last if table == DEMOGRAPHICS else first <= int(rest.split(',')[0]) <= last


run(command)
