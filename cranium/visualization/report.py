"""The report of a run: one HTML file to look at, or the same figures as Markdown."""

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from cranium.evaluation import measures
from cranium.evaluation.records import SliceRecord
from cranium.evaluation.results import (
    Results,
    find_results,
    format_cases,
    format_figure,
    format_table,
    format_with_unit,
    read_results,
)
from cranium.evaluation.summary import Cohort, Figure, patient_dice
from cranium.visualization.page import page, table
from cranium.visualization.published import PUBLISHED, closest
from cranium.visualization.scalars import read_scalars
from cranium.visualization.slice_figure import MOST_POINTS, slice_figure
from cranium.visualization.svg import Axis, Chart, axis_for, bars

HEADLINES = {
    'patient/authors_dice': "Dice of a patient, authors' definition (mean over its slices)",
    'patient/volume_dice_mean': 'Dice of a patient, all pixels together',
    'slice/dice_mean': 'Dice of a hemorrhage slice, mean',
    'pixel/dice_hemorrhage': 'Dice of all pixels pooled',
    'slice/hd95_mean': '95th percentile Hausdorff distance, mean',
    'detection/slice_auc': 'Detection of hemorrhage slices, AUC',
    'detection/patient_auc': 'Detection of hemorrhage patients, AUC',
    'detection/slice_sensitivity': 'Sensitivity for slices, at the validation threshold',
    'detection/slice_specificity': 'Specificity for slices, at the validation threshold',
    'lesion/sensitivity': 'Lesions found',
    'lesion/false_positives_per_patient': 'False lesions per patient',
    'mIoU': 'mIoU, as mmseg reports it (half of it is background)',
    'mDice': 'mDice, as mmseg reports it',
}

# A curve of so few points shows them; of a single one there would be nothing to see else.
FEW_POINTS = 40

# Longest side of an image in pixels. A slice takes about 2.8 kB and 0.12 bytes a pixel more; where
# there are many, each gets as many pixels as keep the page well under 10 MB.
SIDE, LEAST_SIDE = 256, 64
PAGE_BYTES, SLICE_BYTES, PIXEL_BYTES = 8.5e6, 2800, 0.12

# The outlines of all slices together, which those 2.8 kB hold, and a corner of one; speckled
# predictions have very many.
OUTLINE_BYTES, POINT_BYTES = 2e6, 7


def build_report(work_dir: str | Path) -> str:
    """Write the report of a run as HTML.

    Args:
        work_dir (str | Path): Work directory of a run after ``mim test``, or output folder of
            ``tools/evaluate.py``.

    Returns:
        str: A page that loads nothing from elsewhere.

    Raises:
        OSError: If there are no results, or a file that they name cannot be read.
        ValueError: If the results are not what was written; the message names the file.
    """
    results = read_results(work_dir)
    cohort = Cohort(results.records, replicates=0)
    return page(
        f'Intracranial hemorrhage: {report_name(results, work_dir)}',
        {
            'Overview': _overview(results),
            'Compared with published results': _published(results),
            'Training': _learning_curves(work_dir),
            'Detection': _detection(results, cohort),
            'Segmentation': _segmentation(cohort),
            'Examples': _examples(results.records),
            'Patients': _patients(results.records),
            'All figures': _all_figures(results.figures),
            'Origin': _origin(results),
        },
    )


def build_markdown(work_dir: str | Path) -> str:
    """Write the figures of a run as Markdown, without pictures.

    Args:
        work_dir (str | Path): See :func:`build_report`.

    Returns:
        str: The text.

    Raises:
        OSError: See :func:`build_report`.
        ValueError: Likewise.
    """
    results = read_results(work_dir)
    parts = [f'# Intracranial hemorrhage: {report_name(results, work_dir)}', _tested(results)]
    parts += [f'> **Note.** {warning}' for warning in results.warnings]
    headlines = [
        f'| {text} | {format_with_unit(results.figures[name])} | '
        f'{format_cases(results.figures[name])} |'
        for name, text in HEADLINES.items()
        if name in results.figures
    ]
    parts.append(
        '\n'.join(['| figure | value [95 %] | cases |', '| --- | --- | --- |', *headlines])
    )
    published = [
        f'| {p.source} | {p.measure} | {p.value} | {p.protocol} | '
        f'{format_figure(results.figures[closest(p, results.figures)])} |'
        for p in PUBLISHED
    ]
    head = ['| published | measure | value | protocol | this run |', '| --- ' * 5 + '|']
    parts.append('\n'.join(['## Compared with published results\n', *head, *published]))
    parts.append('## All figures\n\n' + format_table(results.figures, markdown=True))
    parts.append('## Origin\n\n' + _origin_as_markdown(results))
    return '\n\n'.join(parts) + '\n'


