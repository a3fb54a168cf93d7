"""Finding the scans in what a user names: files, folders and zips of DICOM, NIfTI and pictures."""

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from cranium.archives import unpack
from cranium.errors import CraniumError
from cranium.scans.headers import is_dicom, read_header
from cranium.scans.scan import Scan
from cranium.scans.series import series_of
from cranium.windows import BRAIN, Window

NIFTI = ('.nii', '.nii.gz')
PICTURES = ('.png', '.jpg', '.jpeg')

_LITTER = re.compile(r'\..*|__MACOSX|DICOMDIR|Thumbs\.db|desktop\.ini', re.IGNORECASE)
_MASK = re.compile(r'.*_HGE_Seg', re.IGNORECASE)
_SLICE = re.compile(r'(?P<patient>[A-Za-z0-9-]+)_\d+', re.ASCII)
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


@dataclass(frozen=True)
class _Place:
    """Where files were found: in a folder, in a zip, or among those that were named one by one."""

    source: str
    named: bool = False
    unpacked: Path | None = None
    archive: str = ''

    def show(self, path: Path) -> str:
        """Name a file as the user would."""
        return self.show_in(str(path))

    def show_in(self, message: str) -> str:
        """Name files in a message likewise."""
        return _as_in_zip(message, self.unpacked, self.archive)


def find_scans(inputs: Sequence[Path], work: Path) -> tuple[list[Found], list[Fault]]:
    """Find the scans in files, folders and zips.

    Folders are searched with all that is in them. A series of DICOM is one scan, told from others
    by SeriesInstanceUID, as far as its slices lie in one input; files that were named one by one
    are one input together. So a lone slice is a scan if its file was named, and its series is if
    the folder was.

    Args:
        inputs (sequence): What the user named.
        work (Path): A folder that zips are unpacked to; all else is left as it is.

    Returns:
        tuple: The scans, in the order of the inputs and in each by name; and what is none.
    """
    found: list[Found] = []
    faults: list[Fault] = []
    seen: set[Path] = set()
    for place, files in _places(inputs, work, faults):
        fresh = [path for path in files if _is_new(path, seen)]
        found += _scans_in(place, fresh, faults)
    return _uniquely_named(found), faults


def read_scan(found: Found, window: Window = BRAIN) -> Scan:
    """Read a scan.

    Args:
        found (Found): What :func:`find_scans` found.
        window (Window): What 8-bit pictures are taken for. Defaults to the brain window.

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


def _read(found: Found, window: Window) -> Scan:
    reader = import_module(f'cranium.scans.{found.kind}')  # slow, each of them
    if found.kind == 'pictures':
        scan: Scan = reader.read_pictures(found.files, window)
    elif found.kind == 'nifti':
        scan = reader.read_nifti(found.files[0])
    else:
        scan = reader.read_dicom(found.files)
    return scan


def _as_in_zip(text: str, unpacked: Path | None, archive: str) -> str:
    return text.replace(f'{unpacked}{os.sep}', f'{archive}:') if unpacked else text


def _is_new(path: Path, seen: set[Path]) -> bool:
    real = path.resolve()
    known = real in seen
    seen.add(real)
    return not known


def _places(
    inputs: Sequence[Path], work: Path, faults: list[Fault]
) -> Iterator[tuple[_Place, list[Path]]]:
    """Yield where scans may be, and all files there; unpack zips."""
    named = [path for path in inputs if path.is_file() and not _is_zip(path)]
    for path in inputs:
        if path in named:
            if path == named[0]:
                yield _Place(str(path), named=True), named
        elif path.is_dir():
            files = list(_walk(path, faults))
            yield _Place(str(path)), [file for file in files if not _is_zip(file)]
            for file in filter(_is_zip, files):
                yield from _unpacked(file, work, faults)
        elif path.exists():
            yield from _unpacked(path, work, faults)
        else:
            faults.append(Fault(str(path), f'{path}: no such file or folder; check its name'))


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == '.zip'


def _unpacked(path: Path, work: Path, faults: list[Fault]) -> Iterator[tuple[_Place, list[Path]]]:
    folder = Path(tempfile.mkdtemp(prefix=f'{_fit(path.stem)}-', dir=work))
    try:
        unpack(path, folder)
    except CraniumError as error:
        faults.append(Fault(str(path), str(error)))
    else:
        yield _Place(str(path), unpacked=folder, archive=str(path)), list(_walk(folder, faults))


def _walk(folder: Path, faults: list[Fault]) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, sorted, but for litter."""

    def report(error: OSError) -> None:
        msg = f'{error.filename}: cannot be read ({error.strerror}); check its permissions'
        faults.append(Fault(str(error.filename), msg))

    for path, folders, files in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not _LITTER.fullmatch(name))
        for name in sorted(files):
            if not _LITTER.fullmatch(name):
                yield Path(path, name)


def _scans_in(place: _Place, files: Sequence[Path], faults: list[Fault]) -> list[Found]:
    """Sort the files of a place into scans."""
    nifti = [path for path in files if path.name.lower().endswith(NIFTI)]
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    rest = [path for path in files if path not in {*nifti, *pictures}]
    found = [
        *_dicom(place, rest, faults),
        *(_found(place, path.name.lower().partition('.nii')[0], [path], 'nifti') for path in nifti),
        *_pictures(place, pictures),
    ]
    return sorted(found, key=lambda scan: scan.source)


def _found(
    place: _Place, name: str, files: Sequence[Path], kind: str, remarks: tuple[str, ...] = ()
) -> Found:
    source = files[0] if len(files) == 1 else files[0].parent
    return Found(
        _fit(name), place.show(source), kind, tuple(files), remarks, place.unpacked, place.archive
    )


def _dicom(place: _Place, files: Sequence[Path], faults: list[Fault]) -> list[Found]:
    headers = []
    for path in files:
        try:
            if not is_dicom(path):
                if not place.named:
                    continue
                msg = f'{path}: neither DICOM nor NIfTI nor a picture; name a scan'
                raise CraniumError(msg)
            headers.append(read_header(path))
        except CraniumError as error:
            faults.append(Fault(place.show(path), place.show_in(str(error))))
    return [
        _found(place, series.name, [h.path for h in series.headers], 'dicom', series.remarks)
        for series in series_of(headers)
    ]


def _pictures(place: _Place, files: Sequence[Path]) -> list[Found]:
    return [_found(place, path.stem, [path], 'pictures') for path in files]


def _fit(name: str) -> str:
    return _UNFIT.sub('-', name).strip('-.') or 'scan'


def _uniquely_named(found: Sequence[Found]) -> list[Found]:
    return list(found)
