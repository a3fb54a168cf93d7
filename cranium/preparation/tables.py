"""Tables as text."""

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a table that reads well as it stands and is Markdown as well.

    Args:
        header (Sequence[str]): The columns' names.
        rows (Sequence[Sequence[object]]): The cells; the first column is aligned left, the
            others right.

    Returns:
        str: The lines, without a final line break.
    """
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    lines = [
        '| ' + ' | '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + ' |'
        for row in cells
    ]
    rule = [':' + '-' * (widths[0] - 1), *('-' * (width - 1) + ':' for width in widths[1:])]
    return '\n'.join([lines[0], '| ' + ' | '.join(rule) + ' |', *lines[1:]])