def report_name(results: Results, work_dir: str | Path) -> str:
    """What the run is called: its experiment, else its folder."""
    experiment = results.provenance.get('experiment') or {}
    return str(experiment.get('name') or find_results(work_dir).resolve().name)


def _overview(results: Results) -> str:
    warnings = ''.join(
        f'<p class="warning" role="note"><strong>Note.</strong> {escape(warning)}</p>'
        for warning in results.warnings
    )
    rows = [
        (escape(text), _cell(name, results.figures[name]), format_cases(results.figures[name]))
        for name, text in HEADLINES.items()
        if name in results.figures
    ]
    return (
        f'<p>{escape(_tested(results))}</p>{warnings}'
        + table(('Figure', 'Value [95 % interval]', 'Cases'), rows)
        + '<p class="faint">Intervals: percentile bootstrap over patients, since slices of a '
        'patient are not independent. Undefined cases are left out and counted.</p>'
    )


def _tested(results: Results) -> str:
    cases = results.cases
    return (
        f'{cases["patients"]} patients with {cases["slices"]} slices were tested; '
        f'{cases["hemorrhage_patients"]} patients and {cases["hemorrhage_slices"]} slices show '
        f'hemorrhage. Split: {results.provenance.get("protocol") or "unknown"}.'
    )


def _published(results: Results) -> str:
    rows = [
        (
            escape(p.source),
            escape(p.measure),
            escape(p.value),
            escape(p.protocol),
            _cell(name, results.figures[name]),
        )
        for p in PUBLISHED
        for name in [closest(p, results.figures)]
    ]
    return (
        '<p>Only figures of the same split and the same definition can be compared; in the last '
        'column stands the figure of this run that is defined most alike.</p>'
        + table(('Published', 'Measure', 'Value', 'Protocol', 'This run'), rows)
    )


def _learning_curves(work_dir: str | Path) -> str:
    scalars = read_scalars(work_dir)
    charts = []
    for key_labels, label in (
        ({'loss': 'training loss'}, 'Loss'),
        (
            {'pixel/dice_hemorrhage': 'pixels pooled', 'patient/authors_dice': 'patients'},
            'Dice of hemorrhage in validation',
        ),
    ):
        curves = {
            text: [(s['step'], s[key]) for s in scalars if s.get(key) is not None]
            for key, text in key_labels.items()
        }
        curves = {text: points for text, points in curves.items() if points}
        if not curves:
            continue
        points = [point for curve in curves.values() for point in curve]
        chart = Chart(
            f'{label} by iteration',
            f'Curves of {", ".join(curves)} over {points[-1][0]:g} iterations.',
            axis_for('Iteration', [x for x, _ in points]),
            axis_for(label, [y for _, y in points]),
        )
        for kind, (text, curve) in zip(('first', 'second'), curves.items()):
            chart.line(curve, kind, text if len(curves) > 1 else '')
            if len(curve) <= FEW_POINTS:
                chart.dots([(x, y, f'{text}, {x:g}: {y:.3f}') for x, y in curve], kind)
        charts.append((chart.render(), f'{label} by iteration.'))
    return _charts(charts)


def _detection(results: Results, cohort: Cohort) -> str:
    levels = {
        'slices': ('first', cohort.hemorrhage, cohort.score),
        'patients': ('second', cohort.patient_hemorrhage, cohort.patient_score),
    }
    roc = Chart(
        'ROC curve',
        'Sensitivity against false positive rate, for slices and for patients.',
        Axis('1 - specificity', 0, 1),
        Axis('Sensitivity', 0, 1),
    )
    recall = Chart(
        'Precision-recall curve',
        'Precision against sensitivity, for slices and for patients.',
        Axis('Sensitivity', 0, 1),
        Axis('Precision', 0, 1),
    )
    roc.line([(0, 0), (1, 1)], 'chance')
    for name, (kind, truth, score) in levels.items():
        false_positive_rate, sensitivity, _ = measures.roc(truth, score)
        level = name[:-1]
        auc = results.figures[f'detection/{level}_auc'].value
        roc.line(zip(false_positive_rate, sensitivity), kind, f'{name}, AUC {auc:.3f}')
        precision, sensitivity, _ = measures.precision_recall(truth, score)
        average = results.figures[f'detection/{level}_average_precision'].value
        recall.line(zip(sensitivity, precision), kind, f'{name}, AP {average:.3f}')
    score = (
        'the predicted log-odds of hemorrhage'
        if cohort.score_kind == 'log-odds'
        else 'the predicted area'
    )
    return (
        f'<p>A slice is scored by {score}, a patient by the highest score of a slice.</p>'
        + _charts(
            [
                (roc.render(), 'ROC curve; dotted is chance.'),
                (recall.render(), 'Precision-recall curve; chance is the prevalence.'),
            ]
        )
        + _confusion(results, cohort)
    )


