"""The figures of a run: each an estimate under a name ``level/measure``.

What each of them is, and which one to quote for what, is in ``docs/evaluation.md``.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cranium.errors import CraniumError
from cranium.evaluation import measures, statistics
from cranium.evaluation.calibration import (
    Calibrations,
    pixel_calibration_figures,
    score_calibration_figures,
)
from cranium.evaluation.cohort import Cohort, FloatArray
from cranium.evaluation.estimate import Estimate
from cranium.evaluation.records import UNKNOWN
from cranium.slices import HEMORRHAGE_TYPES, join_types, split_types

# In pixels; terciles of the 325 lesions in the masks of 66 ct-ich patients are 622 and 1922.
LESION_SIZES_PX = [500, 2000]
SIZES = ('small', 'medium', 'large')
# In HU, to what is around a bleed.
CONTRASTS_HU = [10, 20]
CONTRASTS = ('low', 'medium', 'high')

Figures = dict[str, Estimate]
_AVERAGES = {'mean': statistics.weighted_mean, 'median': statistics.weighted_median}


@dataclass(frozen=True)
class OperatingPoint:
    """Scores from which on a slice or a patient is called positive.

    Attributes:
        slice (float): Threshold for the score of a slice.
        patient (float): Threshold for the score of a patient, that of the highest slice.
        score (str): What the score is, see :class:`Cohort`.
        score_smoothing (float): How it was smoothed along the scan, in slices.
        patients (tuple): Patients it was chosen on.
    """

    slice: float
    patient: float
    score: str
    score_smoothing: float
    patients: tuple[str, ...]


def choose_operating_point(cohort: Cohort, score_smoothing: float = 0.0) -> OperatingPoint:
    """Choose Youden's thresholds on a cohort, for other patients; nan where they are undefined."""
    return OperatingPoint(
        measures.youden_threshold(cohort.hemorrhage, cohort.score),
        measures.youden_threshold(cohort.patient_hemorrhage, cohort.patient_score),
        cohort.score_kind,
        score_smoothing,
        tuple(cohort.patients.tolist()),
    )


def thresholds(
    points: OperatingPoint | Mapping[str, OperatingPoint], level: str, patients: Iterable[str]
) -> FloatArray:
    """The threshold at which each of some patients, or a slice of theirs, is called positive.

    Args:
        points (OperatingPoint | mapping): One for all, or one for each patient.
        level (str): ``slice`` or ``patient``.
        patients (iterable): The patients.
    """
    one_each = ((points if isinstance(points, OperatingPoint) else points[p]) for p in patients)
    return np.array([getattr(point, level) for point in one_each], float)


def check_operating_point(point: OperatingPoint, cohort: Cohort, score_smoothing: float) -> None:
    """Refuse thresholds that are undefined, of other scores, or chosen on a tested patient."""
    shared = sorted(set(point.patients) & set(cohort.patients.tolist()))
    problems = {
        'is undefined: among the patients that it was to be chosen on, all or none have '
        'hemorrhage, or some have no score; choose it on others': (
            math.isnan(point.slice) or math.isnan(point.patient)
        ),
        f'is for {point.score} with score_smoothing={point.score_smoothing:g}, but here scores are '
        f'{cohort.score_kind} with {score_smoothing:g}; use the same': (
            (point.score, point.score_smoothing) != (cohort.score_kind, score_smoothing)
        ),
        f'was chosen on patients that are tested here ({", ".join(shared[:5])}); choose it on '
        'validation patients only': shared,
    }
    for problem, holds in problems.items():
        if holds:
            raise CraniumError(f'the operating point {problem}')


