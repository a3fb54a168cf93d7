"""Data sets as records, one per slice; that of the raw ct-ich tree, with what its CSV files say."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cranium.diagnosis import DIAGNOSIS, read_diagnosis, read_table
from cranium.errors import CraniumError
from cranium.preparation.source import PATIENTS, Source
from cranium.scans.pictures import jpeg_size
from cranium.slices import BACKGROUND, MASKED, UNLABELLED, patient_name, slice_name
from cranium.splits import Case
from cranium.windows import BONE, BRAIN, Window

if TYPE_CHECKING:
    from cranium.preparation.volumes import Volumes

CT_ICH = 'ct-ich v1.0.0, CC BY 4.0, https://physionet.org/content/ct-ich/1.0.0/'
DEMOGRAPHICS = 'patient_demographics.csv'
MASK_EXAMPLE = f'{PATIENTS}/049/brain/14_HGE_Seg.jpg'

_AGE, _OLDEST = r'[0-9]*\.?[0-9]+', 130

NO_BONE = 'no bone window'
ON_CLEAN = 'mask on a slice that the diagnosis calls clean'

_MEMBER = re.compile(
    rf'{PATIENTS}/(\d{{1,9}})/(brain|bone)/(\d{{1,9}})(_HGE_Seg)?\.jpe?g', re.IGNORECASE | re.ASCII
)
# What macOS and Windows leave in folders and archives.
_LITTER = re.compile(
    r'(^|/)(\.[^/]*|__MACOSX|Thumbs\.db|ehthumbs\.db|desktop\.ini)($|/)', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class RawSlice:
    """One slice of one patient, and where it goes.

    Args:
        patient (str): The patient, as in the manifest.
        number (int): The slice's number, from the skull base upward.
        brain (str): Member of the source: the brain window.
        bone (str, optional): The bone window.
        mask (str, optional): The mask, where it can be used.
        label (str): ``MASKED``, ``BACKGROUND`` or ``UNLABELLED``.
        types (str): Hemorrhage types of the diagnosis, joined by ``+``.
        notes (tuple[str, ...]): Whatever is unusual.
        split (str): ``train``, ``val`` or ``test``; empty until planned, and where left out.
        left_out (str): Why it is left out; empty where it is not.
        brain_window (Window): What the brain window shows. Defaults to that of ct-ich.
        bone_window (Window): What the bone window shows. Defaults to that of ct-ich.
        person (str): Whose scan it is, where several may be of one. Defaults to the patient.
    """

    patient: str
    number: int
    brain: str
    bone: str | None
    mask: str | None
    label: str
    types: str = ''
    notes: tuple[str, ...] = ()
    split: str = ''
    left_out: str = ''
    brain_window: Window = BRAIN
    bone_window: Window = BONE
    person: str = ''

    @property
    def name(self) -> str:
        """``<patient>_<slice>``, the stem of its files."""
        return slice_name(self.patient, self.number)

    @property
    def case(self) -> Case:
        """What a split needs to know of it."""
        return Case(self.patient, self.name, self.label == MASKED, self.person)


@dataclass(frozen=True)
class RawDataset:
    """A raw download, or scans of one's own.

    Args:
        source (Source): Where its members are read from.
        slices (list[RawSlice]): By patient and number.
        people (dict[str, tuple[float, str]]): Age in years (nan where not given) and sex by
            patient.
        rows_without_image (int): Rows of the diagnosis whose slice is not in this download.
        unknown_files (tuple[str, ...]): Files that are neither slices nor a system's litter.
        remarks (tuple[str, ...]): What else is unusual. Defaults to nothing.
        title (str): What the data set is called. Defaults to ct-ich.
        volumes (Volumes, optional): What reads slices of one's own scans. Defaults to None: pairs
            of JPEG.
    """

    source: Source
    slices: list[RawSlice]
    people: dict[str, tuple[float, str]]
    rows_without_image: int
    unknown_files: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    title: str = CT_ICH
    volumes: 'Volumes | None' = None


def read_raw(source: Source) -> RawDataset:
    """Read the structure of a download; of pixels only the size of each mask and its image.

    Args:
        source (Source): From :func:`cranium.preparation.source.find_source`.

    Returns:
        RawDataset: Every slice that has a brain window.

    Raises:
        CraniumError: No slices, no diagnosis, a malformed CSV, or two files for one slice.
    """
    members = source.members()
    files, unknown = _sort_files(members, source)
    table = _find_csv(members, DIAGNOSIS)
    if table is None:
        raise CraniumError(f'{source}: {DIAGNOSIS} is missing; put it beside {PATIENTS}')
    rows = read_diagnosis(source.read(table), source.describe(table))
    columns = ['patient', 'slice', 'types', 'hemorrhage']
    diagnosis = {
        (int(patient), number): (types, hemorrhage)
        for patient, number, types, hemorrhage in rows[columns].to_numpy()
    }
    slices = [
        _raw_slice(source, *key, windows, diagnosis.pop(key, None))
        for key, windows in sorted(files.items())
        if 'brain' in windows
    ]
    for windows in files.values():
        if 'brain' not in windows:
            unknown += windows.values()
    unknown.sort()
    if not slices:
        msg = f'{source}: {PATIENTS} holds no <patient>/brain/<slice>.jpg'
        raise CraniumError(f'{msg}{_seen(unknown)}; unpack it again')
    unlabelled = sum(item.label == UNLABELLED for item in slices)
    if unlabelled and unknown and not any(item.mask for item in slices):
        msg = f'{source}: {unlabelled} slices need a mask, and none has one{_seen(unknown)}; masks'
        raise CraniumError(f'{msg} are named as {MASK_EXAMPLE}')
    people, remarks = read_people(source, _find_csv(members, DEMOGRAPHICS))
    return RawDataset(source, slices, people, len(diagnosis), tuple(unknown), remarks)


def _seen(unknown: Sequence[str]) -> str:
    """Name files that are not understood, in brackets."""
    more = f' and {len(unknown) - 2} more' if len(unknown) > 2 else ''
    return f' (seen, but not understood: {", ".join(unknown[:2])}{more})' if unknown else ''


def _sort_files(
    members: Iterable[str], source: Source
) -> tuple[dict[tuple[int, int], dict[str, str]], list[str]]:
    """Group members by (patient, slice), as ``{'brain': ..., 'bone': ..., 'mask': ...}``."""
    files: dict[tuple[int, int], dict[str, str]] = {}
    unknown = []
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match and not (match[2].lower() == 'bone' and match[4]):
            kind = 'mask' if match[4] else match[2].lower()
            windows = files.setdefault((int(match[1]), int(match[3])), {})
            if kind in windows:
                first = source.describe(windows[kind])
                msg = f'{source.describe(member)}: the same slice as {first}; keep one'
                raise CraniumError(msg)
            windows[kind] = member
        elif member.startswith(f'{PATIENTS}/') and not _LITTER.search(member):
            unknown.append(member)
    return files, unknown


def _raw_slice(
    source: Source,
    patient: int,
    number: int,
    windows: dict[str, str],
    diagnosis: tuple[str, bool] | None,
) -> RawSlice:
    brain, bone, mask = windows['brain'], windows.get('bone'), windows.get('mask')
    types, hemorrhage = diagnosis or ('', True)
    notes = []
    if bone is None:
        notes.append(NO_BONE)
    if diagnosis is None:
        notes.append('no row in the diagnosis')
    if mask and not hemorrhage:
        notes.append(ON_CLEAN)
    if mask and (misfit := _misfit(source, brain, mask)):
        notes.append(misfit)
        # What was drawn there is lost, so that the slice is unlabelled and not background.
        mask, hemorrhage = None, True
    label = MASKED if mask else UNLABELLED if hemorrhage else BACKGROUND
    if label == UNLABELLED:
        notes.append('unlabelled: no mask that can be used')
    return RawSlice(patient_name(patient), number, brain, bone, mask, label, types, tuple(notes))


def _misfit(source: Source, brain: str, mask: str) -> str | None:
    """Say how a mask's size differs from its image's: stretching it would invent an outline."""
    height, width = jpeg_size(source.read(brain), source.describe(brain))
    mask_height, mask_width = jpeg_size(source.read(mask), source.describe(mask))
    if (height, width) == (mask_height, mask_width):
        return None
    return f'mask of {mask_width} x {mask_height} on an image of {width} x {height}'


def read_people(
    source: Source, member: str | None
) -> tuple[dict[str, tuple[float, str]], tuple[str, ...]]:
    """Read ages and sexes from ct-ich's table, and what there is to remark.

    Without the file there are none, as nothing but statistics needs it.
    """
    if member is None:
        return {}, ()
    name, content = source.describe(member), source.read(member)
    remarks: tuple[str, ...] = ()
    try:
        content.decode()
    except UnicodeDecodeError:
        content = content.decode('latin-1').encode()
        remarks = (f'{name}: not in UTF-8; read as Latin-1',)
    columns = ['Patient Number', 'Age (years)', 'Gender']
    cells = read_table(content, name, columns)
    for line, patient, age in cells[columns[:2]].itertuples():
        if not re.fullmatch('[0-9]{1,9}', patient):
            msg = f'Patient Number is {patient!r}, not a number; correct it'
            raise CraniumError(f'{name}, line {line}: {msg}')
        if age and not (re.fullmatch(_AGE, age) and float(age) <= _OLDEST):
            msg = f'{age!r} is no age in years; correct it or leave the cell empty'
            raise CraniumError(f'{name}, line {line}: {msg}')
    cells['patient'] = cells['Patient Number'].map(patient_name)
    for lines in cells.drop_duplicates().groupby('patient').groups.values():
        if len(lines) > 1:
            msg = f'{name}: lines {lines[0]} and {lines[1]} differ on one patient; keep one'
            raise CraniumError(msg)
    people = cells[['patient', *columns[1:]]].to_numpy()
    return {patient: (float(age or np.nan), sex) for patient, age, sex in people}, remarks


def _find_csv(members: list[str], name: str) -> str | None:
    return next((member for member in members if member.lower() == name), None)
