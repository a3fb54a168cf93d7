"""What a slice is called, what its label may be, and the hemorrhage types of its diagnosis.

A slice of a scan is named ``<patient>_<slice>``, as in ``049_001``; images, masks, predictions and
rows of tables all use this one name.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from cranium.errors import CraniumError

HEMORRHAGE_TYPES = (
    'Intraventricular',
    'Intraparenchymal',
    'Subarachnoid',
    'Epidural',
    'Subdural',
)
"""Columns of ct-ich's diagnosis; a slice may show several."""

# What the mask of a slice is.
MASKED = 'mask'  # drawn by radiologists
BACKGROUND = 'background'  # empty, for the diagnosis says that there is nothing to draw
UNLABELLED = 'unlabelled'  # hemorrhage or unknown, and no mask: not background

PIXEL_MM, SLICE_MM = 0.36, 5.0
"""Side of a pixel and distance of slices in ct-ich; the first is assumed (heads of 150 mm)."""

IGNORE_INDEX = 255
"""The mask value of pixels that neither train nor count."""

# No underscore in a patient, so that a name with a suffix (`049_001_0000`) is none of ours.
_NAME = re.compile(r'(?P<patient>[A-Za-z0-9-]+)_(?P<slice>\d+)', re.ASCII)


def patient_name(patient: int | str) -> str:
    """Name a patient.

    Args:
        patient (int | str): A number or a name.

    Returns:
        str: At least three digits for a number, ``'049'`` for 49 or ``'49'``; else the name.
    """
    text = str(patient)
    return f'{int(text):03d}' if text.isascii() and text.isdigit() else text


def slice_name(patient: int | str, slice: int) -> str:
    """Name a slice.

    Args:
        patient (int | str): The patient.
        slice (int): Number of the slice within the scan.

    Returns:
        str: Such as ``'049_001'``; neither part has an upper limit.
    """
    return f'{patient_name(patient)}_{slice:03d}'


def parse_slice_name(file: str | Path) -> tuple[str, int]:
    """Read patient and slice from a file name.

    Args:
        file (str | Path): ``<patient>_<slice>`` with any suffix, in any folder.

    Returns:
        tuple[str, int]: As in ``('049', 21)`` for ``049_021.png`` or ``49_21.nii.gz``.

    Raises:
        CraniumError: It is named otherwise.
    """
    match = _NAME.fullmatch(Path(file).name.partition('.')[0])
    if not match:
        msg = f'{file}: expected a name of the form <patient>_<slice>, such as 049_021.png'
        raise CraniumError(msg)
    return patient_name(match['patient']), int(match['slice'])


def join_types(types: Iterable[str]) -> str:
    """Join hemorrhage types to a cell of a table, as in ``Epidural+Subdural``."""
    return '+'.join(types)


def split_types(cell: str) -> tuple[str, ...]:
    """Split a cell of :func:`join_types`; ``()`` for an empty one."""
    return tuple(filter(None, cell.split('+')))