def summarize(
    cohort: Cohort,
    leave_out: Collection[str] = (),
    operating_point: OperatingPoint | Mapping[str, OperatingPoint] | None = None,
    calibrations: Calibrations | None = None,
) -> tuple[Figures, list[str]]:
    """Compute every figure of a run, and warn of what could not be computed.

    A defect in one group of figures must cost neither the others nor a training.
    """
    groups: dict[str, Callable[[], Figures]] = {
        'pixels': lambda: pixel_figures(cohort),
        'slices': lambda: slice_figures(cohort),
        'patients': lambda: patient_figures(cohort, leave_out),
        'detection': lambda: detection_figures(cohort, operating_point),
        'lesions': lambda: lesion_figures(cohort),
        'contrasts': lambda: contrast_figures(cohort),
        'types': lambda: type_figures(cohort),
        'calibration of pixels': lambda: pixel_calibration_figures(cohort),
        'calibration of scores': lambda: score_calibration_figures(cohort, calibrations),
    }
    figures: Figures = {}
    warnings = []
    for name, compute in groups.items():
        try:
            figures |= compute()
        except Exception as error:
            logging.getLogger(__name__).exception('figures of %s', name)
            warnings.append(f'The figures of {name} could not be computed ({error!r}).')
    return figures, warnings


def pixel_figures(cohort: Cohort) -> Figures:
    """Figures of all pixels of the data set taken together, as mmseg's IoUMetric gives them."""
    tp, fp, fn, tn = map(cohort.sums, (cohort.tp, cohort.fp, cohort.fn, cohort.tn))
    num_slices = len(cohort.slices)
    figures: Figures = {}
    draws: dict[str, dict[str, FloatArray]] = {
        'aAcc': {'': statistics.weighted_ratio(cohort.weights, tp + tn, tp + fp + fn + tn)},
        **{mean: {} for mean in ('mIoU', 'mAcc', 'mDice')},
    }
    for name, hit, false, missed in (('background', tn, fn, fp), ('hemorrhage', tp, fp, fn)):
        for mean, top, bottom in (
            ('mIoU', hit, hit + false + missed),
            ('mDice', 2 * hit, 2 * hit + false + missed),
            ('mAcc', hit, hit + missed),
        ):
            key = f'pixel/{mean[1:].lower()}_{name}'
            figures[key] = cohort.ratio(top, bottom, num_slices, 'slices')
            draws[mean][name] = statistics.weighted_ratio(cohort.weights, top, bottom)
    figures['pixel/precision_hemorrhage'] = cohort.ratio(tp, tp + fp, num_slices, 'slices')
    for name, of_classes in draws.items():
        # Like mmseg, over the classes that are in the truth or in the prediction.
        percent = 100 * pd.DataFrame(of_classes).mean(axis='columns').to_numpy()
        figures[name] = cohort.estimate(percent, num_slices, 'slices', '%')
    return figures


def slice_figures(cohort: Cohort) -> Figures:
    """Mean and median over the slices that hold hemorrhage, and the specificity of the others."""
    bleeding = cohort.hemorrhage
    figures: Figures = {}
    for name in ('dice', 'iou', 'sensitivity', 'precision', 'assd', 'hd95', 'nsd'):
        unit = cohort.unit if name in ('assd', 'hd95') else ''
        values = cohort.slices[name].to_numpy(float)[bleeding]
        left_out = {'no hemorrhage': (~bleeding).sum(), 'nothing predicted': np.isnan(values).sum()}
        for kind, average in _AVERAGES.items():
            figures[f'slice/{name}_{kind}'] = cohort.mean(
                values, cohort.owner[bleeding], 'slices', unit, left_out, average
            )
    specificity = cohort.slices['specificity'].to_numpy(float)[~bleeding]
    figures['slice/specificity_mean'] = cohort.mean(
        specificity, cohort.owner[~bleeding], 'slices', '', {'hemorrhage': bleeding.sum()}
    )
    return figures


