"""The report of a run: one HTML file to look at, or the same figures as Markdown."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cranium.evaluation.calibration import probabilities, reliability
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.estimate import Estimate, format_cases, format_table, format_with_unit
from cranium.evaluation.pooling import pooled_calibrations
from cranium.evaluation.results import Results, find_results, read_results
from cranium.slices import slice_name
from cranium.tables import markdown_table
from cranium.visualization import charts
from cranium.visualization.charts import Chart, make_chart
from cranium.visualization.curves import draw_curves, read_curves
from cranium.visualization.overlay import CONVENTION, CSS
from cranium.visualization.page import render
from cranium.visualization.slice_picture import slice_picture

# Published results on ct-ich, what they were measured on, and our figure that is defined alike;
# `preferred` is alike in its patients as well, but only there on request.
PUBLISHED: list[Any] = list(
    pd.read_csv(
        Path(__file__).with_name('published.csv'), dtype=str, keep_default_na=False
    ).itertuples(index=False)
)

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
    'lesion/sensitivity_contrast_low': 'Lesions found, contrast below 10 HU',
    'lesion/sensitivity_contrast_medium': 'Lesions found, contrast of 10 to 20 HU',
    'lesion/sensitivity_contrast_high': 'Lesions found, contrast of 20 HU and more',
    'lesion/false_positives_per_patient': 'False lesions per patient',
    'mIoU': 'mIoU, as mmseg reports it (half of it is background)',
    'mDice': 'mDice, as mmseg reports it',
}

# Longest side of a picture in pixels. Where there are many slices, each gets as many pixels as
# keep the page well under 10 MB: a slice takes some 2.2 kB and 0.09 bytes per pixel.
SIDE, LEAST_SIDE = 256, 64
PAGE_BYTES, SLICE_BYTES, PIXEL_BYTES = 8e6, 2200, 0.09


def build_report(work_dir: Path, format: str = 'html') -> str:
    """Write the report of a run: ``html``, which loads nothing, or ``md``, without pictures.

    Raises:
        CraniumError: If there are no results, or a file that they name is not there.
    """
    results = read_results(work_dir)
    figures = results.figures
    origin = {**results.provenance, **results.options}
    context = {
        'name': (origin.get('experiment') or {}).get('name')
        or find_results(work_dir).resolve().name,
        'config': origin.pop('config', None),
        'cases': results.cases,
        'protocol': origin.get('protocol') or 'unknown',
        'warnings': results.warnings,
        'headlines': [(t, name, figures[name]) for name, t in HEADLINES.items() if name in figures],
        'published': published_beside(figures),
        'figures': figures,
        'figures_table': format_table(figures),
        'origin': {key: _in_words(value) for key, value in origin.items()},
        'table': markdown_table,
        'with_unit': format_with_unit,
        'cases_of': format_cases,
    }
    if format == 'html':
        context['curves'] = [
            make_chart(f'curves{n}', f'{c.columns.name} by iteration.', draw_curves, c)
            for n, c in enumerate(read_curves(work_dir))
        ]
        context |= _pictures(results)
    return render(f'report.{format}.jinja', **context)


def published_beside(figures: Mapping[str, Estimate]) -> list[tuple[Any, str, Estimate]]:
    """Return published rows with name and value of the figure to put each beside, where there."""
    names = [row.preferred if row.preferred in figures else row.figure for row in PUBLISHED]
    return [(row, name, figures[name]) for row, name in zip(PUBLISHED, names) if name in figures]


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ', '.join(f'{key}: {item}' for key, item in value.items())
    if isinstance(value, list | tuple):
        return ', '.join(map(str, value)) or 'none'
    return 'unknown' if value is None else str(value)


def _pictures(results: Results) -> dict[str, Any]:
    """What only a page can show of the slices."""
    slices = results.slices.assign(
        name=list(map(slice_name, results.slices['patient'], results.slices['slice'])),
        hemorrhage=results.slices['tp'] + results.slices['fn'] > 0,
        log_odds=results.slices['score'],
    )
    if by_area := slices['score'].isna().any():
        slices['score'] = slices['tp'] + slices['fp']
    return {
        'score': 'predicted area' if by_area else 'predicted log-odds of hemorrhage',
        'detection': _detection(slices, results),
        'confusion': _confusion(slices, results),
        'calibration': _calibration(results),
        'segmentation': _segmentation(slices),
        'examples': {
            group: _draw(rows, SIDE) for group, rows in _examples(slices).items() if len(rows)
        },
        'patients': [
            (patient, _outcome(rows), _draw(rows, _side(len(slices))))
            for patient, rows in slices.groupby('patient')
        ],
        'convention': CONVENTION,
        'colours': CSS,
    }


def _draw(rows: pd.DataFrame, side: int) -> list[dict[str, Any]]:
    return [slice_picture(row, side) for row in rows.to_dict('records')]


def _side(slices: int) -> int:
    pixels = max(0, PAGE_BYTES / slices - SLICE_BYTES) / PIXEL_BYTES
    return int(min(SIDE, max(LEAST_SIDE, math.sqrt(pixels))))


def _detection(slices: pd.DataFrame, results: Results) -> list[Chart]:
    cases = {'slice': slices, 'patient': slices.groupby('patient')[['hemorrhage', 'score']].max()}
    drawn = []
    for name, measure, label, draw in (
        ('ROC', 'auc', 'AUC', charts.draw_roc),
        ('Precision-recall', 'average_precision', 'AP', charts.draw_precision_recall),
    ):
        levels = {}
        for level, rows in cases.items():
            figure = results.figures.get(f'detection/{level}_{measure}')
            if figure and rows['hemorrhage'].nunique() == 2:  # else there is no curve
                levels[f'{level}s, {label} {figure.value:.3f}'] = rows
        if levels:
            drawn.append(make_chart(name, f'{name} curve: {"; ".join(levels)}.', draw, levels))
    return drawn


def _confusion(slices: pd.DataFrame, results: Results) -> list[tuple[str, list[int]]]:
    """By rule: TP, FN, FP and TN of slices."""
    rules = {'any predicted pixel': slices['tp'] + slices['fp'] > 0}
    if point := results.used_operating_point:
        rule = f'score from {point.slice:.3g}, chosen in validation'
        rules[rule] = slices['score'] >= point.slice
    true = slices['hemorrhage']
    return [
        (rule, [int((t & c).sum()) for t in (true, ~true) for c in (called, ~called)])
        for rule, called in rules.items()
    ]


def _calibration(results: Results) -> list[Chart]:
    """Reliability of the probabilities of slices and of patients, where there are any."""
    cohort = Cohort(results.slices, results.options['replicates'])
    calibrations = pooled_calibrations(cohort, results.provenance)
    predicted = {
        '': ('calibrated on other folds', probabilities(cohort, calibrations)),
        '_uncalibrated': ('score as log-odds', probabilities(cohort)),
    }
    drawn = []
    for level in ('slice', 'patient'):
        curves = {}
        for suffix, (label, of_levels) in predicted.items():
            if figure := results.figures.get(f'calibration/{level}_brier{suffix}'):
                bins = reliability(cohort, level, of_levels[level])
                curves[f'{label}, Brier {figure.value:.3f}'] = bins
                cases = f'{len(bins)} bins of {bins["cases"].min()} to {bins["cases"].max()}'
        if curves:
            name, words = f'reliability-{level}', f'Reliability: {level}s in {cases} each.'
            drawn.append(make_chart(name, words, charts.draw_reliability, curves))
    return drawn


def _segmentation(slices: pd.DataFrame) -> list[Chart]:
    bleeding = slices[slices['hemorrhage']]
    dice = bleeding.groupby('patient')['dice'].mean()
    volumes = slices.groupby('patient')[['tp', 'fp', 'fn']].sum()
    volumes = volumes[volumes.sum(axis=1) > 0]
    drawn: dict[str, tuple[str, Any, Any]] = {
        'patients': (
            f"Authors' Dice of each of {len(dice)} patients with hemorrhage, sorted.",
            charts.draw_dice_by_patient,
            dice,
        ),
        'sizes': (
            f'Dice of each of {len(bleeding)} hemorrhage slices against its size.',
            charts.draw_dice_by_size,
            bleeding,
        ),
        'agreement': (
            f'Bland-Altman: predicted minus true volume of {len(volumes)} patients against the '
            'mean of both, with mean and limits of agreement (1.96 standard deviations).',
            charts.draw_agreement,
            volumes,
        ),
    }
    return [make_chart(name, *parts) for name, parts in drawn.items() if len(parts[-1])]


def _examples(slices: pd.DataFrame, each: int = 4) -> dict[str, pd.DataFrame]:
    ranked = slices[slices['hemorrhage']].sort_values('dice', kind='stable')
    false = slices[~slices['hemorrhage'] & (slices['fp'] > 0)]
    middle = max(0, (len(ranked) - each) // 2)
    return {
        'Worst': ranked[:each],
        'Median': ranked[middle : middle + each],
        'Best': ranked[::-1][:each],
        'Largest false alarms': false.sort_values('fp', ascending=False, kind='stable')[:each],
    }


def _outcome(slices: pd.DataFrame) -> str:
    bleeding = slices[slices['hemorrhage']]
    text = f'no hemorrhage on {len(slices)} slices'
    if len(bleeding):
        found = f'hemorrhage on {len(bleeding)} of {len(slices)} slices'
        text = f'{found}, Dice {bleeding["dice"].mean():.2f}'
    alarms = int((~slices['hemorrhage'] & (slices['fp'] > 0)).sum())
    return text + (f', {alarms} false alarms' if alarms else '')
