"""The raw ct-ich tree as records: one per slice, with what the CSV files say of it."""

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cranium.preparation.errors import DataError
from cranium.preparation.images import jpeg_size
from cranium.preparation.source import PATIENTS, Source

HEMORRHAGE_TYPES = (
    'Intraventricular',
    'Intraparenchymal',
    'Subarachnoid',
    'Epidural',
    'Subdural',
)
DIAGNOSIS_CSV = 'hemorrhage_diagnosis.csv'
DEMOGRAPHICS_CSV = 'patient_demographics.csv'

# What a slice's mask will be.
MASKED = 'mask'  # drawn by the radiologists
BACKGROUND = 'background'  # the diagnosis says that there is nothing to draw
UNLABELLED = 'unlabelled'  # hemorrhage or unknown, and no mask that fits: not background

_SLICE_NAME = re.compile(
    rf'{PATIENTS}/(\d+)/(brain|bone)/(\d+)(_HGE_Seg)?\.jpe?g', re.IGNORECASE | re.ASCII
)
# What macOS and Windows leave in folders and archives.
_LITTER = re.compile(
    r'(^|/)(\.[^/]*|__MACOSX|Thumbs\.db|ehthumbs\.db|desktop\.ini)($|/)', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A row of ``hemorrhage_diagnosis.csv``."""

    types: tuple[str, ...]
    hemorrhage: bool
    fracture: bool


@dataclass(frozen=True, slots=True)
class Demographics:
    """A row of ``patient_demographics.csv``: age in years and sex, None where not given."""

    age: float | None = None
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class RawSlice:
    """One slice of one patient.

    Args:
        patient (str): The patient's number, at least three digits.
        number (int): The slice's number, from the skull base upward.
        brain (str): Member of the source: the brain window.
        bone (str, optional): The bone window.
        mask (str, optional): The mask, where it can be used.
        diagnosis (Diagnosis, optional): None where the CSV has no row.
        label (str): ``MASKED``, ``BACKGROUND`` or ``UNLABELLED``.
        notes (tuple[str, ...]): Whatever is unusual.
    """

    patient: str
    number: int
    brain: str
    bone: str | None
    mask: str | None
    diagnosis: Diagnosis | None
    label: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``<patient>_<slice, three digits>``, the stem of its files."""
        return f'{self.patient}_{self.number:03d}'


@dataclass(frozen=True)
class RawDataset:
    """A raw download.

    Args:
        source (Source): Where its members are read from.
        slices (list[RawSlice]): By patient and number.
        demographics (dict[str, Demographics]): By patient.
        rows_without_image (int): Rows of the diagnosis whose slice is not in this download.
        unknown_files (tuple[str, ...]): Files that are neither slices nor a system's litter.
    """

    source: Source
    slices: list[RawSlice]
    demographics: dict[str, Demographics] = field(default_factory=dict)
    rows_without_image: int = 0
    unknown_files: tuple[str, ...] = ()


def read_raw(source: Source) -> RawDataset:
    """Read the structure of a download; of pixels only the size of each mask and its image.

    Args:
        source (Source): From :func:`cranium.preparation.source.find_source`.

    Returns:
        RawDataset: Every slice that has a brain window.

    Raises:
        DataError: No slices, no diagnosis, a malformed CSV, or two files for one slice.
    """
    members = source.members()
    files, unknown = _sort_files(members, source)
    diagnoses = _read_diagnoses(source, members)
    slices = [
        _raw_slice(source, key, windows, diagnoses.pop(key, None))
        for key, windows in sorted(files.items())
        if 'brain' in windows
    ]
    if not slices:
        msg = f'{source}: {PATIENTS} holds no <patient>/brain/<slice>.jpg; unpack it again'
        raise DataError(msg)
    for windows in files.values():
        if 'brain' not in windows:
            unknown += windows.values()
    return RawDataset(
        source, slices, _read_demographics(source, members), len(diagnoses), tuple(sorted(unknown))
    )


def _sort_files(
    members: Iterable[str], source: Source
) -> tuple[dict[tuple[int, int], dict[str, str]], list[str]]:
    """Group members by (patient, slice), as ``{'brain': ..., 'bone': ..., 'mask': ...}``."""
    files: dict[tuple[int, int], dict[str, str]] = {}
    unknown = []
    for member in members:
        match = _SLICE_NAME.fullmatch(member)
        if match and not (match[2].lower() == 'bone' and match[4]):
            kind = 'mask' if match[4] else match[2].lower()
            windows = files.setdefault((int(match[1]), int(match[3])), {})
            if kind in windows:
                first = source.describe(windows[kind])
                raise DataError(f'{source.describe(member)}: the same slice as {first}; keep one')
            windows[kind] = member
        elif member.startswith(f'{PATIENTS}/') and not _LITTER.search(member):
            unknown.append(member)
    return files, unknown


def _raw_slice(
    source: Source, key: tuple[int, int], windows: dict[str, str], diagnosis: Diagnosis | None
) -> RawSlice:
    mask = windows.get('mask')
    notes = []
    if 'bone' not in windows:
        notes.append('no bone window')
    if diagnosis is None:
        notes.append('no row in the diagnosis')
    if mask and diagnosis and not diagnosis.hemorrhage:
        notes.append('mask on a slice that the diagnosis calls clean')
    if mask and (note := _misfit(source, windows['brain'], mask)):
        notes.append(note)
        mask = None
    if mask:
        label = MASKED
    elif 'mask' in windows or diagnosis is None or diagnosis.hemorrhage:
        label = UNLABELLED
        notes.append('unlabelled: no mask that can be used')
    else:
        label = BACKGROUND
    patient, number = key
    return RawSlice(
        patient=f'{patient:03d}',
        number=number,
        brain=windows['brain'],
        bone=windows.get('bone'),
        mask=mask,
        diagnosis=diagnosis,
        label=label,
        notes=tuple(notes),
    )


def _misfit(source: Source, brain: str, mask: str) -> str | None:
    """Say how a mask's size differs from its image's: stretching it would invent an outline."""
    height, width = jpeg_size(source.read(brain), source.describe(brain))
    mask_height, mask_width = jpeg_size(source.read(mask), source.describe(mask))
    if (height, width) == (mask_height, mask_width):
        return None
    return f'mask of {mask_width} x {mask_height} on an image of {width} x {height}'


def _read_diagnoses(source: Source, members: list[str]) -> dict[tuple[int, int], Diagnosis]:
    member = _find_csv(members, DIAGNOSIS_CSV)
    if member is None:
        raise DataError(f'{source}: {DIAGNOSIS_CSV} is missing; put it beside {PATIENTS}')
    name = source.describe(member)
    diagnoses = {}
    for line, row in _read_csv(source, member):
        key = (
            _integer(row, 'PatientNumber', f'{name}, line {line}'),
            _integer(row, 'SliceNumber', f'{name}, line {line}'),
        )
        if key in diagnoses:
            raise DataError(f'{name}, line {line}: a second row for slice {key}; keep one')
        flags = {
            column: _flag(row, column, f'{name}, line {line}')
            for column in (*HEMORRHAGE_TYPES, 'No_Hemorrhage', 'Fracture_Yes_No')
        }
        types = tuple(column for column in HEMORRHAGE_TYPES if flags[column])
        # A type wins over `No_Hemorrhage`: calling a bleed background is the worse mistake.
        hemorrhage = bool(types) or not flags['No_Hemorrhage']
        diagnoses[key] = Diagnosis(types, hemorrhage, flags['Fracture_Yes_No'])
    return diagnoses


def _read_demographics(source: Source, members: list[str]) -> dict[str, Demographics]:
    """Read ages and sexes; without the file there are none, as nothing but statistics needs it."""
    member = _find_csv(members, DEMOGRAPHICS_CSV)
    if member is None:
        return {}
    demographics = {}
    for line, row in _read_csv(source, member):
        where = f'{source.describe(member)}, line {line}'
        # The header of the age holds a line break: "Age\n(years)".
        row = {re.sub(r'\s+', ' ', column or ''): value for column, value in row.items()}
        age = row.get('Age (years)') or None
        try:
            demographics[f'{_integer(row, "Patient Number", where):03d}'] = Demographics(
                float(age) if age else None, row.get('Gender') or None
            )
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f'{where}: {age!r} is no age in years; correct it') from error
    return demographics