def patient_figures(cohort: Cohort, leave_out: Collection[str] = ()) -> Figures:
    """Figures that give each patient the same weight."""
    bleeding = cohort.patient_hemorrhage
    mean = partial(cohort.mean, owner=np.arange(len(cohort.patients)), of='patients')
    healthy = {'no hemorrhage': (~bleeding).sum()}
    dice = cohort.patient_dice()
    authors = dice['authors_dice']
    figures = {'patient/authors_dice': mean(authors, left_out=healthy)}
    if dropped := sorted(set(leave_out) & set(cohort.patients[bleeding].tolist())):
        figures[f'patient/authors_dice_without_{"_".join(dropped)}'] = mean(
            np.where(np.isin(cohort.patients, dropped), np.nan, authors),
            left_out={**healthy, 'left out on request': len(dropped)},
        )
    for kind, average in _AVERAGES.items():
        figures[f'patient/volume_dice_{kind}'] = mean(
            dice['volume_dice'], left_out=healthy, statistic=average
        )
    error = cohort.fp - cohort.fn
    volumes = {
        ('', 'px'): error,
        ('_ml', 'ml'): error * cohort.slices['pixel_volume'].to_numpy(float),
    }
    for (suffix, unit), of_slices in volumes.items():
        errors = cohort.sums(of_slices)
        if not np.isnan(errors).all():
            left_out = {'volume of a pixel unknown': np.isnan(errors).sum()}
            for name, values in (('', errors), ('_absolute', abs(errors))):
                key = f'patient/volume_error{name}{suffix}'
                figures[key] = mean(values, unit=unit, left_out=left_out)
    return figures


def detection_figures(
    cohort: Cohort, operating_point: OperatingPoint | Mapping[str, OperatingPoint] | None = None
) -> Figures:
    """How well slices and patients with hemorrhage are told from those without."""
    slices = (cohort.hemorrhage, cohort.score, cohort.predicted, cohort.owner)
    masked_patients, each = cohort.sums(cohort.predicted) > 0, np.arange(len(cohort.patients))
    patients = (cohort.patient_hemorrhage, cohort.patient_score, masked_patients, each)
    figures: Figures = {}
    for level, (truth, score, masked, owner) in {'slice': slices, 'patient': patients}.items():
        of, unscored = f'{level}s', np.isnan(score)
        missing = {'without a score, so undefined': unscored.sum()}
        areas = {
            'auc': statistics.weighted_auc,
            'average_precision': statistics.weighted_average_precision,
        }
        for name, area in areas.items():
            draws = area(cohort.weights, truth, np.nan_to_num(score), owner)
            draws[:] = np.where(unscored.any(), np.nan, draws)
            figures[f'detection/{level}_{name}'] = cohort.estimate(
                draws, len(truth) - unscored.sum(), of, left_out=missing
            )
        rules = {'_mask': masked.astype(float)}
        if operating_point:
            reached = score >= thresholds(operating_point, level, cohort.patients[owner])
            rules[''] = np.where(unscored.any(), np.nan, reached)
        for suffix, called in rules.items():
            hits = {'sensitivity': (truth, called), 'specificity': (~truth, 1 - called)}
            for name, (group, hit) in hits.items():
                figures[f'detection/{level}_{name}{suffix}'] = cohort.mean(
                    hit[group], owner[group], of, left_out={} if suffix else missing
                )
    return figures


def lesion_figures(cohort: Cohort) -> Figures:
    """How many lesions were found, and how many false ones, in all and by size."""
    true_sizes, found, true_slices = cohort.lesions('true_lesions')
    sizes, right, of_slice = cohort.lesions('predicted_lesions')
    true_owner, owner = cohort.owner[true_slices], cohort.owner[of_slice]
    num_slices, num_patients = len(cohort.slices), len(cohort.patients)
    slices_of_each = cohort.sums(np.ones(num_slices))
    figures: Figures = {}
    for level, size in enumerate(('', *SIZES), -1):
        suffix = size and f'_{size}'
        true = (np.digitize(true_sizes, LESION_SIZES_PX) == level) | (size == '')
        some = (np.digitize(sizes, LESION_SIZES_PX) == level) | (size == '')
        wrong = statistics.patient_sums(1 - right[some], owner[some], num_patients)
        figures |= {
            f'lesion/sensitivity{suffix}': cohort.mean(found[true], true_owner[true], 'lesions'),
            f'lesion/precision{suffix}': cohort.mean(right[some], owner[some], 'lesions'),
            f'lesion/false_positives_per_slice{suffix}': cohort.ratio(
                wrong, slices_of_each, num_slices, 'slices'
            ),
            f'lesion/false_positives_per_patient{suffix}': cohort.ratio(
                wrong, np.ones(num_patients), num_patients, 'patients'
            ),
        }
    return figures


