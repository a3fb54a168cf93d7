"""Scans in, files out: what ``cranium predict`` does."""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cranium.errors import CraniumError
from cranium.inference import page, writers
from cranium.inference.output import DONE, FAILED, PAGE, TABLES, Output, Record, describe
from cranium.inference.segmentation import Segmentation
from cranium.inference.share import Share
from cranium.scans.find import Found, find_scans, read_scan
from cranium.scans.scan import Scan
from cranium.version import __version__
from cranium.windows import BRAIN, Window

if TYPE_CHECKING:
    from cranium.inference.segmenter import Segmenter

REPORT = 'report'
"""Pictures for the page: kept like a format of its own, below ``.cranium``."""


@dataclass(frozen=True)
class Settings:
    """What is to be written, and how.

    Args:
        save (tuple[str, ...]): Formats, see ``writers.FORMATS``. Defaults to (): by the kind of the
            scan, see ``writers.DEFAULT``.
        window (Window, optional): What 8-bit pictures are taken for; None if that is to be
            estimated. Defaults to the brain window.
        anonymize (bool): Nothing of the patient goes to a file, nor the path that a scan came
            from. Defaults to False.
        report (bool): Write the page. Defaults to False.
        overwrite (bool): Replace what an earlier run wrote. Defaults to False.
    """

    save: tuple[str, ...] = ()
    window: Window | None = BRAIN
    anonymize: bool = False
    report: bool = False
    overwrite: bool = False

    def formats(self, kind: str) -> tuple[str, ...]:
        """Return what is to be written of a scan of such a kind."""
        return (*(self.save or writers.DEFAULT[kind]), *([REPORT] if self.report else []))


class Outcome(NamedTuple):
    """What became of a scan.

    Attributes:
        line (str): What was found, or that it was done before; '' if it could not be done.
        problem (str): What could not be done, and why. Defaults to '': it is as asked.
        remarks (tuple[str, ...]): What a user should know of it, one line each.
    """

    line: str
    problem: str = ''
    remarks: tuple[str, ...] = ()


class Listener(Protocol):
    """Is told what happens."""

    def begin(self, scans: Sequence[Found], of: int) -> None:
        """The scans of this process were found, of so many in all."""

    def advance(self, scan: Found, slices: int, of: int) -> None:
        """So many slices of a scan were done since the last call, of so many in all."""

    def end(self, scan: Found | None, outcome: Outcome) -> None:
        """A scan is done, or an input is none."""


class _Pending(NamedTuple):
    """A scan that is to be done, in these formats."""

    found: Found
    digest: str
    formats: tuple[str, ...]


def predict(
    inputs: Sequence[Path],
    out: Path,
    network: tuple[Path | None, Path | None, str],
    settings: Settings,
    listener: Listener,
    share: Share,
) -> bool:
    """Segment scans and write what was found.

    Each scan is read, segmented and written before the next one; under ``joblib.parallel_config``
    as many as there are workers are read at a time.

    Args:
        inputs (sequence): Files, folders and zips.
        out (Path): Folder for the results.
        network (tuple): Checkpoint, config and device, see
            :meth:`~cranium.inference.segmenter.Segmenter.from_pretrained`.
        settings (Settings): What is to be written.
        listener (Listener): Is told what happens.
        share (Share): Which process this is.

    Returns:
        bool: Whether all scans were done as asked; of several processes only the last one says no.

    Raises:
        CraniumError: The folder cannot be written, or is that of other settings.
    """
    from cranium.inference.segmenter import Segmenter

    _refuse_inputs(inputs, out)
    checkpoint, config, device = network
    if device == 'auto' and share.size > 1 and (checkpoint is None or checkpoint.suffix == '.pth'):
        device = _own_device(share.local)
    segmenter = Segmenter.from_pretrained(checkpoint, config, device)
    weights = _name_weights(checkpoint, segmenter)
    return _Run(Output(out, share.rank), segmenter, weights, settings, listener, share).run(inputs)


