"""The tables of the download: ``hemorrhage_diagnosis.csv`` and how to read such a file."""

import io
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from cranium.errors import CraniumError
from cranium.slices import HEMORRHAGE_TYPES, join_types, patient_name

if TYPE_CHECKING:
    import pandas as pd

DIAGNOSIS = 'hemorrhage_diagnosis.csv'


def read_diagnosis(source: str | Path | bytes, name: str = '') -> 'pd.DataFrame':
    """Read what radiologists found in each slice.

    Args:
        source (str | Path | bytes): The CSV, or its content.
        name (str): What to call it in an error. Defaults to the path.

    Returns:
        DataFrame: One row per slice with the columns ``patient`` (``'049'``), ``slice`` (int),
        ``types`` (joined by ``+``), ``hemorrhage`` (bool: a type, or no ``No_Hemorrhage``) and
        ``fracture`` (bool).

    Raises:
        CraniumError: It cannot be read, a column is missing, a cell is not what it must be, or a
            slice has two rows; the message names file and line.
    """
    import pandas as pd  # half a second

    name = name or (DIAGNOSIS if isinstance(source, bytes) else str(source))
    numbers = ['PatientNumber', 'SliceNumber']
    flags = [*HEMORRHAGE_TYPES, 'No_Hemorrhage', 'Fracture_Yes_No']
    cells = read_table(source, name, [*numbers, *flags])
    _refuse(cells[numbers], '[0-9]{1,9}', name, 'not a number')
    _refuse(cells[flags], '[01]', name, 'neither 0 nor 1')
    found = cells[flags] == '1'
    typed = found[list(HEMORRHAGE_TYPES)]
    types = [join_types(compress(HEMORRHAGE_TYPES, row)) for row in typed.to_numpy()]
    rows = pd.DataFrame(
        {
            'patient': cells['PatientNumber'].map(patient_name),
            'slice': cells['SliceNumber'].astype(int),
            'types': types,
            # A type wins over `No_Hemorrhage`: calling a bleed background is the worse mistake.
            'hemorrhage': typed.any(axis=1) | ~found['No_Hemorrhage'],
            'fracture': found['Fracture_Yes_No'],
        }
    )
    for line, row in rows[rows.duplicated(['patient', 'slice'])].iterrows():
        msg = f'{name}, line {line}: a second row for slice {row["slice"]} of {row["patient"]}'
        raise CraniumError(f'{msg}; keep one')
    return rows.reset_index(drop=True)


def read_table(source: str | Path | bytes, name: str, columns: list[str]) -> 'pd.DataFrame':
    """Read a CSV as text.

    Args:
        source (str | Path | bytes): The CSV, or its content; in UTF-8.
        name (str): What to call it in an error.
        columns (list[str]): Those that it must have.

    Returns:
        DataFrame: Stripped cells by line of the file, without empty lines. Runs of white space in
        a column's name are one blank.

    Raises:
        CraniumError: It cannot be read, has no rows, or lacks a column.
    """
    import pandas as pd

    cells: pd.DataFrame
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        cells = pd.read_csv(
            io.StringIO(content.decode('utf-8-sig')),  # the original has a byte order mark
            dtype=str,
            keep_default_na=False,
            index_col=False,
            skip_blank_lines=False,
        )
    except OSError as error:
        raise CraniumError(f'{name}: cannot be read ({error.strerror}); check the path') from error
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame()
    except ValueError as error:  # of decoding and of pandas
        reason = ' '.join(str(error).split())
        raise CraniumError(f'{name}: not a CSV in UTF-8 ({reason}); use the original') from error
    lines = 1 + cells.apply(lambda column: column.str.count('\n')).sum(axis=1)
    header = 1 + sum(str(column).count('\n') for column in cells.columns)
    cells.index = pd.Index(1 + header + lines.cumsum() - lines)
    cells.columns = pd.Index([' '.join(str(column).split()) for column in cells.columns])
    cells = cells.apply(lambda column: column.str.strip())
    cells = cells[(cells != '').any(axis=1)]
    if cells.empty:
        raise CraniumError(f'{name}: no rows; use the original')
    if missing := [column for column in columns if column not in cells]:
        raise CraniumError(f'{name}: no column {", ".join(missing)}; use the original')
    return cells


def _refuse(cells: 'pd.DataFrame', pattern: str, name: str, what: str) -> None:
    """Refuse the first cell that does not match."""
    for column in cells:
        bad = cells[column][~cells[column].str.fullmatch(pattern)]
        for line, cell in bad.items():
            msg = f'{name}, line {line}: {column} is {cell!r}, {what}; correct it'
            raise CraniumError(msg)
