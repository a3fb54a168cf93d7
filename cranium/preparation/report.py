"""The statistics of a data set as text, Markdown, JSON and a figure."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cranium.preparation.statistics import Statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RED, _ORANGE, _GRAY = '#d55e00', '#e69f00', '#7f7f7f'


def render(statistics: Statistics, kind: str) -> str:
    """Render statistics as ``text``, ``markdown`` or ``json``."""
    if kind == 'json':
        tables = {
            key: json.loads(table.rows.to_json(orient='index'))
            for key, table in statistics.tables.items()
        }
        return json.dumps({**vars(statistics), 'tables': tables}, indent=1) + '\n'
    heading = '## {}' if kind == 'markdown' else '{}:'
    blocks = []
    for table in statistics.tables.values():
        rows = table.rows.rename(columns=lambda name: str(name).replace('_', ' '))
        cells = rows.map(_number).rename_axis(str(rows.index.name or 'what'))
        align = ['left', *['right'] * len(cells.columns)]
        text = cells.to_markdown(disable_numparse=True, colalign=align)
        blocks += [heading.format(table.title), text, table.note]
    normalization = statistics.normalization
    code = f'mean={normalization["mean"]},\nstd={normalization["std"]},'
    title = f'Normalization for the configs (pixels of split: {normalization["over"]})'
    blocks += [heading.format(title), f'```python\n{code}\n```' if kind == 'markdown' else code]
    return '\n\n'.join(filter(None, blocks)) + '\n'


def _number(value: float) -> str:
    return '-' if pd.isna(value) else f'{value:.2f}'.removesuffix('0').removesuffix('.0')


def save_figure(statistics: Statistics, path: Path) -> None:
    """Draw intensities, lesion sizes, types and folds as one figure."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(11, 7.5), layout='constrained')
    axes = figure.subplots(2, 2).ravel()
    for axis, draw in zip(axes, (_draw_intensity, _draw_sizes, _draw_types, _draw_folds)):
        draw(axis, statistics)
        axis.spines[['top', 'right']].set_visible(False)
    slices = int(statistics.tables['splits'].rows['slices'].sum())
    figure.suptitle(f'{statistics.source}: {slices} slices')
    figure.savefig(path, dpi=150)


def _draw_intensity(axis: 'Axes', statistics: Statistics) -> None:
    for region, colour in (('head', _GRAY), ('hemorrhage', _RED)):
        histogram = pd.Series(statistics.histograms[region])
        # What the window cuts off heaps up at both ends, far above everything between them.
        (histogram / max(histogram.sum(), 1))[10:246].plot(ax=axis, color=colour, label=region)
    axis.set(title='Intensities', xlabel='gray value (10 to 245)', ylabel='share of pixels')
    axis.legend(frameon=False)


def _draw_sizes(axis: 'Axes', statistics: Statistics) -> None:
    axis.hist(statistics.lesions, bins=[10 ** (step / 4) for step in range(19)], color=_RED)
    axis.set(xscale='log', title='Lesion sizes', xlabel='pixels in a slice', ylabel='lesions')


def _draw_types(axis: 'Axes', statistics: Statistics) -> None:
    types = statistics.tables['types'].rows[::-1]
    axis.barh(types.index, types['alone'], color=_RED, label='alone')
    others = types['slices'] - types['alone']
    axis.barh(types.index, others, left=types['alone'], color=_ORANGE, label='with another type')
    axis.set(title='Hemorrhage types', xlabel='slices')
    axis.legend(frameon=False)


def _draw_folds(axis: 'Axes', statistics: Statistics) -> None:
    if table := statistics.tables.get('folds'):
        folds = table.rows.index.astype(str)
        axis.bar(folds, table.rows['slices'], color=_GRAY, label='slices')
        axis.bar(folds, table.rows['hemorrhage_slices'], color=_RED, label='with hemorrhage')
        axis.set(title=table.title, xlabel='fold', ylabel='slices')
        axis.margins(y=0.25)
        axis.legend(frameon=False, loc='upper center', ncols=2)
