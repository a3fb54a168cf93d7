"""Finding the scans in what a user names: files, folders and zips of DICOM, NIfTI and pictures."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path

from cranium.archives import unpack
from cranium.errors import CraniumError
from cranium.scans.headers import DICOMDIR, Header, NoSliceError, is_dicom, read_header
from cranium.scans.scan import Scan
from cranium.scans.series import series_of
from cranium.windows import BRAIN, Window

NIFTI = ('.nii', '.nii.gz')
_PICTURES = ('.png', '.jpg', '.jpeg')

_DICOM = ('.dcm', '.dicom', '.ima')  # most have one of these names or none
_LITTER = re.compile(r'\..*|__MACOSX|DICOMDIR|Thumbs\.db|desktop\.ini', re.IGNORECASE)
_MASK = re.compile(r'.*_HGE_Seg', re.IGNORECASE)
_SLICE = re.compile(r'(?:(?P<patient>[A-Za-z0-9-]+)_)?(?P<number>\d+)', re.ASCII)
_BESIDE = {'bone': 'brain', 'masks': 'images'}  # the first shows what the second does
_UNFIT = re.compile(r'[^A-Za-z0-9._-]+', re.ASCII)


@dataclass(frozen=True)
class Found:
    """A scan that was found, and not yet read.

    Args:
        name (str): A pseudonym, unique in the list and fit for a file's name.
        source (str): The path as the user named it or below that; of a zip
            ``archive.zip:inner/file``.
        kind (str): ``'dicom'``, ``'nifti'`` or ``'pictures'``.
        files (tuple[Path, ...]): What to read.
        remarks (tuple[str, ...]): What a user should know of it, one line each.
        unpacked (Path, optional): Where its zip was unpacked. Defaults to None: it is in none.
        archive (str): The zip. Defaults to ``''``.
    """

    name: str
    source: str
    kind: str
    files: tuple[Path, ...]
    remarks: tuple[str, ...] = ()
    unpacked: Path | None = None
    archive: str = ''


@dataclass(frozen=True)
class Fault:
    """An input that is no scan.

    Args:
        source (str): Its path.
        message (str): What is wrong, in one line with the remedy.
    """

    source: str
    message: str


def find_scans(
    inputs: Sequence[Path], work: Path, most_bytes: int | None = None
) -> tuple[list[Found], list[Fault]]:
    """Find the scans in files, folders and zips.

    Folders are searched with all that is in them. A series of DICOM is one scan, told from others
    by SeriesInstanceUID, as far as its slices lie in one input; files that were named one by one
    are one input together. So a lone slice is a scan if its file was named, and its series is if
    the folder was.

    Args:
        inputs (sequence): What the user named.
        work (Path): A folder that zips are unpacked to; all else is left as it is.
        most_bytes (int, optional): Of what a zip unpacks to. Defaults to None: 20 GB.

    Returns:
        tuple: The scans, in the order of the inputs and in each by name; and what is none.
    """
    found: list[Found] = []
    faults: list[Fault] = []
    seen: set[Path] = set()
    for place in _places(inputs, work, most_bytes, faults):
        before = len(found) + len(faults)
        files = [path for path in place.files if _is_new(path, seen)]
        found += _scans_in(place, files, faults)
        if len(found) + len(faults) == before and (files or not place.files):
            msg = f'{place.source}: no scan in it; name DICOM, NIfTI, PNG or JPEG, or their folder'
            faults.append(Fault(place.source, msg))
    return _uniquely_named(found), faults


def read_scan(found: Found, window: Window | None = BRAIN) -> Scan:
    """Read a scan.

    Args:
        found (Found): What :func:`find_scans` found.
        window (Window, optional): What 8-bit pictures are taken for; None if that is to be
            estimated. Defaults to the brain window.

    Raises:
        CraniumError: It is damaged, or no scan that can be segmented.
        OSError: A file cannot be read.
    """
    try:
        scan = _read(found, window)
    except CraniumError as error:
        raise CraniumError(_as_in_zip(str(error), found.unpacked, found.archive)) from error
    return replace(
        scan, name=found.name, source=found.source, remarks=(*found.remarks, *scan.remarks)
    )


def _read(found: Found, window: Window | None) -> Scan:
    # Readers are slow to import.
    if found.kind == 'dicom':
        from cranium.scans.dicom import read_dicom

        return read_dicom(found.files)
    if found.kind == 'nifti':
        from cranium.scans.nifti import read_nifti

        return read_nifti(found.files[0])
    from cranium.scans.pictures import read_pictures

    return read_pictures(found.files, window)


@dataclass(frozen=True)
class _Place:
    """Where files were found: in a folder, in a zip, or among those that were named one by one."""

    source: str
    files: tuple[Path, ...]
    named: bool = False
    unpacked: Path | None = None
    archive: str = ''

    def found(
        self, name: str, kind: str, files: Sequence[Path], remarks: Sequence[str] = ()
    ) -> Found:
        """Return what was found here."""
        source = (
            files[0] if len(files) == 1 else Path(os.path.commonpath([f.parent for f in files]))
        )
        return Found(
            name=_UNFIT.sub('-', name).strip('-.') or 'scan',
            source=self.show(source),
            kind=kind,
            files=tuple(files),
            remarks=tuple(remarks),
            unpacked=self.unpacked,
            archive=self.archive,
        )

    def show(self, path: Path) -> str:
        """Name a file as the user would."""
        return _as_in_zip(str(path), self.unpacked, self.archive)

    def fault(self, path: Path, error: Exception) -> Fault:
        """Return what is wrong with a file."""
        message = str(error)
        if isinstance(error, OSError):
            message = f'{path}: cannot be read ({error.strerror}); check its permissions'
        return Fault(self.show(path), _as_in_zip(message, self.unpacked, self.archive))


def _as_in_zip(text: str, unpacked: Path | None, archive: str) -> str:
    return re.sub(f'{re.escape(str(unpacked))}{os.sep}?', f'{archive}:', text) if unpacked else text


def _is_new(path: Path, seen: set[Path]) -> bool:
    real = path.resolve()
    known = real in seen
    seen.add(real)
    return not known


def _places(
    inputs: Sequence[Path], work: Path, most_bytes: int | None, faults: list[Fault]
) -> Iterator[_Place]:
    """Yield where scans may be; unpack zips."""
    named = [path for path in inputs if os.path.isfile(path) and not _is_zip(path)]
    for path in inputs:
        if path in named:
            if path == named[0]:  # all at once
                yield _Place('', tuple(named), named=True)
        elif os.path.isdir(path):
            files = list(_walk(path, faults))
            zips = [file for file in files if _is_zip(file)]
            if len(files) > len(zips) or not zips:
                yield _Place(str(path), tuple(file for file in files if not _is_zip(file)))
            for file in zips:
                yield from _unpacked(file, work, most_bytes, faults)
        elif os.path.isfile(path):
            yield from _unpacked(path, work, most_bytes, faults)
        else:
            msg = f'{path}: no such file or folder, or no permission to see it; check it'
            faults.append(Fault(str(path), msg))


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == '.zip'


def _unpacked(
    path: Path, work: Path, most_bytes: int | None, faults: list[Fault]
) -> Iterator[_Place]:
    # Pictures are called by their folder, and that is the same the next time.
    folder = Path(tempfile.mkdtemp(dir=work), path.stem)
    try:
        unpack(path, folder, most_bytes)
    except CraniumError as error:
        faults.append(Fault(str(path), str(error)))
    else:
        files = tuple(_walk(folder, faults))
        yield _Place(str(path), files, unpacked=folder, archive=str(path))


def _walk(folder: Path, faults: list[Fault]) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, sorted, but for litter."""

    def report(error: OSError) -> None:
        msg = f'{error.filename}: cannot be read ({error.strerror}); check its permissions'
        faults.append(Fault(str(error.filename), msg))

    for path, folders, files in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not _LITTER.fullmatch(name))
        names = sorted(name for name in files if not _LITTER.fullmatch(name))
        yield from (file for name in names if (file := Path(path, name)).is_file())


