"""Scans of one's own, DICOM or NIfTI, with their masks: another source of slices than ct-ich."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cranium.diagnosis import read_diagnosis
from cranium.errors import CraniumError
from cranium.preparation.content import mask_fault
from cranium.preparation.parallel import in_parallel
from cranium.preparation.raw import DEMOGRAPHICS, RawDataset, RawSlice, read_people
from cranium.preparation.source import FolderSource
from cranium.preparation.tree import sha256
from cranium.scans.find import NIFTI, Found, find_scans, read_scan
from cranium.scans.headers import read_dataset
from cranium.scans.labels import Label, read_label, referenced_scan
from cranium.scans.scan import Scan
from cranium.slices import (
    BACKGROUND,
    HEMORRHAGE_TYPES,
    IGNORE_INDEX,
    MASKED,
    UNLABELLED,
    join_types,
    patient_name,
    split_types,
)

if TYPE_CHECKING:
    import pandas as pd

# Of nnU-Net, and of ct-ich's release in NIfTI.
LABEL_NAMES, DIAGNOSIS_OF_NIFTI = 'dataset.json', 'hemorrhage_diagnosis_raw_ct.csv'

_CHANNEL = re.compile(r'_(\d{4})$', re.ASCII)
_MASK_SUFFIX = re.compile(r'[_-](seg|segmentation|mask|masks|label|labels|gt)$', re.IGNORECASE)
_SQUARE = 0.01
_MOST_NAMED = 3


@dataclass(frozen=True)
class Case:
    """A scan and its mask.

    Args:
        patient (str): What it is called in the tree.
        scan (Found): The scan.
        mask (Path, optional): Its mask; None where there is none.
    """

    patient: str
    scan: Found
    mask: Path | None


@dataclass(frozen=True)
class HuSlice:
    """A slice as read.

    Args:
        hu (ndarray): (H, W), int16.
        mask (ndarray, optional): (H, W), uint8: 0, 1 or ``IGNORE_INDEX``; None: unlabelled.
        sources (tuple[str, ...]): What it was read from.
        digests (tuple[str, ...]): SHA-256 of each.
        pixel_mm (float): Side of a pixel.
        slice_mm (float): Thickness of the layer that it stands for; nan for a lone slice.
    """

    hu: NDArray[np.int16]
    mask: NDArray[np.uint8] | None
    sources: tuple[str, ...]
    digests: tuple[str, ...]
    pixel_mm: float
    slice_mm: float


@dataclass(frozen=True)
class Volumes:
    """Folders of scans and masks.

    Args:
        images (Path): The folder of scans.
        labels (Path): The folder of masks.
        cases (Mapping[str, Case]): By patient, in order.
        label_names (Mapping[int, str], optional): What the values of masks in NIfTI mean. Defaults
            to None: all but 0 are hemorrhage.
        slice_mm (float, optional): What thin slices are averaged to; see :func:`layers_of`.
            Defaults to None: they stay as they are.
        remarks (tuple[str, ...]): What is unusual. Defaults to nothing.
    """

    images: Path
    labels: Path
    cases: Mapping[str, Case]
    label_names: Mapping[int, str] | None = None
    slice_mm: float | None = None
    remarks: tuple[str, ...] = ()

    def read(self, case: Case) -> tuple[Scan, Label | None]:
        """Read a scan and its mask.

        Raises:
            CraniumError: One of them cannot be used, or they do not fit.
            OSError: A file cannot be read.
        """
        scan = read_scan(case.scan)
        if scan.geometry is None:
            raise CraniumError(f'{scan.source}: says nothing of its geometry; take DICOM or NIfTI')
        height, width = scan.geometry.pixel_mm
        if abs(height / width - 1) > _SQUARE:
            msg = f'{scan.source}: pixels of {width:.3g} x {height:.3g} mm, but a head is to keep'
            raise CraniumError(f'{msg} its shape; resample scan and mask to square ones')
        return scan, read_label(case.mask, scan, self.label_names) if case.mask else None

    def slices(self, wanted: Sequence[RawSlice]) -> Iterator[HuSlice]:
        """Read slices of one patient; see :meth:`read`."""
        if not wanted:
            return
        case = self.cases[wanted[0].patient]
        scan, label = self.read(case)
        assert scan.geometry is not None
        pixel_mm = float(np.sqrt(np.prod(scan.geometry.pixel_mm)))
        sources, layers = _sources(case, scan, self.images), layers_of(scan, self.slice_mm)
        mask_source = [(_inside(str(case.mask), self.labels), _digest(case.mask))] if label else []
        for item in wanted:
            layer = layers[item.number - 1]
            names, digests = zip(*dict.fromkeys(sources[layer]), *mask_source)
            yield HuSlice(
                _average(scan.hu[layer]),
                None if label is None else _majority(label.mask[layer]),
                names,
                digests,
                pixel_mm,
                float(scan.geometry.thickness_mm[layer].sum()),
            )


def layers_of(scan: Scan, slice_mm: float | None) -> list[slice]:
    """Choose which slices of a scan are averaged.

    Args:
        scan (Scan): With a geometry.
        slice_mm (float, optional): Thickness that thin slices are averaged to, as near as whole
            ones come to it. Slices of more than two thirds of it stay as they are, as all do if it
            is None.

    Returns:
        list[slice]: The slices of each layer, from the neck to the vertex.
    """
    count = len(scan.hu)
    assert scan.geometry is not None
    thickness, positions = scan.geometry.thickness_mm, scan.geometry.positions_mm
    if slice_mm is None or count == 1 or np.median(thickness) > slice_mm * 2 / 3:
        return [slice(index, index + 1) for index in range(count)]
    edges = positions - positions[0] + thickness[0] / 2
    height = edges[-1] + thickness[-1] / 2
    number = np.floor(edges * max(1, round(height / slice_mm)) / height)
    starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), count]
    return [slice(start, stop) for start, stop in pairwise(starts)]


def _average(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Average slices, (n, H, W), to one."""
    return (
        np.asarray(np.rint(hu.mean(axis=0, dtype=np.float32)), np.int16) if len(hu) > 1 else hu[0]
    )


