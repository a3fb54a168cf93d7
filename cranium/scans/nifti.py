"""NIfTI volumes: their voxels, where they lie, and scans from them."""

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import AIR_HU
from cranium.scans.scan import Geometry, Orientation, Scan

_MM = {'mm': 1.0, 'micron': 0.001, 'meter': 1000.0, 'unknown': 1.0}
"""Units of a NIfTI header; most programs that leave them out mean mm."""

# A head is some 150 mm wide and 200 mm long; a scan of one has at most some 2000 thin slices.
_MOST_LONGER = 3
_MOST_VOXELS = 2**30
_MOST_PIXEL_MM = 2.0
_MOST_CROOKED = 0.02  # cosine of the angle between rows and columns: 1 degree
_LEFT_TO_RIGHT = np.diag([-1.0, -1.0, 1.0, 1.0])  # between NIfTI's coordinates and DICOM's

_NIFTI_2 = {(540).to_bytes(4, order) for order in ('little', 'big')}  # size of its header

_WATER = 1024  # what unsigned HU are mostly shifted by


@dataclass(frozen=True, eq=False)
class Volume:
    """The voxels of a NIfTI, and where they lie.

    Args:
        voxels (ndarray): (X, Y, Z) as stored, whole numbers or float32.
        affine (ndarray): (4, 4), from voxels to mm to the right, front and up.
        shape (tuple[int, ...]): As stored, with two axes or with further ones of length 1.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    shape: tuple[int, ...]

    @cached_property
    def orientation(self) -> Orientation:
        """To axial slices, from the neck to the vertex, in radiological convention."""
        import nibabel

        orientations: Any = nibabel.orientations
        found = orientations.io_orientation(self.affine)
        # Of the file's axes, the one closest to each of right, front and up.
        right, front, up = (int(axis) for axis in np.argsort(found[:, 0]))
        along = [bool(way > 0) for way in found[:, 1]]
        return Orientation((up, front, right), (not along[up], along[front], along[right]))

    @property
    def geometry(self) -> Geometry:
        """Where the slices lie."""
        lengths = np.array(self.voxels.shape)
        # By file axis: the voxel that becomes the first of the slices, and which way they run.
        first, steps = np.zeros(3), np.zeros((3, 3))
        for step, axis, turned in zip(steps, self.orientation.axes, self.orientation.reverse):
            first[axis] = lengths[axis] - 1 if turned else 0
            step[axis] = -1 if turned else 1
        affine = _LEFT_TO_RIGHT @ self.affine
        up, down, across = steps @ affine[:3, :3].T
        numbers = np.arange(lengths[self.orientation.axes[0]])[:, None]
        return Geometry(affine[:3, :3] @ first + affine[:3, 3] + numbers * up, across, down)

    @property
    def slice_mm(self) -> float:
        """Distance of the slices along their normal; nan where the file has no third axis."""
        if len(self.shape) == 2:
            return np.nan
        height, width = self.geometry.pixel_mm
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / (height * width)


def read_volume(file: Path) -> Volume:
    """Read a NIfTI, a volume or a slice.

    Args:
        file (Path): ``.nii`` or ``.nii.gz``.

    Returns:
        Volume: Scaled as its header says.

    Raises:
        CraniumError: No NIfTI, a damaged one, of colours or several volumes, or without a valid
            affine.
        OSError: It is not there or may not be read.
    """
    import nibabel

    source = str(file)
    if not file.is_file():
        raise FileNotFoundError(f'{source}: no such file')
    try:
        # By nibabel.load, a damaged archive would be read as far as it goes, without its checksum.
        with (gzip.open if file.suffix == '.gz' else open)(file, 'rb') as stream:
            version = 2 if stream.read(4) in _NIFTI_2 else 1
            stream.seek(0)
            kind: Any = nibabel.Nifti2Image if version == 2 else nibabel.Nifti1Image
            image = kind.from_stream(stream)
            voxels = _read_voxels(image, source)
            stream.read(2**20)  # past the end, where the checksum is
        affine = np.diag([*[_MM[image.header.get_xyzt_units()[0]]] * 3, 1.0]) @ image.affine
    except (CraniumError, PermissionError):
        raise
    # Whatever nibabel says of a header that makes no sense, or of data that end early.
    except (
        *(OSError, EOFError, ValueError, KeyError, OverflowError, zlib.error),
        *(nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError),
        nibabel.wrapstruct.WrapStructError,
    ) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        msg = f'{source}: cannot be read as NIfTI ({reason}); write it again'
        raise CraniumError(msg) from error
    shape = image.shape
    coded = image.header['sform_code'] > 0 or image.header['qform_code'] > 0
    if not coded or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        msg = f'{source}: no valid affine (sform or qform), so which way is up is not known'
        raise CraniumError(f'{msg}; save it with that of the scan')
    volume = Volume(voxels.reshape(*shape[:3], *[1] * (3 - len(shape))), affine, shape)
    _check_head(volume, source)
    return volume


def read_nifti(file: Path) -> Scan:
    """Read a scan from a NIfTI in Hounsfield units.

    Args:
        file (Path): ``.nii`` or ``.nii.gz``.

    Returns:
        Scan: Its axial slices, whatever the order of its axes. Voxels that are no number are air.

    Raises:
        CraniumError: As :func:`read_volume`; values that are no HU; axial pixels of more than 2 mm,
            as a coronal or sagittal series has.
        OSError: It is not there or may not be read.
    """
    volume, source = read_volume(file), str(file)
    geometry, orientation = volume.geometry, volume.orientation
    height, width = geometry.pixel_mm
    if max(height, width) > _MOST_PIXEL_MM:
        msg = f'{source}: its axial pixels are {width:.2g} x {height:.2g} mm, too coarse'
        raise CraniumError(f'{msg}; name the axial series of this scan')
    hu, remarks = _to_hu(volume.voxels, source)
    return Scan(
        orientation.apply(hu),
        file.name.partition('.')[0],
        source,
        (source,),
        geometry,
        orientation=orientation,
        shape=None if len(volume.shape) == 3 else volume.shape,
        remarks=remarks,
    )


def _read_voxels(image: Any, source: str) -> NDArray[Any]:
    """Read and scale the voxels of an image of nibabel, whole numbers or float32."""
    shape, kind = image.shape, image.get_data_dtype()
    if kind.kind not in 'iuf':
        what = 'an image in colours' if kind.names else f'of type {kind}'
        raise CraniumError(f'{source}: {what}; a scan holds one number a voxel: convert it')
    if not len(shape) >= 2 or set(shape[3:]) - {1} or 0 in shape:
        msg = f'{source}: the shape is {shape}; expected is a slice or a volume'
        raise CraniumError(f'{msg}: save one volume a file')
    if np.prod(shape, dtype=float) > _MOST_VOXELS:
        raise CraniumError(f'{source}: the shape is {shape}, too large for a head; crop it')
    stored = image.dataobj
    scaled = (stored.slope, stored.inter) != (1, 0) or kind.kind == 'f'
    return np.asarray(stored, np.float32 if scaled else None)


def _check_head(volume: Volume, source: str) -> None:
    """Refuse axial slices that no scan of a head has, by their sides and their corners."""
    geometry = volume.geometry
    height, width = geometry.pixel_mm
    crooked = abs(geometry.across @ geometry.down) / (height * width)
    if crooked > _MOST_CROOKED:
        msg = f'{source}: by its affine, rows and columns are not at right angles'
        raise CraniumError(f'{msg}; save the scan as it was before it was registered')
    _, rows, columns = volume.orientation.apply(volume.voxels).shape
    sides = width * columns, height * rows
    if max(sides) > _MOST_LONGER * min(sides):
        msg = f'{source}: by its affine, axial slices are {sides[0]:.0f} x {sides[1]:.0f} mm'
        raise CraniumError(f'{msg}, which is no head; save it with the affine of the scan')


def _to_hu(voxels: NDArray[Any], source: str) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Take values for HU, or refuse them; return what there is to remark."""
    remarks: list[str] = []
    finite = np.isfinite(voxels)
    missing = finite.size - np.count_nonzero(finite)
    if missing == finite.size:
        raise CraniumError(f'{source}: no voxel holds a number; save the scan again')
    known = voxels[finite] if missing else voxels
    low, high = known.min(), known.max()
    shift = _shift(known, low, high, source)
    if shift:
        remarks.append(f'values from {low:g}, in which soft tissue lies at {shift}: {shift} taken')
        remarks[-1] += ' from each to give HU'
    if voxels.dtype != np.int16 or shift:
        limits = np.iinfo(np.int16)
        wide = np.where(finite, voxels, 0).astype(np.float32) - shift
        voxels = np.clip(np.rint(wide), limits.min, limits.max).astype(np.int16)
    if missing:
        voxels[~finite] = AIR_HU
        remarks.append(f'{missing} voxels are no number (NaN); taken for air, {AIR_HU} HU')
    return voxels, tuple(remarks)


def _shift(voxels: NDArray[Any], low: float, high: float, source: str) -> int:
    """How far values lie above HU: 0, or 1024 where that is certain; refuse what is no HU."""
    if low < 0 and (low < -20 or high > 20):
        return 0
    what = f'{source}: its values are {low:g} to {high:g}'
    remedy = 'save the scan in Hounsfield units'
    if high <= 20:
        raise CraniumError(f'{what}, a mask or normalised; {remedy}')
    if high <= 255:
        raise CraniumError(f'{what}, gray values of a window; {remedy}')
    # Of HU, there are ten times as many in soft tissue as between air and fat; of values without
    # shift, bone of 400 to 900 HU is more than that of 1024 to 1124.
    soft = np.count_nonzero((voxels >= _WATER) & (voxels <= _WATER + 100))
    between = np.count_nonzero((voxels >= _WATER - 624) & (voxels <= _WATER - 124))
    if soft > 3 * between and soft > 0.01 * voxels.size:
        return _WATER
    raise CraniumError(f'{what}, none below 0, where air is, so they are no HU; {remedy}')
