"""A scan as everything after its reader sees it: axial slices in HU, and where they lie."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.windows import Window

Voxels = TypeVar('Voxels', bound=np.generic)


@dataclass(frozen=True)
class Orientation:
    """How the voxels of a file become axial slices: axes are exchanged, then some are reversed.

    Args:
        axes (tuple): For slices, rows and columns, in this order, the axis of the file.
        reverse (tuple): Whether each of them, in the order of the slices, runs the other way.

    Examples:
        >>> stored = np.arange(6).reshape(3, 2, 1)  # (x, y, z): right, front, up
        >>> nifti = Orientation((2, 1, 0), (False, True, True))
        >>> nifti.apply(stored).tolist()
        [[[5, 3, 1], [4, 2, 0]]]
        >>> bool((nifti.undo(nifti.apply(stored)) == stored).all())
        True
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    reverse: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, stored: NDArray[Voxels]) -> NDArray[Voxels]:
        """Turn the voxels of a file, 3-D, to slices, (N, H, W)."""
        return self._reversed(stored.transpose(self.axes))

    def undo(self, slices: NDArray[Voxels]) -> NDArray[Voxels]:
        """Turn slices, (N, H, W), to the voxels of the file."""
        return self._reversed(slices).transpose(np.argsort(self.axes))

    def _reversed(self, slices: NDArray[Voxels]) -> NDArray[Voxels]:
        return slices[tuple(slice(None, None, -1 if turn else 1) for turn in self.reverse)]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the pixels of a scan lie in the patient, in mm of DICOM's coordinates.

    These are LPS: x runs to the patient's left, y to the back, z to the head. The slices of a
    tilted gantry are sheared against each other and their distances may differ; nothing is assumed
    of either.

    Args:
        corners (ndarray): (N, 3), the centre of the first pixel of each slice.
        across (ndarray): (3,), from one column to the next, in mm.
        down (ndarray): (3,), from one row to the next, in mm.
    """

    corners: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of a pixel."""
        return float(np.linalg.norm(self.down)), float(np.linalg.norm(self.across))

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """(3,), of length 1, through the slices towards the head."""
        cross = np.cross(self.across, self.down)
        return np.asarray(cross / np.linalg.norm(cross), np.float64)

    @cached_property
    def positions_mm(self) -> NDArray[np.float64]:
        """(N,), of each slice along the normal, ascending."""
        return np.asarray(self.corners @ self.normal, np.float64)

    @cached_property
    def thickness_mm(self) -> NDArray[np.float64]:
        """(N,), of the layer that each slice stands for: half-way to its neighbours on both sides.

        The first and the last slice stand for the same on their free side; nan for a lone slice.
        """
        gaps = np.diff(self.positions_mm)
        if not len(gaps):
            return np.full(1, np.nan)
        below, above = np.append(gaps[0], gaps), np.append(gaps, gaps[-1])
        return np.asarray((below + above) / 2, np.float64)

    def point(self, slice: float, row: float, column: float) -> NDArray[np.float64]:
        """Return where a pixel lies, (3,); all three may lie between whole numbers."""
        numbers = np.arange(len(self.corners))
        corner = np.array([np.interp(slice, numbers, axis) for axis in self.corners.T])
        point: NDArray[np.float64] = corner + row * self.down + column * self.across
        return point


@dataclass(frozen=True, eq=False)
class Scan:
    """A stack of axial slices of one head.

    Slices run from the neck to the vertex. They are seen in the radiological convention: the
    patient's front is at the top, the right on the left.

    Args:
        hu (ndarray): (N, H, W), int16, Hounsfield units.
        name (str): A pseudonym, fit to be a file's name; nothing of the patient.
        source (str): The file or folder that it came from, for messages.
        files (tuple[str, ...]): The file of each slice as stored, see ``orientation``; one file if
            that holds all of them.
        geometry (Geometry, optional): Where the slices lie. Defaults to None: a picture.
        pixel_mm (float, optional): Side of a pixel where there is no geometry but that is known.
            Defaults to None.
        orientation (Orientation): From the voxels of the source to ``hu``. Defaults to the same.
        shape (tuple[int, ...], optional): Of the source's own voxels, where that is not the shape
            which ``orientation`` gives: (H, W) of an array or (X, Y, Z, 1) of a NIfTI.
        window (Window, optional): What HU the source could show; beyond, it is saturated. Defaults
            to None: all.
        remarks (tuple[str, ...]): What a user should know of the scan, one line each.
        frames (tuple[int, ...]): If one file holds all, the number in it, from 0, of each slice as
            stored. Defaults to none: they are in order.

    Raises:
        CraniumError: ``hu`` is of another shape or type, or the geometry has not as many slices.
    """

    hu: NDArray[np.int16]
    name: str
    source: str
    files: tuple[str, ...] = ()
    geometry: Geometry | None = None
    pixel_mm: float | None = None
    orientation: Orientation = Orientation()
    shape: tuple[int, ...] | None = None
    window: Window | None = None
    remarks: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()

    def __post_init__(self) -> None:  # noqa: D105
        if self.hu.ndim != 3 or self.hu.dtype != np.int16 or not self.hu.size:
            msg = f'{self.source}: shape {self.hu.shape} and type {self.hu.dtype}'
            raise CraniumError(f'{msg}; a scan is int16 of the shape (slices, rows, columns)')
        if self.geometry is not None and len(self.geometry.corners) != len(self.hu):
            msg = f'{self.source}: {len(self.hu)} slices at {len(self.geometry.corners)} positions'
            raise CraniumError(f'{msg}; each needs one')

    def restore(self, slices: NDArray[Voxels]) -> NDArray[Voxels]:
        """Turn what was found in the slices to the source's own voxels.

        Args:
            slices (ndarray): (N, H, W), of any type: a mask, probabilities.

        Returns:
            ndarray: Of the source's shape. DICOM: (frames, rows, columns) in the order of
            ``files``, or of the frames in the one file; NIfTI: (X, Y, Z); an array: the array's.
        """
        stored: NDArray[Any] = self.orientation.undo(slices)
        if self.frames:
            stored = stored[np.argsort(self.frames)]
        return stored if self.shape is None else stored.reshape(self.shape)
