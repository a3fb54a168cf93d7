"""What of a DICOM CT must be known before its pixels are read: what it is, and where they lie."""

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cranium.errors import CraniumError

if TYPE_CHECKING:
    from pydicom import Dataset

_CT = {
    '1.2.840.10008.5.1.4.1.1.2': 'CT',
    '1.2.840.10008.5.1.4.1.1.2.1': 'enhanced CT',
    '1.2.840.10008.5.1.4.1.1.2.2': 'enhanced CT, converted',
}
# What scanners put into a series beside its slices; by the third value of ImageType or any other.
_NO_SLICES = {
    'LOCALIZER': 'a localizer',
    'SCOUT': 'a localizer',
    'DOSE_INFO': 'a dose report',
    'SCREEN SAVE': 'a screenshot',
}
_KEYWORDS = [
    'SpecificCharacterSet',
    'AcquisitionNumber',
    'BitsAllocated',
    'BodyPartExamined',
    'Columns',
    'ContrastBolusAgent',
    'ConvolutionKernel',
    'DirectoryRecordSequence',
    'FrameOfReferenceUID',
    'ImageOrientationPatient',
    'ImagePositionPatient',
    'ImageType',
    'Modality',
    'NumberOfFrames',
    'PerFrameFunctionalGroupsSequence',
    'PixelSpacing',
    'RescaleIntercept',
    'RescaleSlope',
    'RescaleType',
    'Rows',
    'SOPClassUID',
    'SamplesPerPixel',
    'SeriesInstanceUID',
    'SharedFunctionalGroupsSequence',
    'TemporalPositionIdentifier',
]
_PREAMBLE = 128

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Frame:
    """A slice of a DICOM file, without its pixels.

    Args:
        position (tuple): x, y and z of the centre of the first pixel, in mm (LPS).
        orientation (tuple): The direction of the rows, three numbers, and of the columns.
        spacing (tuple): Distance of rows and of columns, in mm.
        slope (float): HU = slope x stored value + intercept.
        intercept (float): See there.
        acquisition (tuple[str, ...]): What tells the phases of a series apart.
    """

    position: Numbers
    orientation: Numbers
    spacing: Numbers
    slope: float
    intercept: float
    acquisition: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """A DICOM CT, without its pixels.

    Args:
        path (Path): The file.
        series (str): Its SeriesInstanceUID. Nothing for a message: it leads to a patient.
        size (tuple[int, int]): Rows and columns.
        frames (tuple[Frame, ...]): One, or those of an enhanced CT as stored.
        frame_of_reference (str): Two series of one are aligned.
        kernel (str): Of the reconstruction.
        body_part (str): What was examined.
        contrast (bool): Whether a contrast agent was given.
    """

    path: Path
    series: str
    size: tuple[int, int]
    frames: tuple[Frame, ...]
    frame_of_reference: str = ''
    kernel: str = ''
    body_part: str = ''
    contrast: bool = False


class NoSliceError(CraniumError):
    """A sound DICOM file that is no CT slice; beside slices it is left out.

    Args:
        message (str): One line, with remedy.
        what (str): What it is.
    """

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its magic word, or for it begins as one that lacks that.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, 'rb') as file:
        start = file.read(_PREAMBLE + 4)
    return start[_PREAMBLE:] == b'DICM' or _begins_with_a_tag(start)


def _begins_with_a_tag(start: bytes) -> bool:
    """Whether there is an element of the groups 2 or 8 with a plausible length."""
    if len(start) < 12:
        return False
    for order in '<>':
        group, _ = struct.unpack_from(f'{order}HH', start)
        if group in (2, 8):
            explicit = start[4:6].isalpha() and start[4:6].isupper()
            (length,) = struct.unpack_from(
                f'{order}{"H" if explicit else "I"}', start, 6 if explicit else 4
            )
            return bool(length <= 1024)
    return False


def read_dataset(path: Path, **options: Any) -> 'Dataset':
    """Read a DICOM file.

    Raises:
        CraniumError: It is none, or damaged.
        OSError: It cannot be read.
    """
    import pydicom  # slow to import

    force = is_dicom(path)
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter('ignore')  # they cite values, which may be a patient's
        try:
            return pydicom.dcmread(path, force=force, **options)
        except OSError:
            raise
        except Exception as error:  # whatever a damaged file leads to
            msg = f'{path}: not a DICOM file, or damaged; copy or export it again'
            raise CraniumError(msg) from error


