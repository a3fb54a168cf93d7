"""The prepared tree on disk: its layout, its lock, and replacing it as a whole or not at all.

A new tree is written to ``.cranium/staging-*`` beside the old one. When it is complete, one rename
to ``.cranium/ready`` commits to it; then each of its entries takes the place of the old one. A run
that dies before the commit leaves the old tree; after a death in the milliseconds of the swap, the
next run (or ``--check``) finds ``ready`` and knows what is left to do. ``images`` goes first and
comes last, so that nobody trains on images of one tree with masks of another.
"""

import csv
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path

from cranium.preparation.errors import DataError
from cranium.preparation.splits import PROTOCOLS

IMAGES = 'images'
MASKS = 'masks'
SPLITS = 'splits.json'
MANIFEST = 'manifest.csv'
DATASET = 'dataset.json'
ENTRIES = (IMAGES, MASKS, SPLITS, MANIFEST, DATASET)

_WORK = '.cranium'
_READY = 'ready'
_IMAGE_PATH = re.compile(rf'{IMAGES}/(train|val|test)/\d+_\d+\.png', re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of ``manifest.csv``: what became of a slice. Columns are its fields, in order.

    Args:
        patient (str): The patient's number.
        slice (int): The slice's number.
        split (str): ``train``, ``val`` or ``test``; empty where the slice was left out.
        label (str): ``mask``, ``background`` or ``unlabelled``.
        image (str): The image's path in the tree; empty where left out. The mask has the same
            path below ``masks``.
        types (str): Types of hemorrhage by the diagnosis, joined by ``+``.
        hemorrhage_pixels (int): Mask pixels with hemorrhage.
        age (str): The patient's age in years, empty where not given.
        sex (str): The patient's sex, empty where not given.
        sources (str): Members of the download that the slice was made from, joined by ``;``.
        source_sha256 (str): SHA-256 of their contents, one after the other.
        image_sha256 (str): SHA-256 of the image file.
        mask_sha256 (str): SHA-256 of the mask file.
        notes (str): Whatever is unusual, joined by ``;``.
    """

    patient: str
    slice: int
    split: str
    label: str
    image: str = ''
    types: str = ''
    hemorrhage_pixels: int = 0
    age: str = ''
    sex: str = ''
    sources: str = ''
    source_sha256: str = ''
    image_sha256: str = ''
    mask_sha256: str = ''
    notes: str = ''

    @property
    def name(self) -> str:
        """``<patient>_<slice, three digits>``."""
        return f'{self.patient}_{self.slice:03d}'

    @property
    def mask(self) -> str:
        """The mask's path in the tree."""
        return self.image.replace(IMAGES, MASKS, 1)

    def cells(self) -> list:
        """Return the values in the order of the columns."""
        return [getattr(self, column) for column in COLUMNS]


COLUMNS = tuple(item.name for item in fields(Row))


def read_manifest(tree: Path) -> Iterator[Row]:
    """Yield the rows of a tree's manifest.

    Raises:
        DataError: No manifest, or one that Cranium did not write.
    """
    path = Path(tree) / MANIFEST
    remedy = 'move it away, then run tools/prepare_dataset.py'
    try:
        with path.open(newline='', encoding='utf-8') as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError('other columns')
            for cells in reader:
                for column in ('slice', 'hemorrhage_pixels'):
                    cells[column] = int(cells[column])
                # These paths are read, linked and removed: none may lead out of the tree.
                if cells['image'] and not _IMAGE_PATH.fullmatch(cells['image']):
                    raise ValueError(f'image {cells["image"]!r}')
                yield Row(**cells)
    except (TypeError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f'{path}: not a manifest of Cranium ({error}); {remedy}') from error
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror}); {remedy}') from error


def read_dataset_json(tree: Path) -> dict:
    """Return the content of ``dataset.json``.

    Raises:
        DataError: It is missing or damaged.
    """
    path = Path(tree) / DATASET
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if not _is_dataset(content):
            raise TypeError('other types')
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f'{path}: not a prepared data set; run tools/prepare_dataset.py'
        raise DataError(msg) from error
    return content


def _is_dataset(content: dict) -> bool:
    """Whether all that is read of it is there and of the right type."""
    options, splits, files = content['options'], content['splits'], content['files']
    return (
        all(isinstance(part, dict) for part in (options, splits, files))
        and type(options['mask_threshold']) is int
        and options['split'] in PROTOCOLS
        and all(isinstance(numbers, dict) for numbers in splits.values())
        and all(type(numbers['slices']) is int for numbers in splits.values())
        and all(name in (MANIFEST, SPLITS) for name in files)
        and all(isinstance(sha256, str) for sha256 in files.values())
    )