def _confusion(results: Results, cohort: Cohort) -> str:
    rules = {'any predicted pixel': cohort.predicted}
    if point := results.used_operating_point:
        rules[f'score from {point.slice:.3g}, chosen in validation'] = cohort.score >= point.slice
    truth = cohort.hemorrhage
    rows = [
        (
            escape(rule),
            *(f'{np.count_nonzero(t & c)}' for t in (truth, ~truth) for c in (called, ~called)),
        )
        for rule, called in rules.items()
    ]
    header = (
        'Slice is called positive by',
        'hemorrhage, found',
        'hemorrhage, missed',
        'none, false alarm',
        'none, left alone',
    )
    return '<h3>Confusion of slices</h3>' + table(header, rows)


def _segmentation(cohort: Cohort) -> str:
    return _charts(
        [
            (_dice_by_patient(cohort), "Authors' Dice of each patient with hemorrhage, sorted."),
            (_dice_by_size(cohort), 'Dice of each hemorrhage slice against its size.'),
            (
                _bland_altman(cohort),
                'Bland-Altman: predicted minus true volume against their mean, of each patient; '
                'mean and limits of agreement (1.96 standard deviations).',
            ),
        ]
    )


def _dice_by_patient(cohort: Cohort) -> str:
    dice = patient_dice(cohort)['authors_dice']
    known = [(p, float(d)) for p, d in zip(cohort.patients, dice) if not math.isnan(d)]
    rows = sorted(known, key=lambda row: row[1])
    ends = f' from {rows[0][1]:.2f} to {rows[-1][1]:.2f}' if rows else ''
    return bars(
        'Dice by patient',
        f'Bars of {len(rows)} patients with hemorrhage,{ends}.',
        [(patient, value, f'{patient}: Dice {value:.3f}') for patient, value in rows],
    )


def _dice_by_size(cohort: Cohort) -> str:
    records = [r for r in cohort.records if r.hemorrhage]
    sizes = [r.tp + r.fn for r in records]
    chart = Chart(
        'Dice against size',
        f'A dot for each of {len(records)} hemorrhage slices.',
        axis_for('Hemorrhage in the slice, pixels', sizes, log=True),
        Axis('Dice', 0, 1),
    )
    chart.dots([(r.tp + r.fn, r.dice, f'{r.name}: {r.dice:.2f}') for r in records], 'first')
    return chart.render()


def _bland_altman(cohort: Cohort) -> str:
    true = cohort.sums(cohort.tp + cohort.fn)
    predicted = cohort.sums(cohort.tp + cohort.fp)
    some = (true > 0) | (predicted > 0)
    mean, error = (true + predicted)[some] / 2, (predicted - true)[some]
    bias = float(error.mean()) if len(error) else math.nan
    spread = 1.96 * float(error.std(ddof=1)) if len(error) > 1 else math.nan
    limits = {'mean': bias, '+1.96 SD': bias + spread, '-1.96 SD': bias - spread}
    chart = Chart(
        'Bland-Altman of volume',
        f'{len(error)} patients; mean error {bias:.0f} pixels, limits of agreement '
        f'{bias - spread:.0f} to {bias + spread:.0f}.',
        axis_for('Mean of true and predicted volume, pixels', mean),
        axis_for('Predicted - true, pixels', [*error, *limits.values(), 0]),
    )
    for text, value in limits.items():
        kind = 'first' if text == 'mean' else 'second'
        chart.level(value, kind, f'{text} {value:.0f}')
    names = cohort.patients[some]
    chart.dots([(x, y, f'{n}: {y:+.0f} px') for x, y, n in zip(mean, error, names)], 'first')
    return chart.render()


