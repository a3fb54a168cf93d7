"""Zips from elsewhere: opened only if nothing in them can do harm."""

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cranium.errors import CraniumError

# The largest download has 1.2 GB. Only a slice of nothing but air is compressed to less than a
# two-hundredth, so that is a danger in larger files alone.
MAX_TOTAL_BYTES = 20 * 10**9
MAX_RATIO = 200
_SMALL_BYTES = 2**22
_CHUNK = 2**20


def open_zip(path: Path, most_bytes: int | None = None) -> zipfile.ZipFile:
    """Open a zip whose directory is safe.

    Args:
        path (Path): The zip.
        most_bytes (int, optional): That its files may have together. Defaults to None: 20 GB.

    Returns:
        ZipFile: To be read under :func:`reading`.

    Raises:
        CraniumError: It is no zip, or unsafe; the message names the member.
    """
    most_bytes = MAX_TOTAL_BYTES if most_bytes is None else most_bytes
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        msg = f'{path}: not a readable zip ({error}); download it again'
        raise CraniumError(msg) from error
    try:
        _refuse_danger(path, archive.infolist(), most_bytes)
    except CraniumError:
        archive.close()
        raise
    return archive


def _refuse_danger(path: Path, files: list[zipfile.ZipInfo], most_bytes: int) -> None:
    seen = set()
    for info in files:
        danger = 'is in it twice' if info.filename in seen else _danger(info)
        seen.add(info.filename)
        if danger:
            raise CraniumError(f'{path}: {info.filename!r} {danger}; download the zip again')
    if sum(info.file_size for info in files) > most_bytes:
        msg = f'{path}: unpacks to more than {most_bytes / 1e9:.3g} GB'
        raise CraniumError(f'{msg}; download the zip again, or unpack it and name its folder')


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Name what is being read from a zip in an error.

    Args:
        name (str): The zip and the member.

    Raises:
        CraniumError: It is damaged, or cannot be unpacked.
    """
    try:
        yield
    except (KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CraniumError(f'{name}: damaged ({error}); download the zip again') from error
    except RuntimeError as error:  # a compression that Python lacks, or a password
        msg = f'{name}: cannot be unpacked ({error}); unpack the zip and name its folder'
        raise CraniumError(msg) from error


def unpack(path: Path, folder: Path, most_bytes: int | None = None) -> None:
    """Unpack a zip.

    Args:
        path (Path): The zip.
        folder (Path): Where to; nothing is written outside of it.
        most_bytes (int, optional): See :func:`open_zip`.

    Raises:
        CraniumError: It is unsafe or damaged.
        OSError: It cannot be written there.
    """
    with open_zip(path, most_bytes) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            target = folder / info.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, 'wb') as written:
                for chunk in _chunks(archive, info, f'{path}:{info.filename}'):
                    written.write(chunk)


def _chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    """Yield a member piece by piece, so that errors of reading and of writing are told apart."""
    with reading(name):
        source = archive.open(info)
    with source:
        while True:
            with reading(name):
                chunk = source.read(_CHUNK)
            if not chunk:
                return
            yield chunk


def _danger(info: zipfile.ZipInfo) -> str | None:
    name = info.filename
    if name.startswith('/') or re.match('[A-Za-z]:', name) or '\\' in name:
        return 'is an absolute or foreign path'
    if '..' in name.split('/'):
        return 'points outside the zip'
    if stat.S_ISLNK(info.external_attr >> 16):
        return 'is a symbolic link'
    if info.flag_bits & 1:
        return 'is encrypted'
    if info.file_size > max(MAX_RATIO * info.compress_size, _SMALL_BYTES):
        return f'unpacks to more than {MAX_RATIO} times its size'
    return None
