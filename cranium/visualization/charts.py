"""The charts of the report: matplotlib's SVG, to stand within a page."""

import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE = '#1f82c8', '#d55e00'  # both readable on white and on black
LINES = ((BLUE, '-'), (ORANGE, '--'))  # of slices and of patients

_INK = '#010203'  # becomes the colour of the page's text
_STYLE: dict[Any, Any] = {
    **dict.fromkeys(('text.color', 'axes.labelcolor', 'xtick.color', 'ytick.color'), _INK),
    'axes.edgecolor': _INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'font.family': 'sans-serif',
    'legend.frameon': False,
    'savefig.transparent': True,
    'svg.fonttype': 'none',
    'svg.hashsalt': 'cranium',
}


class Chart(NamedTuple):
    """An ``<svg>`` element and a sentence on what it shows."""

    svg: str
    caption: str


def make_chart(name: str, caption: str, draw: Callable[['Axes', Any], None], data: Any) -> Chart:
    """Draw a chart whose text is as dark or light as that of its page.

    Args:
        name (str): What its ids begin with, as they must be unique in a page.
        caption (str): What it shows.
        draw (callable): Draws ``data`` on an axis. A mark whose url is ``#slice-049_021`` links to
            that slice, and says so when pointed at.
        data (object): What to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.4), layout='constrained')
        draw(figure.subplots(), data)
        buffer = io.StringIO()
        nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
        figure.savefig(buffer, format='svg', metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index('<svg') :].replace(_INK, 'currentColor')
    svg = re.sub(r'((?:\bid|clip-path)="(?:url\(#)?|href="#(?!slice|patient))', rf'\1{name}-', svg)
    svg = re.sub(r'(<a xlink:href="#\w+-([^"]+)"[^>]*>)', r'\1<title>\2</title>', svg)
    return Chart(svg.replace('<svg', f'<svg role="img" aria-label="{escape(caption)}"', 1), caption)


def draw_roc(axis: 'Axes', levels: dict[str, pd.DataFrame]) -> None:
    """Draw the ROC curve of the cases of each level, which have ``hemorrhage`` and ``score``."""
    from sklearn.metrics import roc_curve

    for (label, cases), (colour, style) in zip(levels.items(), LINES):
        false_positive_rate, sensitivity, _ = roc_curve(cases['hemorrhage'], cases['score'])
        axis.plot(false_positive_rate, sensitivity, style, color=colour, label=label)
    axis.plot([0, 1], [0, 1], color='gray', linestyle=':', label='chance')
    axis.set(xlabel='1 - specificity', ylabel='Sensitivity')
    axis.legend()


def draw_precision_recall(axis: 'Axes', levels: dict[str, pd.DataFrame]) -> None:
    """Draw the precision-recall curve of each level; see :func:`draw_roc`."""
    from sklearn.metrics import precision_recall_curve

    for (label, cases), (colour, style) in zip(levels.items(), LINES):
        precision, sensitivity, _ = precision_recall_curve(cases['hemorrhage'], cases['score'])
        axis.plot(sensitivity, precision, style, color=colour, label=label)
    axis.set(xlabel='Sensitivity', ylabel='Precision', ylim=(0, 1.03))
    axis.legend()


def draw_reliability(axis: 'Axes', curves: dict[str, pd.DataFrame]) -> None:
    """Draw observed against predicted; see :func:`~cranium.evaluation.calibration.reliability`."""
    axis.plot([0, 1], [0, 1], color='gray', linestyle=':', label='as probable as frequent')
    for (label, bins), (colour, style) in zip(curves.items(), LINES):
        bars = (bins['observed'] - bins['low'], bins['high'] - bins['observed'])
        axis.errorbar(
            bins['predicted'],
            bins['observed'],
            bars,
            fmt=f'o{style}',
            color=colour,
            markersize=4,
            elinewidth=1,
            label=label,
        )
    axis.set(xlabel='Predicted probability of hemorrhage', ylabel='Observed frequency')
    axis.figure.legend(loc='outside upper left')


def draw_dice_by_patient(axis: 'Axes', dice: pd.Series) -> None:
    """Draw a bar for each patient, the worst on top, that links to the patient."""
    dice = dice.sort_values(ascending=False)
    axis.figure.set_figheight(0.6 + 0.2 * max(5, len(dice)))  # type: ignore[union-attr]
    bars = axis.barh(dice.index, dice, color=BLUE)
    for bar, patient in zip(bars, dice.index):
        bar.set_url(f'#patient-{patient}')
    axis.bar_label(bars, fmt='%.2f', padding=3)
    axis.set(xlabel='Dice', xlim=(0, 1.08))


def draw_dice_by_size(axis: 'Axes', slices: pd.DataFrame) -> None:
    """Draw a dot for each hemorrhage slice that links to the slice."""
    dots = axis.scatter(slices['tp'] + slices['fn'], slices['dice'], color=BLUE, alpha=0.6)
    dots.set_urls([f'#slice-{name}' for name in slices['name']])
    axis.set(xscale='log', xlabel='Hemorrhage in the slice, pixels', ylabel='Dice')
    axis.set_ylim(-0.03, 1.03)


def draw_agreement(axis: 'Axes', volumes: pd.DataFrame) -> None:
    """Draw a Bland-Altman chart of patients' pixels ``tp``, ``fp``, ``fn``; a dot links to one."""
    true, predicted = volumes['tp'] + volumes['fn'], volumes['tp'] + volumes['fp']
    error = predicted - true
    dots = axis.scatter((true + predicted) / 2, error, color=BLUE, alpha=0.6)
    dots.set_urls([f'#patient-{patient}' for patient in error.index])
    levels = {'mean': 0.0}
    if len(error) > 1:
        levels |= {'+1.96 SD': 1.96 * error.std(), '-1.96 SD': -1.96 * error.std()}
    for text, distance in levels.items():
        level = error.mean() + distance
        axis.axhline(level, color=ORANGE, linestyle='--' if distance else '-', linewidth=1)
        place: dict[str, Any] = dict(
            xycoords=('axes fraction', 'data'), textcoords='offset points', ha='right'
        )
        axis.annotate(f'{text} {level:.0f}', (1, level), (0, 2), **place)
    axis.locator_params(axis='x', nbins=6)
    axis.set(xlabel='Mean of true and predicted volume, pixels', ylabel='Predicted - true, pixels')