def _scans_in(place: _Place, files: Sequence[Path], faults: list[Fault]) -> list[Found]:
    """Sort the files of a place into scans."""
    kinds: dict[str, list[Path]] = {'nifti': [], 'pictures': [], 'dicom': []}
    for path in files:
        kinds[_kind(path)].append(path)
    unknown: list[Path] = []
    found = [
        *_dicom(place, kinds['dicom'], unknown, faults),
        *(place.found(_stem(path), 'nifti', [path]) for path in kinds['nifti']),
        *_pictures(place, kinds['pictures'], faults),
    ]
    found.sort(key=lambda scan: (scan.source, scan.name))
    if unknown and found:
        remark = f'other files there, which are no scans: {len(unknown)}'
        found[0] = replace(found[0], remarks=(*found[0].remarks, remark))
    return found


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(NIFTI):
        return 'nifti'
    return 'pictures' if name.endswith(_PICTURES) else 'dicom'


def _stem(path: Path) -> str:
    return re.split(r'(?i)\.nii', path.name)[0]


def _dicom(
    place: _Place, files: Sequence[Path], unknown: list[Path], faults: list[Fault]
) -> list[Found]:
    headers: list[Header] = []
    left_out: list[NoSliceError] = []
    broken: dict[str, list[str]] = {}
    for path in files:
        try:
            if place.named or is_dicom(path) or path.name.lower().endswith(_DICOM):
                headers.append(read_header(path))
            else:
                unknown.append(path)
        except NoSliceError as error:
            if place.named:
                faults.append(place.fault(path, error))
            elif error.what != DICOMDIR:
                left_out.append(error)
        except (CraniumError, OSError) as error:
            wrong = place.fault(path, error)
            broken.setdefault(wrong.message.removeprefix(wrong.source), []).append(wrong.source)
    faults += [_fault_of_several(sources, message) for message, sources in broken.items()]
    series, misfits = series_of(headers)
    faults += [place.fault(misfit.path, misfit) for misfit in misfits]
    remarks = _remarks_of_studies(place, left_out, {h.study for h in headers}, faults)
    return [
        place.found(
            one.name,
            'dicom',
            [header.path for header in one.headers],
            (*one.remarks, *remarks.get(one.headers[0].study, ())),
        )
        for one in series
    ]


