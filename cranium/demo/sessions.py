"""What each open page holds: its uploads, its scans and their results, in a folder that goes."""

import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cranium.errors import CraniumError

WAITING, LOOKING, READING, SEGMENTING, WRITING, DONE, FAILED = (
    'waiting',
    'looking',  # for scans in an upload
    'reading',
    'segmenting',
    'writing',  # files to save; what was found is there
    'done',
    'failed',
)


@dataclass(frozen=True)
class Limits:
    """What a page may ask for.

    Args:
        upload_bytes (int): All files of an upload together. Defaults to 1 GiB.
        unpacked_bytes (int): What a zip in it unpacks to. Defaults to 4 GiB.
        files (int): Of an upload. Defaults to 3000.
        scans (int): That a page holds at a time, failed ones too. Defaults to 20.
        pages (int): That are open at a time. Defaults to 8.
        idle_s (float): After so long without a sign of life, a page and all that it holds are
            forgotten. Defaults to ten minutes.
    """

    upload_bytes: int = 2**30
    unpacked_bytes: int = 2**32
    files: int = 3000
    scans: int = 20
    pages: int = 8
    idle_s: float = 600


class Refused(CraniumError):
    """What a page asked for is not done.

    Args:
        status (int): Of HTTP.
        message (str): One line, with the remedy.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Entry:
    """A scan of a page, or an upload in which scans are still looked for.

    Args:
        number (int): Within the page.
        name (str): As the page shows it.
        folder (Path): For its results.
            state (str): Where it is on its way. Defaults to ``WAITING``.
        slices (int): 0 until it was read.
        segmented (int): How many of them were segmented.
        message (str): Why it failed.
        findings (dict, optional): What the page shows of it, once it was segmented.
        removed (bool): Whether nobody waits for it any longer.
    """

    number: int
    name: str
    folder: Path
    state: str = WAITING
    slices: int = 0
    segmented: int = 0
    message: str = ''
    findings: dict[str, Any] | None = None
    removed: bool = False

    def summary(self) -> dict[str, Any]:
        """What the list of scans shows."""
        names = ('number', 'name', 'state', 'slices', 'segmented', 'message')
        shown = {name: getattr(self, name) for name in names}
        findings = self.findings or {}
        shown |= {key: findings.get(key) for key in ('hemorrhage', 'volume_ml')}
        return shown | {'files': len(findings.get('files', []))}

    def remove(self) -> None:
        """Delete its results; if it is just being made, as soon as that can be stopped."""
        self.removed = True
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Session:
    """What one page holds.

    Args:
        folder (Path): For everything.
        entries (list[Entry]): In the order in which they came.
        seen (float): When the page last asked for something.
    """

    folder: Path
    entries: list[Entry] = field(default_factory=list)
    seen: float = field(default_factory=time.monotonic)
    closed: bool = False
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *names: str, limit: int, instead: Entry | None = None) -> list[Entry]:
        """Add entries.

        Args:
            names (str): What the page calls each.
            limit (int): How many the page may hold.
            instead (Entry, optional): That is taken from the list. Defaults to None.

        Raises:
            Refused: They would be too many, or the page was closed; none is added.
        """
        if self.closed:
            raise Refused(410, 'this page was closed; open it again')
        with self._lock:  # the page and the worker add some
            kept = [entry for entry in self.entries if entry is not instead]
            if len(kept) + len(names) > limit:
                many = f'{len(names)} scans beside {len(kept)}' if kept else f'{len(names)} scans'
                msg = f'{many}, and the page holds {limit}; take fewer, or remove some of the list'
                raise Refused(429, msg)
            added = []
            for name in names:
                self._numbers += 1
                folder = self.folder / str(self._numbers)
                folder.mkdir()
                added.append(Entry(self._numbers, name, folder))
            self.entries = kept + added
            return added

    def find(self, number: int) -> Entry:
        """Return an entry by its number.

        Raises:
            Refused: There is none.
        """
        for entry in self.entries:
            if entry.number == number:
                return entry
        raise Refused(404, f'scan {number} is not there any longer; load it again')

    def drop(self, entry: Entry) -> None:
        """Take an entry from the list, and delete what was made of it."""
        with self._lock:
            self.entries = [other for other in self.entries if other is not entry]
        entry.remove()

    def close(self) -> None:
        """Delete everything."""
        self.closed = True
        for entry in self.entries:
            entry.removed = True
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """The pages that are open.

    Args:
        folder (Path): Where each gets a folder.
        limits (Limits): What each may ask for.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits = folder, limits
        self._open: dict[str, Session] = {}

    def open(self) -> str:
        """Open a session, and return the name that nobody can guess.

        Raises:
            Refused: Too many are open.
        """
        self.expire()
        if len(self._open) >= self.limits.pages:
            msg = f'{self.limits.pages} pages are open, which is the most; close one and reload'
            raise Refused(429, msg)
        name = secrets.token_urlsafe(18)
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        self._open[name] = Session(folder)
        return name

    def find(self, name: str) -> Session:
        """Return an open session, and note that it is alive.

        Raises:
            Refused: It has been closed or forgotten.
        """
        session = self._open.get(name)
        if session is None:
            minutes = f'{self.limits.idle_s / 60:g} minutes'
            msg = f'what this page held was deleted: closed, or away for {minutes}; reload the page'
            raise Refused(410, msg)
        session.seen = time.monotonic()
        return session

    def close(self, name: str) -> None:
        """Close a session, if it is open."""
        if session := self._open.pop(name, None):
            session.close()

    def expire(self) -> None:
        """Close those of which nothing was heard for too long."""
        oldest = time.monotonic() - self.limits.idle_s
        for name in [name for name, session in self._open.items() if session.seen < oldest]:
            self.close(name)

    def close_all(self) -> None:
        """Close all."""
        for name in list(self._open):
            self.close(name)
