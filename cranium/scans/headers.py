"""What of a DICOM CT must be known before its pixels are read: what it is, and where they lie."""

import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError

if TYPE_CHECKING:
    from pydicom import Dataset

_CT = {
    '1.2.840.10008.5.1.4.1.1.2',
    '1.2.840.10008.5.1.4.1.1.2.1',  # enhanced
    '1.2.840.10008.5.1.4.1.1.2.2',  # enhanced, converted from slices
}
# ImageType of what scanners put into a series beside its slices.
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
    'PixelPaddingRangeLimit',
    'PixelPaddingValue',
    'PixelSpacing',
    'RescaleIntercept',
    'RescaleSlope',
    'RescaleType',
    'Rows',
    'SOPClassUID',
    'PhotometricInterpretation',
    'SeriesInstanceUID',
    'SharedFunctionalGroupsSequence',
    'StudyInstanceUID',
    'TemporalPositionIdentifier',
]
# RescaleType: what pictures of two energies may show. PS3.3, C.11.1.1.2.
_NOT_HU = {'OD', 'MGML', 'Z_EFF', 'ED', 'EDW', 'PCT'}
_PREAMBLE, _MAGIC = 128, b'DICM'
_LONGEST_FIRST = 1024  # bytes of the first element
_CODE = re.compile(r'[A-Za-z0-9 +._-]{1,16}')
_RIGHT_ANGLE = 0.01
_PARALLEL = 1e-3  # of directions, whose length is 1
_SAME_SPACING = 1e-3
_LARGEST = 4096  # rows or columns

DICOMDIR = 'a DICOMDIR'
_NO_PATH = Path()

SAME_MM = 0.01
"""Slices that lie closer to each other are at one position."""

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

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,), of length 1, through the slice."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def is_parallel(self, other: 'Frame') -> bool:
        """Whether two slices have the same orientation."""
        return _differ_by(self.orientation, other.orientation) < _PARALLEL

    def is_as_fine(self, other: 'Frame') -> bool:
        """Whether two slices have pixels of the same size."""
        return _differ_by(self.spacing, other.spacing) < _SAME_SPACING * min(self.spacing)

    def fits(self, other: 'Frame') -> bool:
        """Whether two slices may lie in one stack."""
        return self.is_parallel(other) and self.is_as_fine(other)


@dataclass(frozen=True)
class Header:
    """A DICOM CT, without its pixels.

    Args:
        path (Path): The file.
        study (str): Its StudyInstanceUID. As the next, nothing for a message.
        series (str): Its SeriesInstanceUID.
        frame_of_reference (str): Two series of one are aligned.
        syntax (str): Its TransferSyntaxUID; ``''`` if it says none.
        size (tuple[int, int]): Rows and columns.
        frames (tuple[Frame, ...]): One, or those of an enhanced CT as stored.
        kernel (str): Of the reconstruction.
        body_part (str): What was examined.
        contrast (bool): Whether a contrast agent was given.
        rescaled (bool): Whether it says how stored values become HU.
        padding (tuple[int, ...]): None, one or the first and last of the stored values that are
            none; of either sign, for files mix that up.
    """

    path: Path
    study: str
    series: str
    frame_of_reference: str
    syntax: str
    size: tuple[int, int]
    frames: tuple[Frame, ...]
    kernel: str
    body_part: str
    contrast: bool
    rescaled: bool
    padding: tuple[int, ...]

    @property
    def pixels(self) -> str:
        """Size and distance of the pixels, for a message."""
        (rows, columns), (down, across) = self.size, self.frames[0].spacing
        return f'{rows} x {columns} pixels of {down:.3g} x {across:.3g} mm'

    def is_parallel(self, other: 'Header') -> bool:
        """Whether slices have the same orientation."""
        return self.frames[0].is_parallel(other.frames[0])

    def has_same_pixels(self, other: 'Header') -> bool:
        """Whether slices have pixels of the same number and size."""
        return self.size == other.size and self.frames[0].is_as_fine(other.frames[0])


class NoSliceError(CraniumError):
    """A sound DICOM file that is no CT slice; beside slices it is left out.

    Args:
        message (str): One line, with remedy.
        path (Path): The file.
        what (str): What it is.
        study (str): Its StudyInstanceUID.
    """

    # Defaults for pickle, which knows the message alone when it makes one.
    def __init__(
        self, message: str, path: Path = _NO_PATH, what: str = '', study: str = ''
    ) -> None:
        super().__init__(message)
        self.path = path
        self.what = what
        self.study = study


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its magic word, or since it begins as one that lacks that.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, 'rb') as file:
        start = file.read(_PREAMBLE + len(_MAGIC))
    return start[_PREAMBLE:] == _MAGIC or _begins_with_an_element(start)