def _fault_of_several(sources: Sequence[str], message: str) -> Fault:
    """Say once what is wrong with several files, each of a series as a rule."""
    more = f' and {len(sources) - 1} more' if len(sources) > 1 else ''
    return Fault(sources[0], f'{sources[0]}{more}{message}')


def _remarks_of_studies(
    place: _Place, left_out: Sequence[NoSliceError], scanned: set[str], faults: list[Fault]
) -> dict[str, list[str]]:
    """Say what is left out of the studies that have a scan; the others are a fault."""
    remarks: dict[str, list[str]] = {}
    for study in dict.fromkeys(error.study for error in left_out):
        errors = [error for error in left_out if error.study == study]
        kinds = ', '.join(sorted({error.what for error in errors}))
        if study in scanned:
            remark = f'files of its study that are no axial CT slices: {len(errors)} ({kinds})'
            remarks[study] = [remark]
        else:
            sources = [place.show(error.path) for error in errors]
            message = f': {kinds}, not CT slices; name a series of these'
            faults.append(_fault_of_several(sources, message))
    return remarks


def _pictures(place: _Place, files: Sequence[Path], faults: list[Fault]) -> list[Found]:
    found = []
    for folder, group in groupby(sorted(files), key=lambda path: path.parent):
        if not place.named and _is_beside_another(folder):
            continue
        pictures = []
        for path in group:
            if not _MASK.fullmatch(path.stem):
                pictures.append(path)
            elif place.named:
                error = CraniumError(f'{path}: a mask of ct-ich, not a scan; name its slice')
                faults.append(place.fault(path, error))
        for name, slices in _stacks(folder, pictures).items():
            found.append(place.found(name, 'pictures', slices))
    return found


def _stacks(folder: Path, pictures: Sequence[Path]) -> dict[str, list[Path]]:
    """Put the pictures of a folder that are slices of one scan together, by their names."""
    matches = {path: _SLICE.fullmatch(path.stem) for path in pictures}
    numbered = all(match and not match['patient'] for match in matches.values())
    whole = folder.parent.name if folder.name == 'brain' else folder.name  # as in ct-ich
    stacks: dict[str, list[tuple[int, Path]]] = {}
    for path, match in matches.items():
        patient = (whole if numbered else match['patient']) if match else None
        number = int(match['number']) if match else 0
        stacks.setdefault(patient or path.stem, []).append((number, path))
    named = {
        name if len(slices) > 1 else slices[0][1].stem: [path for _, path in sorted(slices)]
        for name, slices in stacks.items()
    }
    return named


def _is_beside_another(folder: Path) -> bool:
    """Whether pictures are masks, or another window of the slices beside."""
    return any(
        above.name in _BESIDE and (above.parent / _BESIDE[above.name]).is_dir()
        for above in (folder, *folder.parents)
    )


def _uniquely_named(found: Sequence[Found]) -> list[Found]:
    """Number scans whose name another has, also where a file system does not tell case apart."""
    taken: set[str] = set()
    unique = []
    for scan in found:
        names = (scan.name if n == 1 else f'{scan.name}-{n}' for n in count(1))
        name = next(name for name in names if name.lower() not in taken)
        taken.add(name.lower())
        unique.append(replace(scan, name=name))
    return unique
