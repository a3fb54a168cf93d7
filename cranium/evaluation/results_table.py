"""The results table of a README, and whether its columns can be true together."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cranium.evaluation.results import Results, format_figure

COLUMNS = (
    'Method',
    'Backbone',
    'Crop Size',
    'lr',
    'mIoU',
    'mDice',
    'hemorrhage IoU',
    'hemorrhage Dice',
    'patient Dice (authors) [95 %]',
    'patient volume Dice [95 %]',
    'slice AUC [95 %]',
    'patients / slices',
    'split',
    'config',
)

# Columns of a row of an ablation, by the figure that each holds.
ABLATION = {
    'Dice by slice [95 %]': 'slice/dice_mean',
    'slice AUC [95 %]': 'detection/slice_auc',
    'lesion sensitivity': 'lesion/sensitivity',
    'false positive lesions a slice': 'lesion/false_positives_per_slice',
}


class Row(NamedTuple):
    """The two means of a row of a results table.

    Attributes:
        label (str): What the row is about.
        miou (float): In percent.
        mdice (float): In percent.
        miou_decimals (int): Decimals that the mean IoU was rounded to. Defaults to 2.
        mdice_decimals (int): Likewise of the mean Dice.
    """

    label: str
    miou: float
    mdice: float
    miou_decimals: int = 2
    mdice_decimals: int = 2


def dice_range(miou: float) -> tuple[float, float]:
    """The mean Dice that a mean IoU of two classes allows.

    The Dice of a class is ``f(x) = 2 x / (1 + x)`` of its IoU. ``f`` is concave, so at a given
    mean IoU the mean Dice is largest where both classes have the same IoU, and smallest where
    they are as far apart as can be: the better class at 1, or the worse at 0.

    Args:
        miou (float): Mean IoU of two classes, 0 to 1.

    Returns:
        tuple[float, float]: Least and largest mean Dice, 0 to 1.
    """
    better = min(1.0, 2 * miou)
    worse = 2 * miou - better
    return (_dice_of_iou(better) + _dice_of_iou(worse)) / 2, _dice_of_iou(miou)


def contradiction(row: Row) -> str | None:
    """Tell whether mIoU and mDice of two classes exclude each other.

    Args:
        row (Row): The row.

    Returns:
        str | None: What is wrong, or None where both can be true.
    """
    if math.isnan(row.miou) or math.isnan(row.mdice):
        return None
    # Each figure may be off by half of its last digit; the last bits of floats are no matter.
    half = 0.5 * 10**-row.miou_decimals
    slack = 0.5 * 10**-row.mdice_decimals + 1e-9
    low = 100 * dice_range(max(row.miou - half, 0) / 100)[0] - slack
    high = 100 * dice_range(min(row.miou + half, 100) / 100)[1] + slack
    if low <= row.mdice <= high:
        return None
    miou, mdice = f'{row.miou:.{row.miou_decimals}f}', f'{row.mdice:.{row.mdice_decimals}f}'
    return (
        f'{row.label}: mIoU {miou} and mDice {mdice} exclude each other; with two classes, mIoU '
        f'{miou} implies an mDice from {low:.1f} to {high:.1f}'
    )


def format_results(runs: Sequence[Results]) -> str:
    """A Markdown table with a row a run, its columns those of the predecessor and more.

    Args:
        runs (sequence): Results.

    Returns:
        str: Lines without a final line break.
    """
    return _markdown(COLUMNS, map(_cells, runs))


def format_ablation(runs: Mapping[str, Results]) -> str:
    """A Markdown table with a row a run, each against the first on the same patients.

    The difference is of the authors' Dice by patient; its interval is over patients, and does not
    hold what another training would change.

    Args:
        runs (mapping): Two or more results by name.

    Returns:
        str: Lines without a final line break.

    Raises:
        ValueError: If the runs were not tested on the same slices.
    """
    # Here, as scipy.stats takes half a second to import, and other tables do without.
    from cranium.evaluation.comparison import compare_runs

    differences = [None, *compare_runs([run.records for run in runs.values()])]
    rows = []
    for (name, run), found in zip(runs.items(), differences):
        difference = (
            f'{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]' if found else ''
        )
        figures = [run.figures[figure] for figure in ABLATION.values()]
        rows.append(
            (
                name,
                f'{run.figures["patient/authors_dice"].value:.3f}',
                difference,
                *(format_figure(figure) for figure in figures[:2]),
                *(f'{figure.value:.3f}' for figure in figures[2:]),
            )
        )
    return _markdown(('', 'Dice by patient', 'difference [95 %]', *ABLATION), rows)


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ('---',) * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def row_of(run: Results) -> Row:
    """The means of a run, for :func:`contradiction`."""
    return Row(_name(run), run.figures['mIoU'].value, run.figures['mDice'].value)


def read_rows(lines: Iterable[str]) -> list[Row]:
    """Find the rows of Markdown tables that have the columns mIoU and mDice.

    Args:
        lines (iterable): Lines of a Markdown text.

    Returns:
        list[Row]: The rows, named by their other cells; without those that hold no numbers.
    """
    rows, header = [], None
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if not line.strip().startswith('|'):
            header = None
        elif 'mIoU' in cells and 'mDice' in cells:
            header = cells
        elif header and len(cells) == len(header):
            means = [cells[header.index(name)] for name in ('mIoU', 'mDice')]
            values = [_number(cell) for cell in means]
            if not any(map(math.isnan, values)):
                others = [c for h, c in zip(header, cells) if h not in ('mIoU', 'mDice')]
                label = ', '.join(filter(None, others[:4]))
                rows.append(Row(label, *values, *map(_decimals, means)))
    return rows


def _dice_of_iou(iou: float) -> float:
    return 2 * iou / (1 + iou)


def _number(cell: str) -> float:
    match = re.fullmatch(r'\**(\d+(?:\.\d+)?)\s*%?\**', cell)
    return float(match[1]) if match else math.nan


def _decimals(cell: str) -> int:
    return len(re.search(r'(?:\.(\d+))?\s*%?\**$', cell)[1] or '')


def _name(run: Results) -> str:
    experiment = run.provenance.get('experiment') or {}
    return str(experiment.get('name') or run.provenance.get('prediction') or 'unnamed')


def _cells(run: Results) -> tuple[str, ...]:
    experiment = run.provenance.get('experiment') or {}
    figures = run.figures
    means = [figures[name].value for name in ('mIoU', 'mDice')]
    hemorrhage = [100 * figures[f'pixel/{m}_hemorrhage'].value for m in ('iou', 'dice')]
    return (
        _name(run),
        *(str(experiment.get(key) or '-') for key in ('backbone', 'crop_size', 'lr')),
        *('-' if math.isnan(value) else f'{value:.2f}' for value in (*means, *hemorrhage)),
        *(
            format_figure(figures[name])
            for name in (
                'patient/authors_dice',
                'patient/volume_dice_mean',
                'detection/slice_auc',
            )
        ),
        f'{run.cases["patients"]} / {run.cases["slices"]}',
        str(run.provenance.get('protocol') or 'unknown'),
        str(experiment.get('name') or '-'),
    )