@dataclass
class _Run:
    output: Output
    segmenter: 'Segmenter'
    weights: str
    settings: Settings
    listener: Listener
    share: Share

    def run(self, inputs: Sequence[Path]) -> bool:
        with self.output.held() as temporary:
            self.temporary = temporary
            self.output.refuse_foreign([*TABLES, *([PAGE] if self.settings.report else [])])
            self._refuse_other_settings()
            unpacked = temporary / 'unpacked'
            unpacked.mkdir()
            scans, faults = find_scans(inputs, unpacked)
            if self.settings.anonymize:
                scans = _with_pseudonyms(scans)
            mine = scans[self.share.rank :: self.share.size]
            self.scans = len(scans)
            self.failed = False
            self.clock = time.monotonic()
            self.listener.begin(mine, len(scans))
            if self.share.rank == 0:
                for fault in faults:
                    self._end(None, Outcome('', fault.message))
            rows = [
                {'source': self._hidden(fault.source), 'remarks': self._hidden(fault.message)}
                for fault in faults
            ]
            try:
                for scan in mine:
                    self.output.forget_failure(scan.name)
                for pending, read in self._read(self._pending(mine)):
                    self._segment(pending, read)
            finally:
                make_page = self._page if self.settings.report else None
                records = self.output.write_tables(rows, temporary, make_page)
        return self._succeeded(scans, records, bool(faults))

    def _hidden(self, text: str) -> str:
        return '' if self.settings.anonymize else text

    def _page(self, records: Sequence[Record]) -> str:
        return page.build_page(records, self.output.folder, self.weights)

    def _succeeded(
        self, scans: Sequence[Found], records: Sequence[Record], any_fault: bool
    ) -> bool:
        known = {record['name']: record for record in records}
        states = [known.get(scan.name, {}).get('status') for scan in scans]
        if not all(state in (DONE, FAILED) for state in states):
            # Others are still at work. A launcher would stop them if this process failed.
            return True
        refused = any(known[scan.name].get('refused') for scan in scans)
        return not (self.failed or any_fault or refused or FAILED in states)

    def _settings(self, kind: str) -> dict[str, Any]:
        """What has to be the same for results to lie in one folder."""
        window = self.settings.window
        shown = [window.level, window.width] if window else 'estimated'
        return {
            'version': __version__,
            'weights': self.weights,
            'anonymize': self.settings.anonymize,
            'window': shown if kind == 'pictures' else None,
        }

    def _refuse_other_settings(self) -> None:
        if self.settings.overwrite:
            return
        for record in self.output.records():
            if 'settings' not in record:
                continue
            for key, value in self._settings(record['kind']).items():
                if record['settings'][key] != value:
                    msg = f'{self.output.folder}: {record["name"]} was done with {key}'
                    msg = f'{msg} {_shown(record["settings"][key])}, now it is {_shown(value)}'
                    raise CraniumError(f'{msg}; use another --out, or --overwrite')

    def _pending(self, scans: Sequence[Found]) -> Iterator[_Pending]:
        """Choose what is still to be done, and say what is not."""
        for found in scans:
            try:
                digest = _digest(found.files)
            except OSError as error:
                self._fail(found, _in_a_line(error))
                continue
            record = self.output.read(found.name)
            formats = self.settings.formats(found.kind)
            if record and record.get('digest') and not self.settings.overwrite:
                if record['digest'] != digest:
                    msg = f'{found.source}: {self.output.folder} holds another scan of the name'
                    msg = f'{msg} {found.name}; use another --out, or --overwrite'
                    self._end(found, Outcome('', msg))
                    continue
                formats = self._missing(record, formats)
            elif record and record.get('formats'):
                formats = tuple(dict.fromkeys((*formats, *record['formats'])))
            if record and not formats:
                problem = '; '.join(record['refused'].values())
                self._end(found, Outcome(f'{found.name}: done before', problem))
            else:
                yield _Pending(found, digest, formats)

    def _missing(self, record: Record, formats: Sequence[str]) -> tuple[str, ...]:
        if record['status'] != DONE:
            return tuple(formats)
        there = {*record['formats'], *record['refused']}
        lost = {_format_of(name) for name in self.output.missing(record)}
        return tuple(name for name in formats if name not in there or name in lost)

    def _read(
        self, pending: Iterator[_Pending]
    ) -> Iterator[tuple[_Pending, Scan | CraniumError | OSError]]:
        """Read scans as they are needed, as many at a time as joblib has workers."""
        window = self.settings.window
        if 'joblib' not in sys.modules:  # then nobody has configured it, and it is slow to import
            yield from ((each, _read_one(each.found, window)) for each in pending)
            return
        from joblib import Parallel, delayed, effective_n_jobs

        while some := list(islice(pending, effective_n_jobs(None))):
            yield from zip(
                some, Parallel()(delayed(_read_one)(each.found, window) for each in some)
            )

    def _segment(self, pending: _Pending, scan: Scan | CraniumError | OSError) -> None:
        found = pending.found
        if not isinstance(scan, Scan):
            self._fail(found, _in_a_line(scan))
            return
        try:
            result = self.segmenter.segment_scan(
                scan, lambda slices: self.listener.advance(found, slices, len(scan.hu))
            )
        except CraniumError as error:
            self._fail(found, str(error))
            return
        record, files = self._describe(pending, result)
        if not files:
            self._fail(found, '; '.join(record['refused'].values()))
            return
        self.output.commit(
            self._without_source(record), files, self.temporary, self.settings.overwrite
        )
        line = f'{found.name}: {len(result.slices)} slices, {writers.verdict(result)}'
        line = f'{line}, {time.monotonic() - self.clock:.1f} s'
        problem = '; '.join(record['refused'].values())
        self._end(found, Outcome(line, problem, result.remarks))

    def _describe(self, pending: _Pending, result: Segmentation) -> tuple[Record, dict[str, bytes]]:
        """Return the record of a scan, and its files."""
        found = pending.found
        files: dict[str, bytes] = {}
        refused: dict[str, str] = {}
        origin = writers.Origin(self.weights, self.settings.anonymize)
        for name in pending.formats:
            try:
                made = (
                    page.save_pictures(result, self.scans)
                    if name == REPORT
                    else writers.save(result, name, origin)
                )
            except CraniumError as error:
                refused[name] = str(error)
                continue
            folder = page.FOLDER if name == REPORT else name
            files |= {f'{folder}/{file}': content for file, content in made.items()}
        record = describe(result, writers.slice_names(result))
        before = self.output.read(found.name) or {}
        if self.settings.overwrite:
            before = {}
        record |= {
            'source': found.source,
            'kind': found.kind,
            'digest': pending.digest,
            'settings': self._settings(found.kind),
            'threshold': round(result.threshold, 4),
            'formats': sorted({*before.get('formats', ()), *pending.formats}.difference(refused)),
            'refused': {**before.get('refused', {}), **refused},
        }
        return record, files

    def _without_source(self, record: Record) -> Record:
        """Leave out where a scan came from, as names of files may be those of patients."""
        if not self.settings.anonymize:
            return record
        return {
            **record,
            'source': '',
            'refused': {name: f'no {name} of such a scan' for name in record['refused']},
            'slices': [{**row, 'file': ''} for row in record['slices']],
        }

    def _fail(self, found: Found, message: str) -> None:
        self.output.fail(
            {
                'name': found.name,
                'source': self._hidden(found.source),
                'remarks': self._hidden(message),
            },
            self.temporary,
        )
        self._end(found, Outcome('', message))

    def _end(self, found: Found | None, outcome: Outcome) -> None:
        self.failed |= bool(outcome.problem)
        self.listener.end(found, outcome)
        self.clock = time.monotonic()


