"""The statistics of a data set as text, Markdown, JSON and a figure."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cranium.preparation.statistics import PERCENTILES, REGIONS
from cranium.preparation.tables import markdown_table
from cranium.slices import HEMORRHAGE_TYPES
from cranium.splits import SLICE_WARNING

FORMATS = ('text', 'markdown', 'json', 'figure')


class Section(NamedTuple):
    """A table with its title and a note."""

    title: str
    header: list[str]
    rows: list[list[object]]
    note: str = ''


def render(report: dict, kind: str) -> str:
    """Render the report of :func:`cranium.preparation.statistics.summarize`.

    Args:
        report (dict): The report.
        kind (str): ``text``, ``markdown`` or ``json``.
    """
    if kind == 'json':
        return json.dumps(report, indent=1) + '\n'
    heading = '## {}' if kind == 'markdown' else '{}:'
    blocks = []
    for section in _sections(report):
        blocks.append(heading.format(section.title))
        blocks.append(markdown_table(section.header, section.rows))
        if section.note:
            blocks.append(section.note)
    blocks.append(_normalization(report, kind))
    return '\n\n'.join(blocks) + '\n'


def _sections(report: dict) -> Iterator[Section]:
    yield from _predecessors_tables(report)
    yield _splits(report)
    yield _contents(report)
    if report['folds']:
        yield _folds(report)
    yield _types(report)
    yield _combinations(report)
    yield _sizes(report)
    yield _people(report)
    yield _intensity(report)


def _predecessors_tables(report: dict) -> Iterator[Section]:
    classes = report['classes']
    slices = classes['all']['background']['slices']
    yield Section(
        'Data set',
        [
            'Dataset Name',
            'Anatomical Region',
            'Task Type',
            'Modality',
            'Num. Classes',
            'Train/Val/Test Images',
            'Train/Val/Test Labeled',
            'Release Date',
            'License',
        ],
        [
            [
                '[Cranium](https://physionet.org/content/ct-ich/1.0.0/)',
                'head_and_neck',
                'segmentation',
                'ct',
                2,
                f'{slices}/-/-',
                'yes/-/-',
                2020,
                '[CC-BY 4.0](https://creativecommons.org/licenses/by/4.0/)',
            ]
        ],
    )
    note = (
        f'`Num` is the number of slices that have the class, `Pct` its percentage of all pixels. '
        f'A mask pixel is hemorrhage above {report["mask_threshold"]}.'
    )
    yield Section('Classes, all splits together', *_class_table({'train': classes['all']}), note)
    if report['prepared']:
        yield Section('Classes by split', *_class_table(classes))


def _class_table(classes: dict) -> tuple[list[str], list[list[object]]]:
    header, rows = ['Class Name'], [['background'], ['hemorrhage']]
    for split in ('train', 'val', 'test'):
        header += [f'Num. {split.title()}', f'Pct. {split.title()}']
        for row in rows:
            numbers = classes.get(split, {}).get(row[0])
            row += [numbers['slices'], f'{numbers["percent"]:.2f}'] if numbers else ['-', '-']
    return header, rows


_COUNTS = ['patients', 'slices', 'hemorrhage patients', 'hemorrhage slices']


def _splits(report: dict) -> Section:
    rows = [[name, *numbers.values()] for name, numbers in report['splits'].items()]
    note = f'Unlabelled slices: {report["unlabelled_slices"]}.'
    if report['prepared'] and report['protocol'] == 'slice':
        note += f' Warning: {SLICE_WARNING}.'
    return Section('Splits', ['split', *_COUNTS], rows, note)


def _contents(report: dict) -> Section:
    contents = report['contents']
    header = ['split', *next(iter(contents.values()))]
    rows = [[name, *map(_number, numbers.values())] for name, numbers in contents.items()]
    return Section('Types and lesions by split', header, rows, 'Types in slices, sizes in pixels.')


def _folds(report: dict) -> Section:
    keys = [name.replace(' ', '_') for name in _COUNTS]
    rows = [[fold['fold'], *(fold[key] for key in keys)] for fold in report['folds']]
    return Section(f'Folds ({report["protocol"]} protocol)', ['fold', *_COUNTS], rows)


def _types(report: dict) -> Section:
    rows = [
        [
            name,
            numbers['patients'],
            numbers['slices'],
            numbers['slices_alone'],
            numbers['pixels_alone'],
            *(numbers['with'].get(other, '-') for other in HEMORRHAGE_TYPES),
        ]
        for name, numbers in report['types'].items()
    ]
    header = ['type', 'patients', 'slices', 'alone', 'pixels alone']
    header += [f'with {name}' for name in HEMORRHAGE_TYPES]
    note = '`alone`: slices with no other type. A mask does not say which type a pixel is.'
    return Section('Types of hemorrhage and their overlaps', header, rows, note)


def _combinations(report: dict) -> Section:
    rows = [[name, *numbers.values()] for name, numbers in report['type_combinations'].items()]
    return Section('Combinations of types', ['types of a slice', 'slices', 'pixels'], rows)


def _sizes(report: dict) -> Section:
    described = report['lesions']
    header = ['what', *next(iter(described.values()))]
    rows = [[name, *map(_number, numbers.values())] for name, numbers in described.items()]
    note = (
        'A lesion is a region of hemorrhage, connected by sides or corners, within one slice. '
        'Sizes are in pixels, as the data set gives no pixel spacing.'
    )
    return Section('Lesions', header, rows, note)


def _people(report: dict) -> Section:
    sexes = list(report['people']['all']['sex'])
    rows = [
        [
            group,
            numbers['patients'],
            *(numbers['sex'].get(sex, 0) for sex in sexes),
            *(_number(numbers['age'][key]) for key in ('min', 'median', 'max')),
            numbers['under_18'],
        ]
        for group, numbers in report['people'].items()
    ]
    header = ['hemorrhage', 'patients', *(sex.lower() for sex in sexes)]
    header += ['youngest', 'median age', 'oldest', 'under 18']
    return Section('Patients', header, rows, 'Ages in years.')


def _intensity(report: dict) -> Section:
    keys = ['mean', 'std', *(f'p{percent:g}' for percent in PERCENTILES)]
    rows = [[name, *(_number(report['intensity'][name][key]) for key in keys)] for name in REGIONS]
    note = 'Gray values 0 to 255. The head is the largest region that is not air, filled.'
    return Section('Intensities', ['where', *keys], rows, note)


def _normalization(report: dict, kind: str) -> str:
    values = report['normalization']
    lines = f'mean={values["mean"]},\nstd={values["std"]},'
    title = f'Normalisation for the configs (pixels of split: {values["over"]})'
    if kind == 'markdown':
        return f'## {title}\n\n```python\n{lines}\n```'
    return f'{title}:\n\n{lines}'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'.removesuffix('0').removesuffix('.0')


def save_figure(report: dict, path: Path) -> None:
    """Draw intensities, lesion sizes, types and ages as one figure.

    Args:
        report (dict): From :func:`cranium.preparation.statistics.summarize`.
        path (Path): Where to; the suffix decides on the format.
    """
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(11, 7.5), layout='constrained')
    (intensity, sizes), (types, folds) = figure.subplots(2, 2)
    _draw_intensity(intensity, report)
    _draw_sizes(sizes, report)
    _draw_types(types, report)
    _draw_folds(folds, report)
    for axes in (intensity, sizes, types, folds):
        axes.spines[['top', 'right']].set_visible(False)
    figure.suptitle(
        f'{report["source"]}: {report["classes"]["all"]["background"]["slices"]} slices'
    )
    figure.savefig(path, dpi=150)


def _draw_intensity(axes, report: dict) -> None:
    for region, color in (('head', 'tab:gray'), ('hemorrhage', 'tab:red')):
        histogram = report['intensity'][region]['histogram']
        total = sum(histogram) or 1
        # What the window cuts off heaps up at both ends, far above everything between them.
        inside = [value / total for value in histogram[10:246]]
        axes.plot(range(10, 246), inside, color=color, label=region)
    axes.set(title='Intensities', xlabel='gray value (10 to 245)', ylabel='share of pixels')
    axes.legend(frameon=False)


def _draw_sizes(axes, report: dict) -> None:
    sizes = report['lesion_pixels']
    edges = [10 ** (step / 4) for step in range(19)]
    axes.hist(sizes, bins=edges, color='tab:red')
    axes.set(xscale='log', title='Lesion sizes', xlabel='pixels in a slice', ylabel='lesions')


def _draw_types(axes, report: dict) -> None:
    types = report['types']
    names = list(types)[::-1]
    alone = [types[name]['slices_alone'] for name in names]
    others = [types[name]['slices'] - types[name]['slices_alone'] for name in names]
    axes.barh(names, alone, color='tab:red', label='alone')
    axes.barh(names, others, left=alone, color='tab:orange', label='with another type')
    axes.set(title='Types of hemorrhage', xlabel='slices')
    axes.legend(frameon=False)


def _draw_folds(axes, report: dict) -> None:
    folds = report['folds']
    numbers = [fold['fold'] for fold in folds]
    axes.bar(numbers, [fold['slices'] for fold in folds], color='tab:gray', label='slices')
    bleeding = [fold['hemorrhage_slices'] for fold in folds]
    axes.bar(numbers, bleeding, color='tab:red', label='with hemorrhage')
    axes.set(title=f'Folds ({report["protocol"]} protocol)', xlabel='fold', ylabel='slices')
    axes.set_xticks(numbers)
    axes.margins(y=0.25)
    axes.legend(frameon=False, loc='upper center', ncols=2)
