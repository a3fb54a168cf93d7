"""Masks of hemorrhage that belong to a scan: NIfTI and DICOM-SEG, on the scan's own slices."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.axial import order, to_axial
from cranium.scans.headers import is_dicom, read_dataset, read_header
from cranium.scans.nifti import read_volume
from cranium.scans.scan import Geometry, Scan
from cranium.scans.series import series_name
from cranium.slices import HEMORRHAGE_TYPES, IGNORE_INDEX, join_types

if TYPE_CHECKING:
    from pydicom import Dataset

SEGMENTATIONS = {
    '1.2.840.10008.5.1.4.1.1.66.4': 'segmentation',
    '1.2.840.10008.5.1.4.1.1.66.7': 'label map segmentation',
}

_SAME_MM = 0.1  # what the corners of scan and mask may differ by
_TYPE = {
    'Intraventricular': r'intra ?ventric|\bivh\b',
    'Intraparenchymal': r'intra ?parench|intra ?cerebral|\biph\b',
    'Subarachnoid': r'sub ?arach|\bsah\b',
    'Epidural': r'epi ?dural|extra ?dural|\be[dp]h\b',
    'Subdural': r'sub ?dural|\bsdh\b',
}
_HEMORRHAGE = re.compile('|'.join([*_TYPE.values(), r'h(a)?emorr|h(a)?ematom|bleed|\bich\b']))
_OTHERS = re.compile('edema')  # as around a hematoma
_NO_NAME = re.compile(r'(segment|label|lesion|mask|foreground|roi|class|object|region|unknown)?')


@dataclass(frozen=True, eq=False)
class Label:
    """The hemorrhage of a scan.

    Args:
        mask (ndarray): (N, H, W), uint8: 0, 1, and ``IGNORE_INDEX`` for what does not count.
        types (tuple[str, ...]): Hemorrhage types of each slice, joined by ``+``; empty where there
            are none or the file does not tell.
    """

    mask: NDArray[np.uint8]
    types: tuple[str, ...]


def read_label(file: Path, scan: Scan, names: Mapping[int, str] | None = None) -> Label:
    """Read the mask of a scan from a NIfTI or a DICOM-SEG.

    Args:
        file (Path): The mask, on the grid of the scan; of a DICOM-SEG, slices may be missing, which
            are empty.
        scan (Scan): The scan.
        names (mapping, optional): What each value of a NIfTI means. Defaults to None: all but 0
            are hemorrhage. A DICOM-SEG says it itself.

    Returns:
        Label: On the scan's slices.

    Raises:
        CraniumError: It cannot be read, lies elsewhere than the scan, is no mask, or says that it
            shows something else.
        OSError: It is not there or may not be read.
    """
    geometry: Geometry | None
    if is_dicom(file):
        values, geometry, names = _read_seg(file, scan)
    else:
        values, geometry = _read(file)
    if geometry is None or scan.geometry is None:
        raise CraniumError(f'{scan.source}: a scan without geometry, so no mask can be laid on it')
    try:
        placed = _place(values, geometry, scan.hu.shape, scan.geometry)
    except CraniumError as error:
        msg = f'{file}: {error}, {scan.source}; resample the mask to the scan'
        raise CraniumError(msg) from error
    kinds = {int(value): '' for value in np.unique(values) if value}
    if names is not None:
        if unknown := set(kinds) - set(names):
            msg = f'{file}: holds the label {min(unknown)}, which dataset.json does not name'
            raise CraniumError(f'{msg}; add it there')
        kinds = hemorrhage_labels(names, str(file))
    ignored = [value for value, name in (names or {}).items() if name.lower() == 'ignore']
    mask = np.isin(placed, [*kinds]).astype(np.uint8)
    mask[np.isin(placed, ignored)] = IGNORE_INDEX
    return Label(mask, tuple(_types(each, kinds) for each in placed))


def hemorrhage_labels(names: Mapping[int, str], source: str) -> dict[int, str]:
    """Choose from the labels of a file those of hemorrhage.

    Args:
        names (mapping): What each value means; 0 and ``ignore`` are none.
        source (str): The file, for messages.

    Returns:
        dict: The hemorrhage type by value, empty where the name does not tell. All values where no
        name tells anything.

    Raises:
        CraniumError: None of them is hemorrhage.
    """
    words = {
        value: re.sub('[^a-z]+', ' ', name.lower()).strip()
        for value, name in names.items()
        if value != 0 and name.lower() != 'ignore'
    }
    chosen = [
        value
        for value, text in words.items()
        if _HEMORRHAGE.search(text) and not _OTHERS.search(text)
    ]
    if not chosen and all(map(_NO_NAME.fullmatch, words.values())):
        chosen = [*words]
    if not chosen and words:
        found = ', '.join(sorted(set(names[value] for value in words)))
        raise CraniumError(f'{source}: labels of {found}; name the one of hemorrhage so')
    return {value: _type(words[value]) for value in chosen}


def referenced_scan(file: Path) -> str | None:
    """Return the name of the scan that a DICOM-SEG is drawn on; None for any other file.

    Raises:
        CraniumError: It is DICOM, and damaged.
        OSError: It cannot be read.
    """
    if not is_dicom(file):
        return None
    dataset = read_dataset(file, stop_before_pixels=True)
    if str(dataset.get('SOPClassUID')) not in SEGMENTATIONS:
        return None
    series = dataset.get('ReferencedSeriesSequence') or []
    uid = str(series[0].get('SeriesInstanceUID')) if series else ''
    return series_name(uid)


def _type(text: str) -> str:
    return next((name for name, pattern in _TYPE.items() if re.search(pattern, text)), '')


def _types(values: NDArray[Any], kinds: Mapping[int, str]) -> str:
    """Name the types in a slice; nothing unless all labels tell theirs."""
    if not all(kinds.values()):
        return ''
    present = {kinds[value] for value in kinds if (values == value).any()}
    return join_types(name for name in HEMORRHAGE_TYPES if name in present)


def _read(file: Path) -> tuple[NDArray[Any], Geometry]:
    """Read a NIfTI: (N, H, W) labels, and where they lie."""
    volume = read_volume(file)
    values = np.rint(volume.voxels)
    if not np.array_equal(values, volume.voxels):
        raise CraniumError(f'{file}: the values are not whole numbers; a mask holds 0 and 1')
    return volume.orientation.apply(values.astype(np.int32)), volume.geometry


def _place(
    values: NDArray[Any], lies: Geometry, shape: tuple[int, ...], scan: Geometry
) -> NDArray[np.int32]:
    """Put the slices of a mask on those of the scan that they lie on; the others are empty."""
    rows, columns = values.shape[1:]
    off = max(
        float(np.linalg.norm(lies.across - scan.across)) * columns,
        float(np.linalg.norm(lies.down - scan.down)) * rows,
    )
    if (rows, columns) != shape[1:] or off > _SAME_MM:
        (height, width), (other_height, other_width) = lies.pixel_mm, scan.pixel_mm
        raise CraniumError(
            f'{columns} x {rows} pixels of {width:.3g} x {height:.3g} mm, not the {shape[2]} x '
            f'{shape[1]} of {other_width:.3g} x {other_height:.3g} mm of the scan, or turned'
        )
    placed = np.zeros(shape, np.int32)
    for pixels, corner in zip(values, lies.corners):
        distances = np.linalg.norm(scan.corners - corner, axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] <= _SAME_MM:
            placed[nearest] = pixels
        elif pixels.any():
            raise CraniumError(f'a slice lies {distances[nearest]:.2g} mm from any of the scan')
    return placed


def _read_seg(file: Path, scan: Scan) -> tuple[NDArray[Any], Geometry | None, Mapping[int, str]]:
    """Read a DICOM-SEG: (N, H, W) segment numbers, where they lie and what they mean."""
    dataset = read_dataset(file)
    if str(dataset.get('SOPClassUID')) not in SEGMENTATIONS:
        raise CraniumError(f'{file}: DICOM, but no segmentation; masks are NIfTI or DICOM-SEG')
    _require_same_frame(dataset, file, scan)
    try:
        names = {int(each.SegmentNumber): _name(each) for each in dataset.SegmentSequence}
        frames = [*_frames(dataset)]
    except Exception as error:  # whatever a damaged file leads to, and decoders raise
        msg = f'{file}: a segmentation that cannot be understood; export it again'
        raise CraniumError(msg) from error
    chosen = hemorrhage_labels(names, str(file))
    frames = [frame for frame in frames if frame.segment in (*chosen, None)]
    values, geometry = np.zeros(scan.hu.shape, np.int32), scan.geometry
    if frames:
        values, geometry = _stack(frames, file)
    return values, geometry, names


def _require_same_frame(dataset: 'Dataset', file: Path, scan: Scan) -> None:
    source = Path(scan.files[0])
    if is_dicom(source):
        own, other = read_header(source).frame_of_reference, dataset.get('FrameOfReferenceUID')
        if own and other and own != str(other):
            msg = f'{file}: another frame of reference than that of {scan.source}'
            raise CraniumError(f'{msg}; take the segmentation of this series')


def _name(segment: 'Dataset') -> str:
    code = segment.get('SegmentedPropertyTypeCodeSequence') or []
    meanings = [str(each.get('CodeMeaning', '')) for each in code]
    return ' '.join([str(segment.get('SegmentLabel', '')), *meanings])


def _stack(frames: 'Sequence[_Frame]', file: Path) -> tuple[NDArray[np.int32], Geometry]:
    """Put frames together, a slice for each position."""
    if len({(frame.across, frame.down) for frame in frames}) > 1:
        raise CraniumError(f'{file}: frames of several orientations; export one series a file')
    across, down = np.array(frames[0].across), np.array(frames[0].down)
    positions = sorted({frame.position for frame in frames})
    numbers = order(np.array(positions), across, down)
    positions = [positions[number] for number in numbers]
    rows, columns = frames[0].pixels.shape
    values = np.zeros((len(positions), rows, columns), np.int32)
    for frame in frames:
        target = values[positions.index(frame.position)]
        inside = frame.pixels > 0
        target[inside] = frame.pixels[inside] if frame.segment is None else frame.segment
    orientation, geometry = to_axial(str(file), np.array(positions), across, down, (rows, columns))
    return orientation.apply(values), geometry


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame of a DICOM-SEG.

    Args:
        segment (int, optional): Its number; None in a label map, whose pixels are such numbers.
        position (tuple): Of the first pixel, in mm.
        across (tuple): From one column to the next, in mm.
        down (tuple): From one row to the next, in mm.
        pixels (ndarray): (H, W); above 0 is inside.
    """

    segment: int | None
    position: tuple[float, ...]
    across: tuple[float, ...]
    down: tuple[float, ...]
    pixels: NDArray[Any]


