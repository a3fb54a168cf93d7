"""The thread that reads and segments scans, one after the other, while the page stays alive."""

import queue
import re
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cranium.demo import results
from cranium.demo.sessions import (
    DONE,
    FAILED,
    LOOKING,
    READING,
    SEGMENTING,
    WRITING,
    Entry,
    Limits,
    Session,
)
from cranium.errors import CraniumError
from cranium.inference.segmentation import Segmentation
from cranium.inference.spec import NetworkSpec
from cranium.scans.find import find_scans, read_scan
from cranium.scans.scan import Scan
from cranium.windows import Window

Segment = Callable[[Scan, Callable[[int], None]], Segmentation]
"""Segments a scan; calls the function with how many slices were done since the last call."""


MOST_FAULTS = 5
"""So many files of an upload that are no scans are listed one by one."""


UPLOAD = 'scan'
"""The folder of an upload's files; numbered pictures in it are named like it."""


class Removed(Exception):
    """Nobody waits for the scan any longer."""


class Worker:
    """Does one thing at a time, in the order in which it was asked for.

    Args:
        segment (Callable): Such as ``Segmenter.segment_scan``.
        network (NetworkSpec): That it uses.
        limits (Limits): What a page may ask for.
        window (Window): What 8-bit pictures are taken for.
    """

    def __init__(
        self, segment: Segment, network: NetworkSpec, limits: Limits, window: Window
    ) -> None:
        self.segment, self.network, self.limits, self.window = segment, network, limits, window
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='segmentation', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, patience_s: float = 5) -> None:
        """Stop after the present step; what is waiting is not done."""
        while not self._tasks.empty():
            self._tasks.get()
        self._tasks.put(None)
        self._thread.join(patience_s)

    def upload(self, session: Session, entry: Entry, folder: Path) -> None:
        """Look for scans in an upload; each takes its place in the list and is segmented.

        Args:
            session (Session): Of the page.
            entry (Entry): Stands for the upload until then.
            folder (Path): Holds the files, and nothing else.
        """
        self._tasks.put(partial(self._guard, session, entry, partial(self._look, folder)))

    def scan(self, session: Session, entry: Entry, read: Callable[[], Scan]) -> None:
        """Read and segment a scan."""
        self._tasks.put(partial(self._guard, session, entry, partial(self._segment, read)))

    def _run(self) -> None:
        while task := self._tasks.get():
            task()

    def _guard(
        self, session: Session, entry: Entry, work: Callable[[Session, Entry], None]
    ) -> None:
        """Do some work; whatever goes wrong is told in the list, and the next one is done."""
        try:
            if not entry.removed:
                work(session, entry)
        except Removed:
            pass
        except (CraniumError, OSError) as error:
            _fail(session, entry, str(error))
        except Exception as error:
            # Where it happened, but not what the error says: that may name a patient.
            where = ''.join(traceback.format_tb(error.__traceback__))
            print(f'{where}{type(error).__name__}', file=sys.stderr)
            what = f'{type(error).__name__}, a defect of the program; see its terminal'
            _fail(session, entry, what)
        if session.closed:  # what was written in the meantime
            session.close()
        elif entry.removed:
            entry.remove()

    def _look(self, folder: Path, session: Session, entry: Entry) -> None:
        entry.state = LOOKING
        found, faults = find_scans(
            sorted(folder.iterdir()), entry.folder, self.limits.unpacked_bytes
        )
        if not found and not faults:
            raise CraniumError(f'{entry.name}: no scan; choose DICOM, NIfTI, PNG or JPEG files')
        messages = [fault.message for fault in faults[:MOST_FAULTS]]
        if more := len(faults) - len(messages):
            messages.append(f'{more} more files are no scans either')
        names = [f'{entry.name}: not a scan'] * len(messages) + [scan.name for scan in found]
        added = session.add(*names, limit=self.limits.scans, instead=entry)
        for message in messages:
            _fail(session, added.pop(0), message)
        for scan, place in zip(found, added):
            self.scan(session, place, partial(read_scan, scan, self.window))
        # After them, the files are not needed any longer.
        self._tasks.put(entry.remove)

    def _segment(self, read: Callable[[], Scan], session: Session, entry: Entry) -> None:
        def progress(done: int = 0) -> None:
            if entry.removed:
                raise Removed
            entry.segmented += done

        entry.state = READING
        scan = read()
        entry.slices = len(scan.hu)
        progress()
        entry.state = SEGMENTING
        found = self.segment(scan, progress)
        progress()
        findings = entry.findings = results.show(found, entry.folder)
        entry.state = WRITING
        for file in results.save(found, entry.folder, self.network):
            if 'remark' in file:
                findings['remarks'].append(file['remark'])
            else:
                findings['files'].append(file)
            progress()
        entry.state = DONE


def _fail(session: Session, entry: Entry, message: str) -> None:
    # A user knows the file, not the folder that it was put into.
    ours = rf'{re.escape(str(session.folder))}/\d+/({UPLOAD}/)?'
    entry.message = re.sub(ours, '', message)
    entry.state = FAILED
