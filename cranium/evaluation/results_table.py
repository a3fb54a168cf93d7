"""The results table of a README, and whether its columns can be true together."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cranium.evaluation.estimate import format_estimate
from cranium.evaluation.results import Results
from cranium.tables import markdown_table

# Columns of a results table by the figure that each holds, and whether it is given in percent.
COLUMNS = {
    'mIoU': ('mIoU', 1),
    'mDice': ('mDice', 1),
    'hemorrhage IoU': ('pixel/iou_hemorrhage', 100),
    'hemorrhage Dice': ('pixel/dice_hemorrhage', 100),
}
INTERVALS = {
    'patient Dice (authors) [95 %]': 'patient/authors_dice',
    'patient volume Dice [95 %]': 'patient/volume_dice_mean',
    'slice AUC [95 %]': 'detection/slice_auc',
}
ABLATION = {
    'Dice by slice [95 %]': 'slice/dice_mean',
    'slice AUC [95 %]': 'detection/slice_auc',
    'lesion sensitivity': 'lesion/sensitivity',
    'false positive lesions per slice': 'lesion/false_positives_per_slice',
}


class Row(NamedTuple):
    """The two means of a row of a results table, in percent, and the decimals that they have."""

    label: str
    miou: float
    mdice: float
    miou_decimals: int = 2
    mdice_decimals: int = 2


def dice_range(miou: float) -> tuple[float, float]:
    """The least and the largest mean Dice, 0 to 1, that a mean IoU of two classes allows.

    The Dice of a class is ``f(x) = 2 x / (1 + x)`` of its IoU. ``f`` is concave, so at a given
    mean IoU the mean Dice is largest where both classes have the same IoU, and smallest where
    they are as far apart as can be: the better class at 1, or the worse at 0.
    """

    def dice(iou: float) -> float:
        return 2 * iou / (1 + iou)

    better = min(1.0, 2 * miou)
    worse = 2 * miou - better
    return (dice(better) + dice(worse)) / 2, dice(miou)


def contradiction(row: Row) -> str | None:
    """Tell why mIoU and mDice of two classes exclude each other; None where both can be true."""
    if math.isnan(row.miou) or math.isnan(row.mdice):
        return None
    # Each figure may be off by half of its last digit; the last bits of floats are no matter.
    half: float = 0.5 * 10**-row.miou_decimals
    slack: float = 0.5 * 10**-row.mdice_decimals + 1e-9
    low = 100 * dice_range(max(row.miou - half, 0) / 100)[0] - slack
    high = 100 * dice_range(min(row.miou + half, 100) / 100)[1] + slack
    if low <= row.mdice <= high:
        return None
    miou, mdice = f'{row.miou:.{row.miou_decimals}f}', f'{row.mdice:.{row.mdice_decimals}f}'
    return (
        f'{row.label}: mIoU {miou} and mDice {mdice} exclude each other; with two classes, mIoU '
        f'{miou} implies an mDice from {low:.1f} to {high:.1f}'
    )


def format_results(runs: Iterable[Results]) -> str:
    """A Markdown table with one row per run, the columns of mmseg's model zoo and more."""
    header = ['Method', 'Backbone', 'Crop Size', 'lr', *COLUMNS, *INTERVALS]
    rows = []
    for run in runs:
        experiment = run.provenance.get('experiment') or {}
        percents = [scale * run.figures[name].value for name, scale in COLUMNS.values()]
        rows.append(
            [
                row_of(run).label,
                *(experiment.get(key) or '-' for key in ('backbone', 'crop_size', 'lr')),
                *('-' if math.isnan(value) else f'{value:.2f}' for value in percents),
                *(format_estimate(run.figures[name]) for name in INTERVALS.values()),
                f'{run.cases["patients"]} / {run.cases["slices"]}',
                run.provenance.get('protocol') or 'unknown',
                experiment.get('name') or '-',
            ]
        )
    return markdown_table([*header, 'patients / slices', 'split', 'config'], rows)


def format_ablation(runs: Mapping[str, Results]) -> str:
    """A Markdown table with one row per run, each against the first on the same patients.

    The difference is of the authors' Dice by patient; its interval is over patients, and does not
    hold what another training would change.
    """
    # Here, as scipy.stats takes half a second to import, and other tables do without.
    from cranium.evaluation.comparison import compare_runs

    differences = compare_runs([run.slices for run in runs.values()])
    against = ['', *(f'{d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}]' for d in differences)]
    rows = []
    for (name, run), difference in zip(runs.items(), against):
        plain = {n: f'{figure.value:.3f}' for n, figure in run.figures.items()}
        cells = [
            format_estimate(run.figures[n]) if '%' in column else plain[n]
            for column, n in ABLATION.items()
        ]
        rows.append([name, plain['patient/authors_dice'], difference, *cells])
    return markdown_table(['', 'Dice by patient', 'difference [95 %]', *ABLATION], rows)


def row_of(run: Results) -> Row:
    """The means of a run, for :func:`contradiction`."""
    experiment = run.provenance.get('experiment') or {}
    name = experiment.get('name') or run.provenance.get('prediction') or 'unnamed'
    return Row(str(name), run.figures['mIoU'].value, run.figures['mDice'].value)


def read_rows(lines: Iterable[str]) -> list[Row]:
    """Find the rows, named by their other cells, of Markdown tables with both means in numbers."""
    rows: list[Row] = []
    header: Sequence[str] = ()
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if not line.strip().startswith('|'):
            header = ()
        elif {'mIoU', 'mDice'} <= set(names := [cell.removesuffix(' (%)') for cell in cells]):
            header = names
        elif header and len(cells) == len(header):
            row = dict(zip(header, cells))
            means = [_NUMBER.fullmatch(row.pop(name)) for name in ('mIoU', 'mDice')]
            if all(means):
                label = ', '.join([cell for cell in row.values() if cell][:4])
                miou, mdice = (match for match in means if match)
                decimals = (len(match['decimals'] or '') for match in (miou, mdice))
                rows.append(Row(label, float(miou['value']), float(mdice['value']), *decimals))
    return rows


_NUMBER = re.compile(r'\**(?P<value>\d+(?:\.(?P<decimals>\d+))?)\s*%?\**')