def _frames(dataset: 'Dataset') -> Iterator[_Frame]:
    shared, kind = dataset.SharedFunctionalGroupsSequence[0], dataset.SegmentationType
    stored = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    if kind == 'FRACTIONAL':
        stored = stored >= dataset.MaximumFractionalValue / 2
    for own, pixels in zip(dataset.PerFrameFunctionalGroupsSequence, stored):
        position = _numbers(own, shared, 'PlanePosition', 'ImagePositionPatient')
        axes = _numbers(own, shared, 'PlaneOrientation', 'ImageOrientationPatient')
        height, width = _numbers(own, shared, 'PixelMeasures', 'PixelSpacing')
        across, down = tuple(width * x for x in axes[:3]), tuple(height * x for x in axes[3:])
        segment = None
        if kind != 'LABELMAP':
            keys = 'SegmentIdentification', 'ReferencedSegmentNumber'
            segment = int(_numbers(own, shared, *keys)[0])
        yield _Frame(segment, position, across, down, pixels)


def _numbers(own: 'Dataset', shared: 'Dataset', group: str, keyword: str) -> tuple[float, ...]:
    """Look up what is said of a frame, or of all."""
    sequence = f'{group}Sequence'
    value: Any = (own if sequence in own else shared)[sequence][0][keyword].value
    return tuple(map(float, value)) if np.ndim(value) else (float(value),)
