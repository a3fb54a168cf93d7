"""Finding the ct-ich download and reading its files, from a folder or straight from the zip."""

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from cranium.archives import open_zip, reading
from cranium.errors import CraniumError

PATIENTS = 'Patients_CT'
DOWNLOAD_URL = 'https://www.kaggle.com/datasets/vbookshelf/computed-tomography-ct-images'

# A slice is some 40 kB; this is far above.
MAX_FILE_BYTES = 64 * 2**20

CHECKSUMS = 'SHA256SUMS.txt'
_CHECKSUM = re.compile(r'^([0-9a-fA-F]{64}) [ *]?(?:\./)?(.*?)\r?$', re.MULTILINE)

# What `data/` holds besides the download. The sample is used only when it is named.
_NOT_A_DOWNLOAD = {'images', 'masks', 'sample', '__MACOSX'}
_WRAPPING_FOLDERS = 3


class _Source:
    """What folder and zip have in common: a file is read only if it is the original."""

    def read(self, member: str) -> bytes:
        """Return the content of a member.

        Raises:
            CraniumError: It cannot be read, is too large to be a slice, or is not what
                ``SHA256SUMS.txt`` beside ``Patients_CT`` says, as far as that lists it.
        """
        content = self._read(member)
        expected = _checksums(self).get(member)
        if expected and hashlib.sha256(content).hexdigest() != expected:
            msg = f'{self.describe(member)}: not the original, by {CHECKSUMS}; download it again'
            raise CraniumError(f'{msg}, or remove its line there')
        return content

    def _read(self, member: str) -> bytes:
        raise NotImplementedError

    def describe(self, member: str) -> str:
        raise NotImplementedError


@lru_cache(maxsize=4)
def _checksums(source: _Source) -> dict[str, str]:
    """Read PhysioNet's ``SHA256SUMS.txt``: digest by member; nothing where it is not there."""
    try:
        text = source._read(CHECKSUMS).decode(errors='replace')
    except CraniumError:
        return {}
    return {name: digest.lower() for digest, name in _CHECKSUM.findall(text)}


@dataclass(frozen=True)
class FolderSource(_Source):
    """An unpacked download.

    Args:
        root (Path): The folder that holds ``Patients_CT`` and the CSV files.
    """

    root: Path

    @property
    def name(self) -> str:
        """The folder's own name, without where it lies."""
        return self.root.resolve().name

    def __str__(self) -> str:
        """Name the folder in a message."""
        return str(self.root)

    def members(self) -> list[str]:
        """List the tables at the top, and every file below ``Patients_CT``.

        Returns:
            list[str]: Paths relative to ``root``, with ``/`` between their parts.

        Raises:
            CraniumError: A symbolic link among them.
            OSError: A folder that cannot be read.
        """

        def refuse(error: OSError) -> None:
            raise error

        found = [name for name in sorted(os.listdir(self.root)) if name.lower().endswith('.csv')]
        for folder, folders, files in os.walk(self.root / PATIENTS, onerror=refuse):
            folders.sort()
            inside = Path(folder).relative_to(self.root).as_posix()
            found += [f'{inside}/{name}' for name in (*folders, *sorted(files))]
        paths = [os.path.join(self.root, member) for member in found]
        for path in filter(os.path.islink, paths):
            raise CraniumError(f'{path}: a symbolic link, not a slice; put the file itself there')
        return [member for member, path in zip(found, paths) if not os.path.isdir(path)]

    def _read(self, member: str) -> bytes:
        path = self.root / member
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise CraniumError(f'{path}: too large for a CT slice; replace it by the original')
            return path.read_bytes()
        except OSError as error:
            msg = f'{path}: cannot be read ({error.strerror}); check the file and its permissions'
            raise CraniumError(msg) from error

    def describe(self, member: str) -> str:
        """Name a member in a message."""
        return str(self.root / member)


