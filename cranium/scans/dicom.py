"""Reading a DICOM CT series: slices in HU, sorted by where they lie."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.axial import order, to_axial
from cranium.scans.headers import Frame, Header, read_dataset, read_header
from cranium.scans.scan import Scan

AIR = -1000
LOWEST = -1024
"""Below there is no HU: what scanners write there is padding or noise in air."""

_TISSUE = (-500, 1000)  # padding in between would be a fault of the file
_SAME_MM = 0.01


def read_dicom(files: Sequence[Path]) -> Scan:
    """Read a series of CT slices, or an enhanced CT.

    The geometry is that of ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone;
    slices are sorted along their normal. Coronal or sagittal slices become axial ones if they are
    close and even, see :func:`~cranium.scans.axial.to_axial`.

    Args:
        files (sequence): The files of one series, in any order.

    Returns:
        Scan: Its ``files`` are sorted by position.

    Raises:
        CraniumError: A file is damaged or no CT slice, or they do not make one stack.
        OSError: A file cannot be read.
    """
    headers = [read_header(path) for path in files]
    source = str(headers[0].path)
    frames = [(header, i) for header in headers for i in range(len(header.frames))]
    _require_one_stack(headers)
    first = headers[0].frames[0]
    across = np.array(first.orientation[:3]) * first.spacing[1]
    down = np.array(first.orientation[3:]) * first.spacing[0]
    corners = np.array([header.frames[i].position for header, i in frames])
    numbers, positions = order(corners, across, down)
    if (np.diff(positions) < _SAME_MM).any():
        raise CraniumError(f'{source}: several slices at one position; name one phase of the scan')
    orientation, geometry = to_axial(source, corners[numbers], across, down, headers[0].size)
    stored = np.concatenate([_read_hu(frames[number][0]) for number in numbers])
    return Scan(
        hu=np.ascontiguousarray(orientation.apply(stored)),
        name='series',
        source=source,
        files=tuple(str(frames[number][0].path) for number in numbers),
        geometry=geometry,
        orientation=orientation,
    )


def _require_one_stack(headers: Sequence[Header]) -> None:
    first = headers[0]
    for header in headers:
        if header.size != first.size:
            sizes = ' and '.join(f'{rows}x{columns}' for rows, columns in (header.size, first.size))
            msg = f'{header.path}: slices of {sizes} pixels in one series'
            raise CraniumError(f'{msg}; put those of each size into a folder of their own')


def _read_hu(header: Header) -> NDArray[np.int16]:
    """Read the frames of a file, (N, H, W), int16."""
    dataset = read_dataset(header.path)
    try:
        stored = dataset.pixel_array
    except Exception as error:  # decoders of several libraries raise what they like
        raise CraniumError(f'{header.path}: pixels cannot be decoded; copy it again') from error
    stored = stored.reshape(-1, *header.size)
    return np.stack([_to_hu(pixels, frame) for pixels, frame in zip(stored, header.frames)])


def _to_hu(stored: NDArray[np.integer], frame: Frame) -> NDArray[np.int16]:
    hu = stored.astype(np.float32)
    hu *= np.float32(frame.slope)
    hu += np.float32(frame.intercept)
    return np.clip(np.rint(hu), LOWEST, np.iinfo(np.int16).max).astype(np.int16)
