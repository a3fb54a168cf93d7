"""Arrays of Hounsfield units as scans."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.scan import Geometry, Scan


def scan_of_array(array: Any, spacing: Sequence[float] | None, name: str) -> Scan:
    """Take an array for a scan.

    Args:
        array: HU, (H, W) or (N, H, W), from the neck to the vertex, of integers or floats.
        spacing (Sequence[float], optional): In mm: between slices, rows and columns; of a lone
            slice also rows and columns alone. None: not known.
        name (str): The scan's, also for messages.

    Raises:
        CraniumError: It is not of this shape or type, or a number in it is none.
    """
    hu = np.asarray(array)
    if hu.ndim not in (2, 3) or not hu.size or (hu.ndim == 3 and hu.shape[2] in (3, 4)):
        msg = f'{name}: the shape is {hu.shape}; give Hounsfield units, (rows, columns) or'
        raise CraniumError(f'{msg} (slices, rows, columns)')
    if hu.dtype == np.uint8 or hu.dtype.kind not in 'iuf':
        msg = f'{name}: the type is {hu.dtype}; give Hounsfield units, as of'
        raise CraniumError(f'{msg} cranium.windows.BRAIN.to_hu(gray) for gray of a brain window')
    if hu.dtype.kind == 'f' and not np.isfinite(hu).all():
        msg = f'{name}: {np.count_nonzero(~np.isfinite(hu))} values are no numbers'
        raise CraniumError(f'{msg}; put -1000, air, in their place')
    remarks = []
    if hu.min() >= 0:
        remarks.append('No value is below 0, where air and fat are: are these Hounsfield units?')
    limits = np.iinfo(np.int16)
    whole = np.asarray(np.clip(np.rint(hu), limits.min, limits.max), np.int16)
    slices = whole.reshape(-1, *whole.shape[-2:])
    return Scan(
        hu=slices,
        name=name,
        source=name,
        geometry=_geometry(len(slices), spacing, name),
        shape=hu.shape,
        remarks=tuple(remarks),
    )


def _geometry(count: int, spacing: Sequence[float] | None, name: str) -> Geometry | None:
    if spacing is None:
        return None
    numbers = [float(each) for each in spacing]
    if count == 1 and len(numbers) == 2:
        numbers = [1.0, *numbers]  # of a lone slice it means nothing
    if len(numbers) != 3 or not all(0 < each < np.inf for each in numbers):
        msg = f'{name}: spacing is {tuple(spacing)}; give mm between slices, rows and columns'
        raise CraniumError(f'{msg}, as in (5.0, 0.45, 0.45)')
    slice_mm, row_mm, column_mm = numbers
    corners: NDArray[np.float64] = np.zeros((count, 3))
    corners[:, 2] = slice_mm * np.arange(count)
    return Geometry(corners, np.array([column_mm, 0.0, 0.0]), np.array([0.0, row_mm, 0.0]))
