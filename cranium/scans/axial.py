"""Turning a stack of slices of any orientation to axial ones in the radiological convention."""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.scan import Geometry, Orientation

COARSEST_MM = 2.0
"""The distance of coronal or sagittal slices up to which they are turned to axial ones."""

Vector = NDArray[np.float64]
_AXES = (2, 1, 0)  # slices run along z, rows along y, columns along x
_ORDERS = [(i, j, k) for i, j, k in permutations(range(3))]
_EVEN = 0.01  # of the distance: what positions may be off in a grid


def to_axial(
    source: str, corners: Vector, across: Vector, down: Vector, size: tuple[int, int]
) -> tuple[Orientation, Geometry]:
    """Find out how stored slices become axial ones, and where those lie.

    Args:
        source (str): What to name in an error.
        corners (ndarray): (N, 3), the centre of the first pixel of each, sorted by :func:`order`.
        across (ndarray): (3,), from one column to the next, in mm.
        down (ndarray): (3,), from one row to the next, in mm.
        size (tuple[int, int]): Rows and columns as stored.

    Returns:
        tuple: From the stored to the axial slices, and the geometry of these.

    Raises:
        CraniumError: They are coronal or sagittal, and too coarse or no even, straight grid.
    """
    steps = [_through(across, down), down, across]
    axes: tuple[int, int, int] = max(_ORDERS, key=lambda axes: _alignment(steps, axes))
    if axes[0] != 0:
        steps[0] = _step(source, corners, steps[0], 'coronal' if axes[1] == 0 else 'sagittal')
    turned = [bool(steps[axis][at] < 0) for axis, at in zip(axes, _AXES)]
    ends = np.array([len(corners), *size]) - 1
    for axis, turn in zip(axes, turned):
        if turn and axis == axes[0] == 0:
            corners = corners[::-1]
        elif turn:
            corners = corners + ends[axis] * steps[axis]
            steps[axis] = -steps[axis]
    if axes[0] != 0:
        corners = corners[0] + np.arange(ends[axes[0]] + 1)[:, None] * steps[axes[0]]
    first, second, third = turned
    orientation = Orientation(axes, (first, second, third))
    return orientation, Geometry(corners, steps[axes[2]], steps[axes[1]])


def order(corners: Vector, across: Vector, down: Vector) -> NDArray[np.intp]:
    """Sort slices along their normal, towards the head, the back or the left.

    Args:
        corners (ndarray): (N, 3), the centre of the first pixel of each.
        across (ndarray): (3,), from one column to the next.
        down (ndarray): (3,), from one row to the next.

    Returns:
        ndarray: Their numbers, (N,), in that order.
    """
    return np.argsort(corners @ _through(across, down), kind='stable')


def _through(across: Vector, down: Vector) -> Vector:
    """Return the normal, (3,), in the direction in which its axis runs."""
    normal = np.cross(across, down)
    normal /= np.linalg.norm(normal)
    return np.asarray(normal if normal[np.abs(normal).argmax()] > 0 else -normal)


def _alignment(steps: list[Vector], axes: tuple[int, ...]) -> float:
    return float(sum(abs(steps[k][at]) / np.linalg.norm(steps[k]) for k, at in zip(axes, _AXES)))


def _step(source: str, corners: Vector, normal: Vector, plane: str) -> Vector:
    """Return the step from a slice to the next where all are the same, along the normal."""
    remedy = 'reconstruct axial slices of the scan'
    if len(corners) < 2:
        raise CraniumError(f'{source}: a {plane} slice, where axial ones are needed; {remedy}')
    gaps = np.diff(corners, axis=0)
    step = gaps.mean(axis=0)
    distance = float(np.linalg.norm(step))
    if distance > COARSEST_MM:
        msg = f'{source}: {plane} slices {distance:.1f} mm apart, too coarse to be turned to axial'
        raise CraniumError(f'{msg} ones (up to {COARSEST_MM:g} mm); {remedy}')
    off = max(np.abs(gaps - step).max(), np.abs(step - (step @ normal) * normal).max())
    if off > max(_EVEN * distance, 1e-3):
        msg = f'{source}: {plane} slices that are no even, straight grid, so they cannot be turned'
        raise CraniumError(f'{msg} to axial ones; {remedy}')
    return np.asarray(step)