def _own_device(local: int) -> str:
    """Choose a GPU for a process, by its number on its machine."""
    import torch

    count = torch.cuda.device_count()
    return f'cuda:{local % count}' if count else 'auto'


def _name_weights(checkpoint: Path | None, segmenter: 'Segmenter') -> str:
    """Name the weights, at most 64 letters: the same only for the same content and settings."""
    from cranium.inference.network import FILES, PRETRAINED

    file = checkpoint or FILES / f'checkpoints/{PRETRAINED}.pth'
    content = file.read_bytes() + segmenter.network.to_json().encode()
    return f'{file.stem[:55]}-{hashlib.sha256(content).hexdigest()[:8]}'


def _read_one(found: Found, window: Window | None) -> Scan | CraniumError | OSError:
    try:
        return read_scan(found, window)
    except (CraniumError, OSError) as error:
        return error


def _refuse_inputs(inputs: Sequence[Path], out: Path) -> None:
    """Refuse to write into a folder that scans are read from."""
    target = out.resolve()
    written = [target, *(target / name for name in writers.FORMATS)]
    for path in inputs:
        source = path.resolve()
        if source.is_dir():
            inside = any(source == place or source in place.parents for place in written)
        else:
            inside = source.parent in written
        if inside:
            msg = f'--out {out}: lies where {path} is read from, and nothing is written there'
            raise CraniumError(f'{msg}; name another folder')


def _with_pseudonyms(scans: Sequence[Found]) -> list[Found]:
    """Name scans by their content, not by their files; a series of DICOM is already."""
    named: list[Found] = []
    seen: Counter[str] = Counter()
    for scan in scans:
        if scan.kind == 'dicom':
            named.append(scan)
            continue
        try:
            name = f'scan-{_digest(scan.files)[:8]}'
        except OSError:  # reported when the scan is read
            name = 'scan-unreadable'
        seen[name] += 1
        name = name if seen[name] == 1 else f'{name}-{seen[name]}'
        named.append(replace(scan, name=name))
    return named


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 over the content of files, in their order."""
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _format_of(file: str) -> str:
    return REPORT if file.startswith(page.FOLDER) else file.partition('/')[0]


def _in_a_line(error: CraniumError | OSError) -> str:
    if isinstance(error, CraniumError) or not error.filename:
        return str(error)
    return f'{error.filename}: {error.strerror}; check its permissions'


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ' '.join(f'{number:g}' for number in value)
    return str(value)