def _majority(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Call hemorrhage what is that in half of the slices, (n, H, W), or more."""
    drawn: NDArray[np.uint8] = ((mask == 1).mean(axis=0) >= 0.5).astype(np.uint8)
    drawn[(drawn == 0) & (mask == IGNORE_INDEX).any(axis=0)] = IGNORE_INDEX
    return drawn


def find_volumes(images: Path, labels: Path, work: Path, slice_mm: float | None = None) -> Volumes:
    """Find scans and the masks that belong to them.

    A mask has the name of its scan, also without nnU-Net's ``_0000``, or with ``_seg``, ``_mask``
    or ``_label``; where all scans are named alike, the folders that they lie in count. A DICOM-SEG
    names its series itself.

    Args:
        images (Path): Folder of DICOM series or NIfTI.
        labels (Path): Folder of NIfTI or DICOM-SEG. It may be the same for DICOM.
        work (Path): A folder for what zips hold.
        slice_mm (float, optional): What thin slices are averaged to. Defaults to None.

    Returns:
        Volumes: The cases, by patient.

    Raises:
        CraniumError: No scans, no masks, masks of no scan, or two of one name.
    """
    for folder, option in ((images, '--images'), (labels, '--labels')):
        if not folder.is_dir():
            raise CraniumError(f'{folder}: no such folder; give {option} the folder itself')
    masks = _find_masks(labels)
    found, faults = find_scans([images], work)
    drawn = {str(path) for path in masks.values()}
    scans = _named([scan for scan in found if not {*map(str, scan.files)} <= drawn], images)
    remarks = _left_out([fault.message for fault in faults if fault.source not in drawn])
    remarks += _left_out([f'{scan.source}: a picture' for scan in found if scan.kind == 'pictures'])
    if not scans:
        raise CraniumError(f'{images}: no scans in DICOM or NIfTI; see docs/preparation.md')
    if unmatched := [path for name, path in masks.items() if name not in scans]:
        msg = f'{unmatched[0]}: a mask without a scan ({len(unmatched)} of {len(masks)} masks)'
        raise CraniumError(f'{msg}; name it as the scan is named, such as {next(iter(scans))}')
    if not masks:
        raise CraniumError(f'{labels}: no masks in NIfTI or DICOM-SEG; see docs/preparation.md')
    cases = {
        patient: Case(patient, scan, masks.get(name))
        for name, (patient, scan) in sorted(scans.items(), key=lambda each: each[1][0])
    }
    names = _label_names(images, labels)
    return Volumes(images, labels, cases, names, slice_mm, tuple(remarks))


def read_volumes(volumes: Volumes) -> RawDataset:
    """Read every scan and every mask, and what the tables of ct-ich say if they are there.

    Raises:
        CraniumError: A mask that cannot be used or cannot be hemorrhage, or whose scan cannot be
            used. Scans without a mask are left out instead.
    """
    diagnosis, people, remarks = _tables(volumes.images.parent)
    surveys = list(in_parallel(partial(_survey, volumes, diagnosis), volumes.cases.values()))
    if faults := [survey.fault for survey in surveys if survey.fault]:
        many = f'{len(faults)} masks cannot be hemorrhage: ' if len(faults) > 1 else ''
        raise CraniumError(many + ' | '.join(faults[:_MOST_NAMED]))
    slices = [item for survey in surveys for item in survey.slices]
    if not slices:
        raise CraniumError(f'{volumes.images}: no scan that can be used: {surveys[0].remarks[0]}')
    patients = defaultdict(list)
    for patient, survey in zip(volumes.cases, surveys):
        for remark in survey.remarks:
            patients[remark].append(patient)
    said = [
        f'{", ".join(names[:_MOST_NAMED])}{_more(names)}: {text}'
        for text, names in patients.items()
    ]
    people_of = {item.patient: item.person for item in slices if item.person}
    if more := len(people_of) - len({*people_of.values()}):
        said.append(
            f'scans of a patient of whom there is another: {more}; folds keep them together'
        )
    without = sum(case.mask is None for case in volumes.cases.values())
    if without:
        said.append(f'scans without a mask: {without} of {len(volumes.cases)}')
    remarks = (*volumes.remarks, *said, *remarks)
    source = FolderSource(volumes.images)
    return RawDataset(source, slices, people, 0, (), remarks, 'own scans', volumes)


@dataclass(frozen=True)
class _Survey:
    """What was found in a case: its slices, what there is to say, why its mask is none."""

    slices: tuple[RawSlice, ...] = ()
    remarks: tuple[str, ...] = ()
    fault: str = ''


def _survey(volumes: Volumes, diagnosis: 'pd.DataFrame | None', case: Case) -> _Survey:
    try:
        scan, label = volumes.read(case)
    except CraniumError as error:
        if case.mask:
            raise
        return _Survey(remarks=(f'left out, {error}',))
    fault = None
    if label is not None and (label.mask == 1).any():
        hemorrhage = label.mask == 1
        fault = mask_fault(hemorrhage * np.uint8(255), hemorrhage, scan.hu)
    layers = layers_of(scan, volumes.slice_mm)
    drawn = [(_majority(label.mask[layer]) == 1).any() for layer in layers] if label else None
    types, remarks = _types(scan, label, diagnosis, case.patient)
    member, person = _inside(case.scan.source, volumes.images), _person(case.scan)
    slices = tuple(
        RawSlice(
            case.patient,
            number,
            brain=member,
            bone=member,
            mask=str(case.mask) if drawn and drawn[number - 1] else None,
            label=(MASKED if drawn[number - 1] else BACKGROUND) if drawn else UNLABELLED,
            types=_union(types[layer]),
            person=person,
        )
        for number, layer in enumerate(layers, 1)
    )
    return _Survey(slices, (*scan.remarks, *remarks), f'{case.mask}: {fault}' if fault else '')


def _union(types: Sequence[str]) -> str:
    present = {name for cell in types for name in split_types(cell)}
    return join_types(name for name in HEMORRHAGE_TYPES if name in present)


def _person(scan: Found) -> str:
    """Tell persons apart without telling who they are; empty where the files do not say."""
    if scan.kind != 'dicom':
        return ''
    dataset = read_dataset(scan.files[0], stop_before_pixels=True, specific_tags=['PatientID'])
    person = str(dataset.get('PatientID') or '')
    return person and sha256(person.encode())


def _types(
    scan: Scan, label: Label | None, diagnosis: 'pd.DataFrame | None', patient: str
) -> tuple[Sequence[str], tuple[str, ...]]:
    """Hemorrhage types by slice, of the diagnosis or of the mask; and where the two disagree."""
    if diagnosis is None or patient not in set(diagnosis['patient']):
        return label.types if label else [''] * len(scan.hu), ()
    rows = diagnosis[diagnosis['patient'] == patient].set_index('slice')
    # The diagnosis counts slices as the file stores them.
    downwards = scan.orientation.reverse[0]
    order = [len(scan.hu) - i if downwards else i + 1 for i in range(len(scan.hu))]
    found = rows.reindex(order)
    differ = 0
    if label is not None:
        drawn = (label.mask == 1).any(axis=(1, 2))
        differ = int((drawn != found['hemorrhage'].fillna(False).to_numpy(bool)).sum())
    text = (f'{differ} slices in which mask and diagnosis disagree',) if differ else ()
    return found['types'].fillna('').tolist(), text


def _tables(
    folder: Path,
) -> tuple['pd.DataFrame | None', dict[str, tuple[float, str]], tuple[str, ...]]:
    """Read diagnosis and demographics of ct-ich, where they lie beside the scans."""
    names = {path.name.lower(): path.name for path in folder.glob('*.csv')}
    diagnosis = names.get(DIAGNOSIS_OF_NIFTI)
    if diagnosis is None:
        return None, {}, ()
    people, remarks = read_people(FolderSource(folder), names.get(DEMOGRAPHICS))
    return read_diagnosis(folder / diagnosis), people, remarks


def _find_masks(labels: Path) -> dict[str, Path]:
    """Masks by what they are called, or by the name of the series that they are drawn on."""
    nifti = [path for path in sorted(labels.rglob('*')) if path.name.lower().endswith(NIFTI)]
    keys = _keys(nifti, labels)
    masks: dict[str, Path] = {}
    others = (path for path in sorted(labels.rglob('*')) if path.is_file() and path not in keys)
    drawn_on = ((path, referenced_scan(path)) for path in others)
    named = [*keys.items(), *((path, name) for path, name in drawn_on if name is not None)]
    for path, key in named:
        name = _MASK_SUFFIX.sub('', key)
        if name in masks:
            raise CraniumError(f'{path}: a second mask of {name} beside {masks[name]}; keep one')
        masks[name] = path
    return masks


def _named(found: Sequence[Found], images: Path) -> dict[str, tuple[str, Found]]:
    """Patients and scans by the name that their masks have."""
    nifti = {scan.files[0]: scan for scan in found if scan.kind == 'nifti'}
    keys = _keys(list(nifti), images)
    named = [(_channel(keys[path], path), scan) for path, scan in nifti.items()]
    named += [(scan.name, scan) for scan in found if scan.kind == 'dicom']
    scans: dict[str, tuple[str, Found]] = {}
    sources: dict[str, str] = {}
    for name, scan in named:
        patient = patient_name(re.sub('[^A-Za-z0-9]+', '-', name).strip('-') or 'scan')
        if patient in sources:
            msg = f'{scan.source}: is called {patient}, as {sources[patient]} is'
            raise CraniumError(f'{msg}; give it another name')
        scans[name], sources[patient] = (patient, scan), scan.source
    return scans


def _keys(files: Sequence[Path], root: Path) -> dict[Path, str]:
    """Name files by their stems, or by the folders that they lie in where stems are the same."""
    stems = {path: re.sub(r'\.nii(\.gz)?$', '', path.name, flags=re.IGNORECASE) for path in files}
    if len({*stems.values()}) == len(stems) or any(path.parent == root for path in files):
        return stems
    return {path: '-'.join(path.parent.relative_to(root).parts) for path in files}


def _channel(name: str, path: Path) -> str:
    channel = _CHANNEL.search(name)
    if channel and channel[1] != '0000':
        msg = f'{path}: channel {int(channel[1])}, but a CT has only one (_0000)'
        raise CraniumError(f'{msg}; leave out the others')
    return _CHANNEL.sub('', name)


def _label_names(images: Path, labels: Path) -> dict[int, str] | None:
    """Read what nnU-Net's ``dataset.json`` says of labels, where it lies beside the folders."""
    for folder in dict.fromkeys([labels, labels.parent, images.parent]):
        path = folder / LABEL_NAMES
        if not path.is_file():
            continue
        try:
            labels_of = json.loads(path.read_text(encoding='utf-8')).get('labels') or {}
            # By name of the second version, by number of the first.
            pairs = [(v, k) if isinstance(v, int) else (int(k), v) for k, v in labels_of.items()]
        except (ValueError, TypeError, AttributeError) as error:
            msg = f'{path}: labels that are not numbers; correct it, or move it away'
            raise CraniumError(msg) from error
        return {value: str(name) for value, name in pairs} or None
    return None


def _sources(case: Case, scan: Scan, images: Path) -> list[tuple[str, str]]:
    """Name and digest of what each slice was read from; of DICOM nothing that a patient names."""
    files, count = case.scan.files, len(scan.hu)
    if case.scan.kind == 'dicom' and len(scan.files) == count and scan.orientation.axes[0] == 0:
        stored = scan.files[::-1] if scan.orientation.reverse[0] else scan.files
        return [(f'{case.patient}/{Path(file).name}', _digest(Path(file))) for file in stored]
    if len(files) == 1:
        name = case.patient if case.scan.kind == 'dicom' else _inside(case.scan.source, images)
        return [(name, _digest(files[0]))] * count
    return [(case.patient, sha256(''.join(map(_digest, files)).encode()))] * count


def _digest(path: Path | None) -> str:
    return sha256(path.read_bytes()) if path else ''


def _inside(source: str, folder: Path) -> str:
    """Name a file by its path from the folder's parent."""
    return source.removeprefix(f'{folder.parent}/') if folder.parent != Path() else source


def _left_out(messages: Sequence[str]) -> list[str]:
    remarks = [f'{message}; left out' for message in messages[:_MOST_NAMED]]
    more = len(messages) - _MOST_NAMED
    return [*remarks, f'{more} more like these; left out'] if more > 0 else remarks


def _more(names: Sequence[str]) -> str:
    return f' and {len(names) - _MOST_NAMED} more' if len(names) > _MOST_NAMED else ''