def _find_csv(members: list[str], name: str) -> str | None:
    return next((member for member in members if member.lower() == name), None)


def _read_csv(source: Source, member: str) -> Iterable[tuple[int, dict[str, str]]]:
    name = source.describe(member)
    try:
        # `utf-8-sig`: the original opens with a byte order mark.
        text = source.read(member).decode('utf-8-sig')
        reader = csv.DictReader(io.StringIO(text, newline=''), strict=True)
        rows = [(reader.line_num, row) for row in reader if any(row.values())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'{name}: not a CSV in UTF-8 ({error}); use the original') from error
    if not rows:
        raise DataError(f'{name}: no rows; use the original')
    return rows


def _integer(row: dict[str, str], column: str, where: str) -> int:
    value = _cell(row, column, where)
    if not value.isascii() or not value.isdigit():
        raise DataError(f'{where}: {column} is {value!r}, not a number; correct it')
    return int(value)


def _flag(row: dict[str, str], column: str, where: str) -> bool:
    value = _cell(row, column, where)
    if value not in ('0', '1'):
        raise DataError(f'{where}: {column} is {value!r}, neither 0 nor 1; correct it')
    return value == '1'


def _cell(row: dict[str, str], column: str, where: str) -> str:
    if row.get(column) is None:
        raise DataError(f'{where}: no {column}; use the original file')
    return row[column].strip()