def contrast_figures(cohort: Cohort) -> Figures:
    """Lesions found, and Dice, by the contrast of a bleed; none where no contrast is known."""
    sizes, found, of_slice = cohort.lesions('true_lesions')
    counts = np.bincount(of_slice, minlength=len(cohort.slices))
    cells = [cell.split() for cell in cohort.slices['true_contrasts']]
    contrasts = np.array(
        [c for cell, count in zip(cells, counts) for c in cell or ['nan'] * count], float
    )
    if np.isnan(contrasts).all():
        return {}
    # The contrast of a slice is that of its largest lesion: the last that is written.
    largest_last = np.argsort(sizes, kind='stable')
    slice_contrasts = np.full(len(cells), np.nan)
    slice_contrasts[of_slice[largest_last]] = contrasts[largest_last]
    dice, bleeding = cohort.slices['dice'].to_numpy(float), cohort.hemorrhage
    figures: Figures = {}
    for figure, (values, contrast, owner, of) in {
        'lesion/sensitivity': (found, contrasts, cohort.owner[of_slice], 'lesions'),
        'slice/dice_mean': (
            dice[bleeding],
            slice_contrasts[bleeding],
            cohort.owner[bleeding],
            'slices',
        ),
    }.items():
        left_out = {'of unknown contrast': np.isnan(contrast).sum()}
        for level, name in enumerate(CONTRASTS):
            here = (np.digitize(contrast, CONTRASTS_HU) == level) & ~np.isnan(contrast)
            figures[f'{figure}_contrast_{name}'] = cohort.mean(
                values[here], owner[here], of, left_out=left_out
            )
    return figures


def type_figures(cohort: Cohort) -> Figures:
    """Figures by hemorrhage type of the diagnosis; none where no slice's types are known."""
    unknown = (cohort.slices['types'] == UNKNOWN).to_numpy(bool)
    if unknown.all():
        return {}
    left_out = {'not in the diagnosis': (unknown & cohort.hemorrhage).sum()}
    types = [split_types(cell) for cell in cohort.slices['types']]
    dice = cohort.slices['dice'].to_numpy(float)
    figures: Figures = {}
    for kind in HEMORRHAGE_TYPES:
        shown = cohort.hemorrhage & np.array([kind in of_slice for of_slice in types])
        found, true = cohort.sums(cohort.tp * shown), cohort.sums((cohort.tp + cohort.fn) * shown)
        figures[f'type/{kind.lower()}_dice_mean'] = cohort.mean(
            dice[shown], cohort.owner[shown], 'slices', '', left_out
        )
        figures[f'type/{kind.lower()}_sensitivity'] = cohort.ratio(
            found, true, shown.sum(), 'slices', left_out
        )
    return figures


def patient_table(cohort: Cohort) -> pd.DataFrame:
    """What ``patients.csv`` holds: one row per patient, as long as ``cohort.patients``."""
    slices = cohort.slices
    tp, fp, fn = slices['tp'], slices['fp'], slices['fn']
    sums = pd.DataFrame(
        {
            'slices': 1,
            'hemorrhage_slices': tp + fn > 0,
            **{name: slices[name] for name in ('tp', 'fp', 'fn', 'tn')},
            'true_px': tp + fn,
            'predicted_px': tp + fp,
            'volume_error_px': fp - fn,
            'true_lesions': slices['true_lesions'].str.count(':'),
            'found_lesions': slices['true_lesions'].str.count(':1'),
            'false_lesions': slices['predicted_lesions'].str.count(':0'),
        }
    )
    shown = slices['types'].groupby(cohort.owner).agg('+'.join).map(split_types)
    types = [join_types(k for k in HEMORRHAGE_TYPES if k in kinds) for kinds in shown]
    about = pd.DataFrame({'patient': cohort.patients, 'types': types})
    return pd.concat([about, sums.groupby(cohort.owner).sum()], axis='columns').assign(
        **cohort.patient_dice(),
        score=cohort.patient_score,
        volume_error_ml=cohort.sums((fp - fn) * slices['pixel_volume']),
    )
