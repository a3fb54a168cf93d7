"""The folder that predictions go to: who may write it, what is done, and its tables.

Beside the files that a user wants, ``.cranium/scans/<name>.json`` is the record of each scan. It is
written twice: with the names of the files before the first of them appears, and with what was found
when the last one is there. So a run that dies leaves whole files only, the next one knows which
scans are done and which files are ours, and several processes need not talk to each other: each
writes the tables from the records when its share is done, the last one those of all.
"""

import csv
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cranium.errors import CraniumError
from cranium.inference.segmentation import Segmentation
from cranium.preparation.tree import hold, write_file

DONE, WRITING, FAILED = 'done', 'writing', 'failed'

_WORK = '.cranium'

_COLUMNS = {
    'scans.csv': (
        'name source slices hemorrhage score threshold probability volume_ml lesions remarks status'
    ),
    'slices.csv': 'scan slice name file position_mm score probability hemorrhage pixels area_mm2',
    'lesions.csv': (
        'scan lesion pixels volume_ml first_slice last_slice first_row last_row first_column '
        'last_column slice row column x_mm y_mm z_mm'
    ),
}
TABLES, PAGE = tuple(_COLUMNS), 'report.html'

Record = dict[str, Any]


class Output:
    """A folder for predictions, held by one process.

    Args:
        folder (Path): The folder.
        rank (int): Number of this process among those that write it together. Defaults to 0.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        self._work = folder / _WORK
        self._records = self._work / 'scans'

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Hold the folder, and give one in it for temporary files.

        Raises:
            CraniumError: Another run holds it, or it cannot be written or locked.
        """
        self._make_folder(self._records)
        with hold(self._work / f'lock-{self.rank}', self.folder):
            self._clear()
            temporary = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self._work))
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    @property
    def _prefix(self) -> str:
        return f'temporary-{self.rank}-'

    def _clear(self) -> None:
        """Remove what a killed run has left."""
        for leftover in self._work.glob(f'{self._prefix}*'):
            shutil.rmtree(leftover, ignore_errors=True)

    def _make_folder(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f'{path}: cannot be made ({error.strerror}); use another --out'
            raise CraniumError(msg) from error

    def read(self, name: str) -> Record | None:
        """Return the record of a scan, if there is one.

        Raises:
            CraniumError: It was changed.
        """
        path = self._records / f'{name}.json'
        try:
            record: Record = json.loads(path.read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        except ValueError as error:
            msg = f'{path}: changed since it was written; remove it and the scan is done again'
            raise CraniumError(msg) from error
        return record

    def records(self) -> list[Record]:
        """Return the records of all scans, in the order of their names."""
        names = sorted((path.stem for path in self._records.glob('*.json')), key=_by_number)
        return [record for record in map(self.read, names) if record is not None]

    def missing(self, record: Record) -> list[str]:
        """Return the files of a record that are no more there."""
        return [name for name in record['files'] if not (self.folder / name).is_file()]

    def commit(
        self, record: Record, files: Mapping[str, bytes], temporary: Path, overwrite: bool
    ) -> None:
        """Let the files of a scan appear, and its record.

        Args:
            record (dict): What was found, without ``files`` and ``status``.
            files (mapping): Content by path in the folder.
            temporary (Path): See :meth:`held`.
            overwrite (bool): Replace files that an earlier run wrote of this scan. Else they stay:
                they are whole, and somebody may have corrected them.

        Raises:
            CraniumError: There is a file of that name which is not ours, or the disk is full.
        """
        before = self.read(record['name']) or {'files': [], 'status': DONE}
        ours = set(before['files'])
        overwrite |= before['status'] == WRITING  # a run died while it was replacing them
        for name in files:
            if name not in ours and (self.folder / name).exists():
                msg = f'{self.folder / name}: there already, and not of this scan'
                raise CraniumError(f'{msg}; move it away, or use another --out')
        waiting = {}
        for number, (name, content) in enumerate(files.items()):
            if overwrite or name not in ours or not (self.folder / name).exists():
                waiting[name] = temporary / str(number)
                write_file(waiting[name], content)
        self._write_record(
            {**record, 'files': sorted(ours | set(files)), 'status': WRITING}, temporary
        )
        for name, path in waiting.items():
            self._make_folder((self.folder / name).parent)
            os.replace(path, self.folder / name)
        if overwrite:
            for name in ours - set(files):
                (self.folder / name).unlink(missing_ok=True)
        else:
            files = {**dict.fromkeys(ours, b''), **files}
        self._write_record({**record, 'files': sorted(files), 'status': DONE}, temporary)

    def fail(self, record: Record, temporary: Path) -> None:
        """Record that a scan could not be done, unless an earlier run has done it."""
        before = self.read(record['name'])
        if before is None or not before['files']:
            self._write_record({**record, 'files': [], 'status': FAILED}, temporary)

    def forget_failure(self, name: str) -> None:
        """Remove the record of a scan that failed before."""
        record = self.read(name)
        if record and record['status'] == FAILED:
            (self._records / f'{name}.json').unlink(missing_ok=True)

    def _write_record(self, record: Record, temporary: Path) -> None:
        self._replace(self._records / f'{record["name"]}.json', _as_json(record), temporary)

    def _replace(self, path: Path, content: bytes, temporary: Path) -> None:
        write_file(temporary / 'next', content)
        os.replace(temporary / 'next', path)

    def refuse_foreign(self, names: Iterable[str]) -> None:
        """Refuse a folder in which somebody else has written a file of such a name.

        Raises:
            CraniumError: There is one.
        """
        for name in names:
            if (self.folder / name).exists() and not self._mark(name).exists():
                msg = f'{self.folder / name}: not written by this command'
                raise CraniumError(f'{msg}; move it away, or use another --out')

    def _mark(self, name: str) -> Path:
        """The file that says that one of that name is ours."""
        return self._work / f'wrote-{name}'

    def write_tables(
        self,
        faults: Sequence[Mapping[str, str]],
        temporary: Path,
        page: Callable[[Sequence[Record]], str] | None = None,
    ) -> list[Record]:
        """Write the tables of all records, and a page of them.

        Args:
            faults (sequence): Rows of scans.csv for inputs that are no scans.
            temporary (Path): See :meth:`held`.
            page (Callable, optional): Makes the page. Defaults to None: none is written.

        Returns:
            list[dict]: The records.
        """
        with hold(self._work / 'lock-tables', self.folder, wait=True):
            records = self.records()
            for name, content in make_tables(records, faults).items():
                self._replace_ours(name, content, temporary)
            if page is not None:
                self._replace_ours(PAGE, page(records).encode(), temporary)
        return records

    def _replace_ours(self, name: str, content: bytes, temporary: Path) -> None:
        write_file(self._mark(name), b'')
        self._replace(self.folder / name, content, temporary)


def describe(found: Segmentation, names: Sequence[str]) -> Record:
    """Say what was found as a record holds it.

    Args:
        found (Segmentation): What was found.
        names (sequence): Of its slices.
    """
    scan = found.scan
    slices = [
        {
            'scan': scan.name,
            'slice': part.number,
            'name': name,
            'file': Path(part.file).name,
            'position_mm': _rounded(part.position_mm, 3),
            'score': _rounded(part.score, 4),
            'probability': _rounded(part.hemorrhage_probability, 4),
            'hemorrhage': _yes(part.hemorrhage),
            'pixels': part.pixels,
            'area_mm2': _rounded(part.area_mm2, 2),
        }
        for name, part in zip(names, found.slices)
    ]
    lesions = []
    for lesion in found.lesions:
        (first, top, left), (after, bottom, right) = lesion.box
        where = dict(zip(('x_mm', 'y_mm', 'z_mm'), lesion.centroid_mm or ()))
        middle = dict(zip(('slice', 'row', 'column'), lesion.centroid))
        middle['slice'] += 1  # as slices.csv numbers them
        lesions.append(
            {
                'scan': scan.name,
                'lesion': lesion.number,
                'pixels': lesion.pixels,
                'volume_ml': _rounded(lesion.volume_ml, 4),
                'first_slice': first + 1,
                'last_slice': after,
                'first_row': top,
                'last_row': bottom - 1,
                'first_column': left,
                'last_column': right - 1,
                **{key: _rounded(value, 2) for key, value in {**middle, **where}.items()},
            }
        )
    return {
        'name': scan.name,
        'hemorrhage': _yes(found.hemorrhage),
        'score': _rounded(found.score, 4),
        'probability': _rounded(found.hemorrhage_probability, 4),
        'volume_ml': _rounded(found.volume_ml, 4),
        'remarks': list(found.remarks),
        'slices': slices,
        'lesions': lesions,
    }


def make_tables(
    records: Sequence[Record], faults: Sequence[Mapping[str, str]] = ()
) -> dict[str, bytes]:
    """Make the CSV files of some records, by name; see :meth:`Output.write_tables`."""
    return {name: _table(name, rows) for name, rows in _rows(records, faults).items()}


def _rows(
    records: Sequence[Record], faults: Sequence[Mapping[str, str]]
) -> dict[str, list[Mapping[str, Any]]]:
    done = [record for record in records if record['status'] == DONE]
    scans: list[Mapping[str, Any]] = []
    for record in records:
        if record['status'] == DONE:
            counts = {key: len(record[key]) for key in ('slices', 'lesions')}
            remarks = [*record['remarks'], *record['refused'].values()]
            scans.append({**record, **counts, 'remarks': '; '.join(remarks)})
        elif record['status'] == FAILED:
            scans.append(record)
    return {
        'scans.csv': [*scans, *({**fault, 'status': FAILED} for fault in faults)],
        'slices.csv': [row for record in done for row in record['slices']],
        'lesions.csv': [row for record in done for row in record['lesions']],
    }


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(
        text, _COLUMNS[name].split(), extrasaction='ignore', lineterminator='\n'
    )
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Keep a spreadsheet from taking a file's name for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ('=', '+', '@') else value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _yes(value: bool) -> str:
    return 'yes' if value else 'no'


def _as_json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


def _by_number(name: str) -> list[Any]:
    """Sort ``scan2`` before ``scan10``."""
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in _parts(name)]


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r'(\d+)', name) if part]
