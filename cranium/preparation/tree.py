"""The prepared tree on disk: its layout, its lock, and replacing it as a whole or not at all.

A new tree is written to ``.cranium/staging-*`` beside the old one. When it is complete, one rename
to ``.cranium/ready`` commits to it; then each of its entries takes the place of the old one. A run
that dies before the commit leaves the old tree; after a death in the milliseconds of the swap, the
next run (or ``--check``) finds ``ready`` and knows what is left to do. ``images`` goes first and
comes last, so that nobody trains on images of one tree with masks of another.
"""

import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cranium.errors import CraniumError
from cranium.manifest import IMAGES, MANIFEST, MASKS, listed_images, mask_path
from cranium.splits import SPLITS

if TYPE_CHECKING:
    import pandas as pd

DATASET = 'dataset.json'
ENTRIES = (IMAGES, MASKS, SPLITS, MANIFEST, DATASET)

_WORK = '.cranium'
_READY = 'ready'


def read_dataset_json(tree: Path) -> dict[str, Any]:
    """Return the content of ``dataset.json``.

    Raises:
        CraniumError: It is missing, was changed since it was written, or tells of RGB images.
    """
    path = Path(tree) / DATASET
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        if content['options']['window'] == 'brain-bone':
            msg = f'{tree}: prepared with --window brain-bone, which is no more; run'
            raise CraniumError(f'{msg} cranium prepare --window hu --overwrite')
        if content['sha256'] != dataset_digest(content):
            raise ValueError('changed')
    except CraniumError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: missing, or changed since it was written; run cranium prepare --overwrite'
        raise CraniumError(msg) from error
    return content


def dataset_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of ``dataset.json``'s content, apart from its own ``sha256``."""
    rest = {name: value for name, value in content.items() if name != 'sha256'}
    return sha256(json.dumps(rest, sort_keys=True).encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def compare_files(
    tree: Path, rows: 'pd.DataFrame', recorded: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Compare the files of a tree with its records; reads them all.

    Args:
        tree (Path): The tree.
        rows (DataFrame): Its manifest.
        recorded (dict): Its ``dataset.json``.

    Yields:
        tuple[str, str]: Path in the tree, and ``missing`` or ``changed``.
    """
    written = rows[rows['image'] != '']
    expected = {
        **recorded['files'],
        **dict(zip(written['image'], written['image_sha256'])),
        **dict(zip(map(mask_path, written['image']), written['mask_sha256'])),
    }
    for name, digest in expected.items():
        if not (tree / name).is_file():
            yield name, 'missing'
        elif sha256((tree / name).read_bytes()) != digest:
            yield name, 'changed'


def foreign_files(tree: Path) -> Iterator[str]:
    """Yield files and links below ``images`` and ``masks`` that the manifest does not list."""
    listed = set(_listed(tree))
    for kind in (IMAGES, MASKS):
        for folder, folders, files in os.walk(tree / kind):
            links = [entry for entry in folders if (Path(folder) / entry).is_symlink()]
            for name in sorted(files + links):
                path = (Path(folder) / name).relative_to(tree).as_posix()
                if path not in listed:
                    yield path


def refuse_foreign(out: Path) -> None:
    """Refuse to replace a tree that holds anything but what its manifest lists.

    Raises:
        CraniumError: Such a file; the message names it.
    """
    for name in ENTRIES:
        path = out / name
        expected = path.is_dir() if name in (IMAGES, MASKS) else path.is_file()
        if path.is_symlink() or (path.exists() and not expected):
            msg = f'{path}: not written by Cranium, but a link or something else of that name'
            raise CraniumError(f'{msg}; move it away, or use another --out')
    records = [] if (out / MANIFEST).exists() else [SPLITS, DATASET]
    foreign = [name for name in records if (out / name).exists()]
    for name in (*foreign, *foreign_files(out)):
        msg = f'{out / name}: not written by Cranium; move it away, or use another --out'
        raise CraniumError(msg)


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        CraniumError: The disk is full, or the like; the message names the file.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> CraniumError:
    """Put a failure to write into one line with a remedy."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = 'free some space' if full else 'check the permissions'
    msg = f'{path}: cannot be written ({error.strerror}); {remedy} or use another --out'
    return CraniumError(msg)


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold ``out`` for one run, and finish or clear away what a killed run has left.

    Raises:
        CraniumError: Another run holds it, or it cannot be written or locked.
    """
    work = out / _WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / 'lock').touch()
    except OSError as error:
        raise _cannot_write(work, error) from error
    with hold(work / 'lock', out):
        _swap_in(out)
        for leftover in work.glob('staging-*'):
            shutil.rmtree(leftover, ignore_errors=True)
        if (work / 'retired').exists():
            msg = f'{work / "retired"}: holds files that Cranium did not write; move them away'
            raise CraniumError(msg)
        yield


@contextmanager
def hold(path: Path, folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file as the lock of a folder.

    Args:
        path (Path): The file, made if need be.
        folder (Path): What to name in an error.
        wait (bool): Whether to wait for another run that holds it. Defaults to False.

    Raises:
        CraniumError: Another run holds it, or it cannot be written or locked.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)  # the kernel lets go of it however the process ends
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        msg = f'{folder}: another run is writing it; wait for its end or use another --out'
        raise CraniumError(msg) from error
    except PermissionError as error:
        raise _cannot_write(folder, error) from error
    except (OSError, NotImplementedError) as error:
        msg = f'{folder}: its file system refuses locks ({error}); use an --out on another one'
        raise CraniumError(msg) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Give a folder to write a new tree to; on success it takes the place of the old one.

    Its name is new each time: workers of a killed run may still be writing to theirs.
    """
    folder = Path(tempfile.mkdtemp(prefix='staging-', dir=out.absolute() / _WORK))
    folder.chmod(0o755)
    try:
        yield folder
        # Ctrl-C and a polite kill wait for the milliseconds of the swap.
        waiting: list[int] = []
        with signals_handled(
            lambda number, _: waiting.append(number), signal.SIGINT, signal.SIGTERM
        ):
            os.replace(folder, out / _WORK / _READY)
            _swap_in(out)
        for number in waiting:
            os.kill(os.getpid(), number)
    except OSError as error:
        raise _cannot_write(out, error) from error
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
    for name in (*_listed(tree), DATASET, SPLITS, MANIFEST):
        (tree / name).unlink(missing_ok=True)
    for folder, _, files in os.walk(tree, topdown=False):
        if not files and not os.listdir(folder):
            os.rmdir(folder)


def _listed(tree: Path) -> list[str]:
    """Return the images and masks that a tree's manifest lists; none where it has no manifest."""
    if not (tree / MANIFEST).exists():
        return []
    images = listed_images(tree)
    return images + [mask_path(path) for path in images]


@contextmanager
def signals_handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals otherwise for a while; only in the main thread, which receives them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)