def dataset_digest(content: dict) -> str:
    """Return the SHA-256 of ``dataset.json``'s content, apart from its own ``sha256``."""
    rest = {name: value for name, value in content.items() if name != 'sha256'}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        DataError: The disk is full, or the like; the message names the file.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> DataError:
    """Put a failure to write into one line with a remedy."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = 'free some space' if full else 'check the permissions'
    return DataError(f'{path}: cannot be written ({error.strerror}); {remedy} or use another --out')


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold ``out`` for one run, and finish or clear away what a killed run has left.

    Raises:
        DataError: Another run holds it, or it cannot be written.
    """
    work = out / _WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work / 'lock', os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(work, error) from error
    try:
        # The kernel lets go of it however the process ends.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f'{out}: another run is writing it; wait for its end or use another --out'
            raise DataError(msg) from error
        _swap_in(out)
        for leftover in work.glob('staging-*'):
            shutil.rmtree(leftover, ignore_errors=True)
        if (work / 'retired').exists():
            msg = f'{work / "retired"}: holds files that Cranium did not write; move them away'
            raise DataError(msg)
        yield
    finally:
        os.close(lock)


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Give a folder to write a new tree to; on success it takes the place of the old one.

    Its name is new each time: workers of a killed run may still be writing to theirs.
    """
    folder = Path(tempfile.mkdtemp(prefix='staging-', dir=out.absolute() / _WORK))
    folder.chmod(0o755)
    try:
        yield folder
        with _uninterrupted():
            os.replace(folder, out / _WORK / _READY)
            _swap_in(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_interrupted(out: Path) -> bool:
    """Whether a run was killed while the new tree took the old one's place."""
    return (out / _WORK / _READY).exists()


def _swap_in(out: Path) -> None:
    """Put what ``ready`` holds in place; after a kill at any point, do the rest."""
    work, ready = out / _WORK, out / _WORK / _READY
    retired = work / 'retired'
    if ready.exists():
        retired.mkdir(exist_ok=True)
        waiting = [name for name in ENTRIES if (ready / name).exists()]
        for name in waiting:
            if (out / name).exists():
                os.replace(out / name, retired / name)
        for name in reversed(waiting):
            os.replace(ready / name, out / name)
        ready.rmdir()
    if retired.exists():
        _remove_written(retired)


def _remove_written(tree: Path) -> None:
    """Remove the files that a tree's manifest lists, and the folders that are empty then."""
    if (tree / MANIFEST).exists():
        for row in read_manifest(tree):
            if row.image:
                (tree / row.image).unlink(missing_ok=True)
                (tree / row.mask).unlink(missing_ok=True)
    for name in (DATASET, SPLITS, MANIFEST):
        (tree / name).unlink(missing_ok=True)
    for folder, _, files in os.walk(tree, topdown=False):
        if not files and not os.listdir(folder):
            os.rmdir(folder)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and a polite kill wait for the milliseconds of the swap."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    waiting = []
    kept = {
        number: signal.signal(number, lambda *received: waiting.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        for number, _ in waiting:
            os.kill(os.getpid(), number)


def files_in(out: Path) -> Iterator[str]:
    """Yield every file (and link) below ``images`` and ``masks``, relative to ``out``."""
    for name in (IMAGES, MASKS):
        for folder, folders, files in os.walk(out / name):
            links = [entry for entry in folders if (Path(folder) / entry).is_symlink()]
            for file in files + links:
                yield (Path(folder) / file).relative_to(out).as_posix()


def refuse_foreign(out: Path) -> None:
    """Refuse to replace a tree that holds anything but what its manifest lists.

    Raises:
        DataError: Such a file; the message names it.
    """
    for name in ENTRIES:
        path = out / name
        expected = path.is_dir() if name in (IMAGES, MASKS) else path.is_file()
        if path.is_symlink() or (path.exists() and not expected):
            msg = f'{path}: not written by Cranium, but a link or something else of that name'
            raise DataError(f'{msg}; move it away, or use another --out')
    if not (out / MANIFEST).exists():
        listed = set()
        known = [name for name in (SPLITS, DATASET) if (out / name).exists()]
    else:
        listed = {path for row in read_manifest(out) if row.image for path in (row.image, row.mask)}
        known = []
    foreign = next((path for path in chain(known, files_in(out)) if path not in listed), None)
    if foreign:
        msg = f'{out / foreign}: not written by Cranium; move it away, or use another --out'
        raise DataError(msg)


def link_file(old: Path, new: Path) -> None:
    """Give a file a second name; where the file system cannot, copy it."""
    try:
        os.link(old, new)
    except OSError:
        try:
            shutil.copyfile(old, new)
        except OSError as error:
            raise cannot_write(new, error) from error


@contextmanager
def manifest_writer(tree: Path) -> Iterator[Callable[[Row], None]]:
    """Give a function that appends a row to a tree's manifest.

    Raises:
        DataError: The disk is full, or the like.
    """
    path = tree / MANIFEST
    try:
        with path.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(COLUMNS)
            yield lambda row: writer.writerow(row.cells())
    except OSError as error:
        raise cannot_write(path, error) from error