def _begins_with_an_element(start: bytes) -> bool:
    """Whether there is an element of group 2 or 8, of a plausible length."""
    if len(start) < 12:
        return False
    for order in '<>':
        if struct.unpack_from(f'{order}H', start)[0] in (2, 8):
            explicit = bytes(start[4:6]).isalpha()  # two letters: the type of its value
            at, kind = (6, 'H') if explicit else (4, 'I')
            return bool(struct.unpack_from(order + kind, start, at)[0] <= _LONGEST_FIRST)
    return False


@contextmanager
def quietly() -> Iterator[None]:
    """Have pydicom say nothing of values that it finds odd: they may be a patient's."""
    from pydicom.config import disable_value_validation  # slow to import

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter('ignore')
        yield


def read_dataset(path: Path, **options: Any) -> 'Dataset':
    """Read a DICOM file.

    Args:
        path (Path): The file.
        **options: Of :func:`pydicom.dcmread`.

    Raises:
        CraniumError: It is none, or damaged.
        OSError: It cannot be read.
    """
    from pydicom import dcmread  # slow to import

    if not is_dicom(path):
        raise CraniumError(
            f'{path}: neither DICOM nor, by its name, NIfTI, PNG or JPEG; replace it'
        )
    with quietly():
        try:
            return dcmread(path, force=True, **options)
        except EOFError as error:
            raise CraniumError(f'{path}: the file is cut off; copy or export it again') from error
        except OSError:
            raise
        except Exception as error:  # whatever damage may lead to
            raise CraniumError(f'{path}: damaged; copy or export it again') from error


def read_header(path: Path) -> Header:
    """Read what a CT says of itself.

    Args:
        path (Path): The file.

    Returns:
        Header: Of the slice, or of the slices of an enhanced CT.

    Raises:
        NoSliceError: It is a sound DICOM file and no CT slice.
        CraniumError: It is damaged, or says too little.
        OSError: It cannot be read.
    """
    dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
    try:
        with quietly():  # values are converted only now
            return _header(path, dataset)
    except (CraniumError, OSError):
        raise
    except Exception as error:  # values of another type than their element has, and the like
        msg = f'{path}: its header cannot be understood; copy or export it again'
        raise CraniumError(msg) from error


def _header(path: Path, dataset: 'Dataset') -> Header:
    if what := _no_slice(dataset):
        msg = f'{path}: {what}, not a CT slice; name a series of CT slices'
        raise NoSliceError(msg, path, what, _text(dataset.get('StudyInstanceUID')))
    shared = [*_macros(dataset.get('SharedFunctionalGroupsSequence'))]
    each = [*(dataset.get('PerFrameFunctionalGroupsSequence') or [])]
    count = int(dataset.get('NumberOfFrames') or 1)
    if len(each) not in (0, count) or (count > 1 and not each):
        msg = f'{path}: {count} frames, of which {len(each)} say where they lie'
        raise CraniumError(f'{msg}; export it as enhanced CT or as a file for each slice')
    frames = [_Values(path, [dataset, *_macros([group]), *shared]) for group in each]
    frames = frames or [_Values(path, [dataset, *shared])]
    if (kind := _text(frames[0].find('RescaleType'))) in _NOT_HU:
        msg = f'{path}: values of {kind}, not HU'
        raise CraniumError(f'{msg}; name a series in Hounsfield units')
    header = Header(
        path=path,
        study=_text(dataset.get('StudyInstanceUID')),
        series=_text(dataset.get('SeriesInstanceUID')),
        frame_of_reference=_text(dataset.get('FrameOfReferenceUID')),
        syntax=_text(dataset.file_meta.get('TransferSyntaxUID')),
        size=(frames[0].whole('Rows'), frames[0].whole('Columns')),
        frames=tuple(map(_frame, frames)),
        kernel=_fit(_text(frames[0].find('ConvolutionKernel'))),
        body_part=_fit(_text(frames[0].find('BodyPartExamined'))),
        contrast=bool(_text(frames[0].find('ContrastBolusAgent'))),
        rescaled=frames[0].find('RescaleIntercept') is not None,
        padding=tuple(_padding(dataset)),
    )
    if max(header.size) > _LARGEST or min(header.size) < 1:
        raise CraniumError(f'{path}: {header.pixels}, no CT slice; export it again')
    if not all(map(header.frames[0].fits, header.frames)):
        msg = f'{path}: its frames are of several orientations or pixel sizes'
        raise CraniumError(f'{msg}; export each stack as a series of its own')
    return header


