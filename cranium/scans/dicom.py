"""Reading a DICOM CT series: slices in HU, sorted by where they lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import AIR_HU
from cranium.scans.axial import order, to_axial
from cranium.scans.headers import SAME_MM, Frame, Header, read_header
from cranium.scans.pixels import Pixels, decode
from cranium.scans.scan import Geometry, Scan

LOWEST = -1024
"""What scanners write below it is padding, or noise in air."""

_HIGHEST = np.iinfo(np.int16).max
_TISSUE = -500, 1000  # HU that padding cannot be told from
_LEAST_AIR = 0.01  # of all pixels
_GAP = 1.5  # times the distance on either side
_HEAD = ('HEAD', 'BRAIN', 'SKULL', 'CRAN', 'NEURO')


def read_dicom(files: Sequence[Path]) -> Scan:
    """Read a series of CT slices, or an enhanced CT.

    The geometry is that of ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone;
    slices are sorted along their normal. Coronal and sagittal ones become axial if they are close
    and even, see :func:`~cranium.scans.axial.to_axial`. A slice that is there twice counts once.

    Where files are read is ``joblib.parallel_config``'s to say: here by default.

    Args:
        files (sequence): The files of one series, in any order.

    Returns:
        Scan: Its ``files`` are sorted along the normal, unless one holds several slices.

    Raises:
        CraniumError: A file is damaged or no CT slice, or they do not make one stack.
        OSError: A file cannot be read.
    """
    headers = [read_header(path) for path in sorted(files)]
    _require_one_stack(headers)
    first = headers[0].frames[0]
    across = np.array(first.orientation[:3]) * first.spacing[1]
    down = np.array(first.orientation[3:]) * first.spacing[0]
    corners = np.array([frame.position for header in headers for frame in header.frames])
    numbers = order(corners, across, down)
    stored = _read_frames(headers, numbers)
    once = _once(headers, numbers, corners @ first.normal, stored)
    doubles = len(numbers) - len(once)
    if doubles:
        numbers, stored = numbers[once], stored[once]
    source, one_file = str(headers[0].path), len(headers) == 1
    orientation, geometry = to_axial(source, corners[numbers], across, down, headers[0].size)
    return Scan(
        hu=np.ascontiguousarray(orientation.apply(stored)),
        name='series',
        source=source,
        files=(source,) if one_file else tuple(str(headers[number].path) for number in numbers),
        frames=tuple(numbers.tolist()) if one_file else (),
        geometry=geometry,
        orientation=orientation,
        remarks=tuple(_remarks(headers[0], geometry, stored, doubles)),
    )


def _require_one_stack(headers: Sequence[Header]) -> None:
    first = headers[0]
    for header in headers[1:]:
        one_slice = len(header.frames) == len(first.frames) == 1
        if not (one_slice and header.is_parallel(first) and header.has_same_pixels(first)):
            msg = f'{header.path}: does not lie in one stack with {first.path.name}'
            raise CraniumError(f'{msg}; put each stack into a folder of its own')


def _read_frames(headers: Sequence[Header], numbers: NDArray[np.intp]) -> NDArray[np.int16]:
    """Read the frames of all files, (N, H, W), in the order of their ``numbers``."""
    places = iter(np.argsort(numbers))
    stored = np.empty((len(numbers), *headers[0].size), np.int16)
    for header, pixels in zip(headers, decode(headers)):
        for frame, values in zip(header.frames, pixels):
            stored[next(places)] = _to_hu(values, header, frame)
    return stored


def _to_hu(stored: Pixels, header: Header, frame: Frame) -> NDArray[np.int16]:
    hu = stored.astype(np.float32)
    hu *= np.float32(frame.slope)
    hu += np.float32(frame.intercept)
    np.clip(np.rint(hu, out=hu), LOWEST, _HIGHEST, out=hu)
    if header.padding:
        hu[_is_padding(stored, header.padding, frame)] = AIR_HU
    return hu.astype(np.int16)


def _is_padding(stored: Pixels, padding: tuple[int, ...], frame: Frame) -> NDArray[np.bool_]:
    """Whether a value is padding, unless that may as well be tissue's."""
    unsigned = np.array(padding) % 2 ** (8 * stored.dtype.itemsize)
    values = unsigned.astype(f'u{stored.dtype.itemsize}').view(stored.dtype)
    low, high = int(values.min()), int(values.max())
    lowest, highest = sorted(value * frame.slope + frame.intercept for value in (low, high))
    apart = highest < _TISSUE[0] or lowest > _TISSUE[1]
    return (stored >= low) & (stored <= high) & apart


def _once(
    headers: Sequence[Header],
    numbers: NDArray[np.intp],
    positions: NDArray[np.float64],
    stored: NDArray[np.int16],
) -> list[int]:
    """Return which of the sorted slices to keep: the first of those that are there twice.

    Raises:
        CraniumError: Two of the same position show something else.
    """
    kept = [0]
    for at in range(1, len(numbers)):
        number, last = numbers[at], numbers[kept[-1]]
        if abs(positions[number] - positions[last]) >= SAME_MM:
            kept.append(at)
        elif len(headers) == 1:
            msg = f'{headers[0].path}: frames at one position, as of several phases'
            raise CraniumError(f'{msg}; export each phase as a series of its own')
        elif not np.array_equal(stored[at], stored[kept[-1]]):
            msg = f'{headers[number].path}: at the position of {headers[last].path.name}'
            msg = f'{msg}, and another picture, as of another phase'
            raise CraniumError(f'{msg}; put each phase into a folder of its own')
    return kept


def _remarks(
    first: Header, geometry: Geometry, stored: NDArray[np.int16], doubles: int
) -> Iterator[str]:
    if doubles:
        yield f'slices that are there twice and count once: {doubles}'
    yield from _gaps(geometry)
    if len(stored) == 1:
        yield 'one slice alone: no volume without its neighbours; name the folder for the series'
    if first.body_part and not any(part in first.body_part.upper() for part in _HEAD):
        yield f'by its header a scan of {first.body_part}, not of the head'
    if first.contrast:
        yield 'with contrast agent, which looks like blood; made for scans without'
    if not first.rescaled:
        yield 'does not say how its values become HU; taken for HU as they are'
    if np.count_nonzero(stored < _TISSUE[0]) < _LEAST_AIR * stored.size:
        yield 'hardly any air around the head; its values may not be HU'


def _gaps(geometry: Geometry) -> Iterator[str]:
    """Yield where slices lie further apart than their neighbours on both sides do."""
    distances = np.diff(geometry.positions_mm)
    if len(distances) < 3:
        return
    before, after = np.append(distances[1], distances[:-1]), np.append(distances[1:], distances[-2])
    usual = np.maximum(before, after)
    for at in np.flatnonzero(distances > _GAP * usual):
        gap = f'a gap of {distances[at]:.1f} mm between slices {at + 1} and {at + 2}'
        yield f'{gap}, whose neighbours lie {usual[at]:.1f} mm apart; are files missing?'