@dataclass(frozen=True)
class ZipSource(_Source):
    """A download as it came, never unpacked: no name in it can reach the file system.

    Args:
        path (Path): The zip.
        prefix (str): The wrapping folder inside, ``''`` or ending with ``/``.
    """

    path: Path
    prefix: str

    @property
    def name(self) -> str:
        """The zip's own name, without where it lies."""
        return self.path.name

    def __str__(self) -> str:
        """Name the zip in a message."""
        return str(self.path)

    def members(self) -> list[str]:
        """List the files below the wrapping folder; see :meth:`FolderSource.members`."""
        return [
            name.removeprefix(self.prefix)
            for name in _open_zip(self.path).namelist()
            if name.startswith(self.prefix) and not name.endswith('/')
        ]

    def _read(self, member: str) -> bytes:
        name = self.describe(member)
        archive = _open_zip(self.path)
        with reading(name):
            info = archive.getinfo(self.prefix + member)
            if info.file_size > MAX_FILE_BYTES:
                raise CraniumError(f'{name}: too large for a CT slice; download the zip again')
            return archive.read(info)

    def describe(self, member: str) -> str:
        """Name a member in a message."""
        return f'{self.path}:{self.prefix}{member}'


Source = FolderSource | ZipSource


def find_source(path: Path) -> Source:
    """Find the download in or at ``path``, as users really have it.

    Args:
        path (Path): The zip; or the unpacked folder; or a folder that holds either, with up to
            three wrapping folders in between.

    Returns:
        Source: Where to read from. An unpacked folder is preferred to a zip, whichever lies
        deeper.

    Raises:
        CraniumError: Nothing there, more than one download, or an unsafe or damaged zip.
    """
    path = Path(path)
    where = f'get it from {DOWNLOAD_URL} (or try --source data/sample)'
    if path.is_file():
        if source := _only(path, _zip_sources(path)):
            return source
        raise CraniumError(f'{path}: holds no {PATIENTS} folder; {where}')
    if not path.is_dir():
        raise CraniumError(f'{path}: no such file or folder; {where}')
    if path.absolute().name == PATIENTS:
        return FolderSource(path.parent if path.name else path.absolute().parent)
    for look in (_folders, _zips):
        for level in _levels(path):
            if source := _only(path, look(level)):
                return source
    raise CraniumError(f'{path}: no ct-ich download in it; {where}')


def _only(path: Path, found: Sequence[Source]) -> Source | None:
    """Return the download that was found, if any; refuse to choose."""
    if len(found) > 1:
        one, other = (source.describe(PATIENTS) for source in found[:2])
        raise CraniumError(f'{path}: several downloads, {one} and {other}; keep or name one')
    return found[0] if found else None


def _levels(path: Path) -> Iterator[list[Path]]:
    """Yield the folder, then what may wrap a download in it, a level deeper each time."""
    level = [path]
    yield level
    for _ in range(_WRAPPING_FOLDERS):
        inside = [entry for folder in level for entry in sorted(folder.iterdir())]
        level = [entry for entry in inside if not _is_no_wrapping(entry.name) and entry.is_dir()]
        yield level


def _folders(level: Iterable[Path]) -> list[Source]:
    return [FolderSource(folder) for folder in level if (folder / PATIENTS).is_dir()]


def _zips(level: Iterable[Path]) -> list[Source]:
    paths = [path for folder in level for path in sorted(folder.iterdir())]
    zips = [path for path in paths if path.suffix.lower() == '.zip' and path.is_file()]
    return [source for path in zips for source in _zip_sources(path)]


def _zip_sources(path: Path) -> list[Source]:
    """Find downloads in a safe zip as in a folder: the least wrapped ones."""
    wrappings = set()
    for name in _open_zip(path).namelist():
        parts = PurePosixPath(name).parts
        wrapping = parts[: parts.index(PATIENTS)] if PATIENTS in parts else None
        if wrapping is not None and not any(map(_is_no_wrapping, wrapping)):
            wrappings.add(wrapping)
    least = min(map(len, wrappings), default=0)
    return [
        ZipSource(path, ''.join(f'{part}/' for part in wrapping))
        for wrapping in sorted(wrappings)
        if len(wrapping) == least <= _WRAPPING_FOLDERS
    ]


@lru_cache(maxsize=4)
def _open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip once in each process."""
    return open_zip(path)


def _is_no_wrapping(name: str) -> bool:
    """Whether a folder of this name is never looked into for a download."""
    return name in _NOT_A_DOWNLOAD or name.startswith('.')