def _no_slice(dataset: 'Dataset') -> str | None:
    """Say what a file is if not a CT slice."""
    sop_class, modality = dataset.get('SOPClassUID'), _fit(_text(dataset.get('Modality')))
    if 'DirectoryRecordSequence' in dataset:
        return DICOMDIR
    if not sop_class and modality != 'CT':
        return f'DICOM of the modality {modality}' if modality else 'DICOM of no modality'
    if sop_class and sop_class not in _CT:
        name = getattr(sop_class, 'name', sop_class)
        return 'DICOM of a private kind' if name == sop_class else name
    for value in _texts(dataset.get('ImageType')):
        if value in _NO_SLICES:
            return _NO_SLICES[value]
    color = _text(dataset.get('PhotometricInterpretation') or 'MONOCHROME2')
    return None if color.startswith('MONOCHROME') else 'a colour picture'


def _macros(groups: Any) -> Iterator['Dataset']:
    """Yield the content of functional groups, each of which is a sequence of one."""
    for group in groups or []:
        for element in group:
            if element.VR == 'SQ' and element.value:
                yield element.value[0]


def _padding(dataset: 'Dataset') -> Iterator[int]:
    for key in ('PixelPaddingValue', 'PixelPaddingRangeLimit'):
        value = dataset.get(key)
        if isinstance(value, bytes):  # its type depends on an element that came to be missing
            value = int.from_bytes(value, 'little')
        if value is not None and value != '':
            yield int(value)


def _frame(values: '_Values') -> Frame:
    across, down = np.reshape(values.numbers('ImageOrientationPatient', 6), (2, 3))
    lengths = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if _differ_by((*lengths, float(across @ down)), (1, 1, 0)) > _RIGHT_ANGLE:
        msg = f'{values.path}: the directions of ImageOrientationPatient are not at right angles'
        raise CraniumError(f'{msg}; export it again')
    spacing = values.numbers('PixelSpacing', 2)
    if min(spacing) <= 0:
        raise CraniumError(f'{values.path}: a PixelSpacing of {min(spacing):g}; export it again')
    slope, intercept = values.number('RescaleSlope', 1), values.number('RescaleIntercept', 0)
    if not (slope and np.isfinite([slope, intercept]).all()):
        msg = f'{values.path}: HU of {slope:g} x stored value + {intercept:g}; export it again'
        raise CraniumError(msg)
    return Frame(
        position=values.numbers('ImagePositionPatient', 3),
        orientation=(*(across / lengths[0]).tolist(), *(down / lengths[1]).tolist()),
        spacing=spacing,
        slope=slope,
        intercept=intercept,
        acquisition=(
            _text(values.find('AcquisitionNumber')),
            _text(values.find('TemporalPositionIdentifier')),
        ),
    )


class _Values:
    """Values of a frame, wherever they stand in the file."""

    def __init__(self, path: Path, sources: Sequence['Dataset']) -> None:
        self.path = path
        self._sources = sources

    def find(self, key: str) -> Any:
        """Return a value, None if it is nowhere or empty."""
        values = (source.get(key) for source in self._sources)
        return next((value for value in values if value is not None and value != ''), None)

    def whole(self, key: str) -> int:
        """Return a number that has to be there."""
        value = self.find(key)
        if value is None:
            raise CraniumError(f'{self.path}: no {key}, so it has no pixels; export it again')
        return int(value)

    def number(self, key: str, default: float) -> float:
        """Return one that may be missing."""
        value = self.find(key)
        return default if value is None else float(value)

    def numbers(self, key: str, count: int) -> Numbers:
        """Return several."""
        value = self.find(key)
        if value is None:
            msg = f'{self.path}: no {key}, so where its pixels lie is not known'
            raise CraniumError(f'{msg}; export the original slices')
        numbers = tuple(map(float, value))
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise CraniumError(f'{self.path}: {key} is not {count} numbers; export it again')
        return numbers


def _differ_by(one: Numbers, other: Numbers) -> float:
    return max(abs(x - y) for x, y in zip(one, other))  # numpy is slow for so few


def _text(value: Any) -> str:
    return ' '.join(_texts(value))


def _texts(value: Any) -> list[str]:
    """Return the values of an element that may have several, without spaces around them."""
    if value is None:
        return []
    values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    return [text for item in values if (text := str(item).strip())]


def _fit(code: str) -> str:
    """Return a code if it looks like one: what somebody typed could name the patient."""
    return code if _CODE.fullmatch(code) else ''