def read_header(path: Path) -> Header:
    """Read what a CT says of itself.

    Args:
        path (Path): The file.

    Returns:
        Header: Of the slice, or of the slices of an enhanced CT.

    Raises:
        NoSliceError: It is no CT slice.
        CraniumError: It is damaged, or says too little.
        OSError: It cannot be read.
    """
    dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
    try:
        return _header(path, dataset)
    except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as error:
        if isinstance(error, CraniumError):
            raise
        msg = f'{path}: a header that cannot be understood; export it again'
        raise CraniumError(msg) from error


def _header(path: Path, dataset: 'Dataset') -> Header:
    _refuse_others(path, dataset)
    rows, columns = (int(_needed(path, dataset, key)) for key in ('Rows', 'Columns'))
    return Header(
        path=path,
        series=str(dataset.get('SeriesInstanceUID') or ''),
        size=(rows, columns),
        frames=tuple(_frames(path, dataset)),
        frame_of_reference=str(dataset.get('FrameOfReferenceUID') or ''),
        kernel=_text(dataset.get('ConvolutionKernel')),
        body_part=_text(dataset.get('BodyPartExamined')),
        contrast=bool(dataset.get('ContrastBolusAgent')),
    )


def _refuse_others(path: Path, dataset: 'Dataset') -> None:
    sop_class, modality = dataset.get('SOPClassUID'), _text(dataset.get('Modality'))
    what = None
    if 'DirectoryRecordSequence' in dataset:
        what = 'a DICOMDIR'
    elif sop_class is None and modality != 'CT':
        what = f'DICOM of the modality {modality}' if modality else 'DICOM without a modality'
    elif sop_class is not None and sop_class not in _CT:
        name = sop_class.name
        what = 'DICOM of a private kind' if name == sop_class else f'a {name}'
    if what:
        raise NoSliceError(f'{path}: {what}, not CT; name a series of CT slices', what)
    for value in _texts(dataset.get('ImageType')):
        if value in _NO_SLICES:
            what = _NO_SLICES[value]
            raise NoSliceError(f'{path}: {what}, not an axial slice; name the series itself', what)
    if int(dataset.get('SamplesPerPixel') or 1) != 1:
        raise NoSliceError(f'{path}: in colour, not CT; name the series itself', 'a colour picture')


def _frames(path: Path, dataset: 'Dataset') -> Iterator[Frame]:
    shared = [*(dataset.get('SharedFunctionalGroupsSequence') or [])]
    each = [*(dataset.get('PerFrameFunctionalGroupsSequence') or [])]
    count = int(dataset.get('NumberOfFrames') or 1)
    if len(each) not in (0, count) or (count > 1 and not each):
        msg = f'{path}: {count} frames, of which {len(each)} have a position; export it again'
        raise CraniumError(msg)
    for groups in [[frame] for frame in each] or [[]]:
        yield _frame(path, [dataset, *_macros(groups), *_macros(shared)])


def _macros(groups: list['Dataset']) -> Iterator['Dataset']:
    """Yield the content of functional groups, each of which is a sequence of one."""
    for group in groups:
        for element in group:
            if element.VR == 'SQ' and element.value:
                yield element.value[0]


def _frame(path: Path, sources: list['Dataset']) -> Frame:
    def find(key: str) -> Any:
        return next((s[key].value for s in sources if key in s and s[key].value is not None), None)

    def numbers(key: str, count: int) -> Numbers:
        try:
            found = tuple(map(float, find(key)))
        except TypeError:
            found = ()
        if len(found) != count or not all(abs(x) < 1e6 for x in found):
            msg = f'{path}: no valid {key}, so where its pixels lie is not known; export it with it'
            raise CraniumError(msg)
        return found

    spacing = numbers('PixelSpacing', 2)
    if min(spacing) <= 0:
        raise CraniumError(f'{path}: PixelSpacing {spacing}; export it with the true one')
    slope, intercept = find('RescaleSlope'), find('RescaleIntercept')
    phase = [find(key) for key in ('AcquisitionNumber', 'TemporalPositionIdentifier')]
    return Frame(
        position=numbers('ImagePositionPatient', 3),
        orientation=numbers('ImageOrientationPatient', 6),
        spacing=spacing,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        acquisition=tuple('' if value is None else str(value) for value in phase),
    )


def _needed(path: Path, dataset: 'Dataset', key: str) -> Any:
    value = dataset.get(key)
    if value is None or value == '':
        raise CraniumError(f'{path}: no {key}, so it has no picture; export it again')
    return value


def _text(value: Any) -> str:
    return ' '.join(_texts(value))


def _texts(value: Any) -> list[str]:
    """Return the values of an element that may have several, without spaces around them."""
    if value is None:
        return []
    values = [value] if isinstance(value, str) else value
    return [text for item in values if (text := str(item).strip())]