def _examples(records: Sequence[SliceRecord], each: int = 4) -> str:
    ranked = sorted((r for r in records if r.hemorrhage), key=lambda r: r.dice)
    false_alarms = sorted((r for r in records if not r.hemorrhage and r.fp), key=lambda r: -r.fp)
    middle = max(0, (len(ranked) - each) // 2)
    groups = {
        'Worst': ranked[:each],
        'Median': ranked[middle : middle + each],
        'Best': ranked[::-1][:each],
        'Largest false alarms': false_alarms[:each],
    }
    key = (
        '<div class="key"><label><input type="checkbox" id="show-truth" checked> '
        '<svg viewBox="0 0 40 12" aria-hidden="true"><path class="truth" d="M2 6H38"/></svg> truth'
        '</label><label><input type="checkbox" id="show-prediction" checked> '
        '<svg viewBox="0 0 40 12" aria-hidden="true"><path class="prediction" d="M2 6H38"/></svg> '
        'prediction</label></div>'
        '<p class="faint">Images are shown as they are stored, of two windows the brain window.</p>'
    )
    return key + ''.join(
        f'<h3>{name}</h3>{_strip(chosen, name)}' for name, chosen in groups.items() if chosen
    )


def _patients(records: Sequence[SliceRecord]) -> str:
    side, most_points = _side(len(records)), _most_points(records)
    groups: dict[str, list[SliceRecord]] = {}
    for record in records:
        groups.setdefault(record.patient, []).append(record)
    parts = []
    for patient, group in groups.items():
        positive = [r.dice for r in group if r.hemorrhage]
        what = (
            f'hemorrhage on {len(positive)} of {len(group)} slices, Dice {np.mean(positive):.2f}'
            if positive
            else f'no hemorrhage on {len(group)} slices'
        )
        alarms = sum(1 for r in group if not r.hemorrhage and r.fp)
        what += f', {alarms} false alarms' if alarms else ''
        strip = _strip(group, f'Slices of patient {patient}', side, most_points)
        parts.append(
            f'<details id="patient-{escape(patient)}"><summary>Patient {escape(patient)}: {what}'
            f'</summary>{strip}</details>'
        )
    return '<p>Open a patient and scroll through its slices.</p>' + ''.join(parts)


def _side(num_slices: int) -> int:
    pixels = max(0, PAGE_BYTES / num_slices - SLICE_BYTES) / PIXEL_BYTES
    return int(min(SIDE, max(LEAST_SIDE, math.sqrt(pixels))))


def _most_points(records: Sequence[SliceRecord]) -> int:
    outlines = sum((r.tp + r.fn > 0) + (r.tp + r.fp > 0) for r in records)
    return int(min(MOST_POINTS, OUTLINE_BYTES / POINT_BYTES / max(1, outlines)))


def _strip(
    records: Sequence[SliceRecord], label: str, side: int = SIDE, most_points: int = MOST_POINTS
) -> str:
    figures = ''.join(slice_figure(record, side, most_points) for record in records)
    label = escape(label)
    return f'<div class="strip" tabindex="0" role="region" aria-label="{label}">{figures}</div>'


def _all_figures(figures: dict[str, Figure]) -> str:
    rows = [
        (f'<code>{name}</code>', _cell(name, figure), escape(format_cases(figure)))
        for name, figure in figures.items()
    ]
    whole = table(('Figure', 'Value [95 % interval]', 'Cases'), rows)
    return f'<details><summary>Show all {len(rows)} figures</summary>{whole}</details>'


def _origin(results: Results) -> str:
    about = dict(results.provenance)
    config = about.pop('config', None)
    rows = [(escape(key), _plain(value)) for key, value in {**about, **results.options}.items()]
    html = table(('What', 'Value'), rows)
    if config:
        html += (
            f'<details><summary>Config</summary><pre tabindex="0">{escape(config)}</pre></details>'
        )
    return html


def _origin_as_markdown(results: Results) -> str:
    about = dict(results.provenance)
    config = about.pop('config', None)
    rows = [
        f'| {key} | {_plain_text(value)} |' for key, value in {**about, **results.options}.items()
    ]
    text = '\n'.join(['| what | value |', '| --- | --- |', *rows])
    return f'{text}\n\n```python\n{config.rstrip()}\n```' if config else text


def _plain_text(value: object) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{k}: {v}' for k, v in value.items())
    if isinstance(value, list):
        return ', '.join(map(str, value)) or 'none'
    return ('unknown' if value is None else str(value)).replace('|', '\\|').replace('\n', ' ')


def _cell(name: str, figure: Figure) -> str:
    text = escape(format_with_unit(figure))
    return f'<span data-figure="{name}" data-value="{figure.value!r}">{text}</span>'


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return '<br>'.join(f'{escape(str(k))}: {escape(str(v))}' for k, v in value.items())
    if isinstance(value, list):
        return escape(', '.join(map(str, value))) or 'none'
    return escape('unknown' if value is None else str(value))


def _charts(charts: Sequence[tuple[str, str]]) -> str:
    figures = ''.join(
        f'<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>'
        for chart, caption in charts
    )
    return f'<div class="charts">{figures}</div>' if figures else ''


FORMATS: dict[str, Callable[[str | Path], str]] = {'html': build_report, 'md': build_markdown}
