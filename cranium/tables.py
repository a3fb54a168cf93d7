"""Tables as text."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out a table that is Markdown and reads well as it stands.

    Args:
        header (Sequence[str]): Names of the columns.
        rows (Iterable[Sequence[object]]): Cells, as long as the header; the first column is
            aligned left, the others right. A ``|`` is escaped, a line break becomes a blank.

    Returns:
        str: The lines, without a final line break.
    """
    cells = [[' '.join(str(cell).replace('|', r'\|').splitlines()) for cell in row] for row in rows]
    align = ['left', *['right'] * (len(header) - 1)]
    table: str = tabulate(
        cells, header, 'pipe', colalign=align if cells else None, disable_numparse=True
    )
    return table
