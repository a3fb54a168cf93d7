"""The slices of a series as layers of equal distance, as NIfTI has them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.scan import Geometry

RAS = np.diag([-1.0, -1.0, 1.0])
"""From DICOM's coordinates (LPS) to NIfTI's."""

# Distances that differ by less than this share are one distance, rounded by the scanner.
_SAME = 0.01


class Grid(NamedTuple):
    """Layers of equal distance.

    Attributes:
        slices (ndarray): (K,), int, the slice that each layer shows: the nearest one.
        affine (ndarray): (4, 4), from column, row and layer to mm (RAS). Sheared where the gantry
            is tilted.
        upright (ndarray): (4, 4), the same without the shear: the layers stand straight above each
            other.
    """

    slices: NDArray[np.intp]
    affine: NDArray[np.float64]
    upright: NDArray[np.float64]


def regular_grid(geometry: Geometry, source: str) -> Grid:
    """Lay layers of the smallest distance through the slices, so that none of them is lost.

    Raises:
        CraniumError: The slices do not lie along one line, which ``source`` is blamed for.
    """
    positions, corners = geometry.positions_mm, geometry.corners
    along, distance = geometry.normal, 1.0
    slices = np.arange(len(positions))
    if len(positions) > 1:
        gaps = np.diff(positions)
        even = np.ptp(gaps) < _SAME * gaps.min()
        distance = float(gaps.mean() if even else gaps.min())
        along = (corners[-1] - corners[0]) / (positions[-1] - positions[0])
        count = round((positions[-1] - positions[0]) / distance) + 1
        layers = positions[0] + distance * np.arange(count)
        slices = np.abs(layers[:, None] - positions).argmin(axis=1)
        line = corners[0] + np.outer(positions - positions[0], along)
        aside = np.linalg.norm(corners - line, axis=1).max()
        if aside > min(geometry.pixel_mm) / 2:
            msg = f'{source}: slices lie up to {aside:.1f} mm beside a common line, so that NIfTI'
            raise CraniumError(f'{msg} cannot hold them; save mask or dicom-seg')
    return Grid(
        slices,
        _affine(geometry, distance * along),
        _affine(geometry, distance * geometry.normal),
    )


def _affine(geometry: Geometry, step: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = np.eye(4)
    columns = (geometry.across, geometry.down, step, geometry.corners[0])
    affine[:3] = RAS @ np.stack(columns, axis=1)
    return affine
