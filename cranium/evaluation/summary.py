"""The figures of a run, from the records of its slices.

Each figure has a name ``level/measure``, a value, a 95 % interval from drawing patients, the
number of cases it was computed on, and the number of cases left out with the reason.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from cranium.evaluation import measures, statistics
from cranium.evaluation.records import HEMORRHAGE_TYPES, SliceRecord, check_unique

# Terciles of the 325 lesions in the masks of 66 ct-ich patients are 622 and 1922 pixels.
LESION_SIZES = {'small': (0, 500), 'medium': (500, 2000), 'large': (2000, math.inf)}

FloatArray = statistics.FloatArray


@dataclass(frozen=True)
class Figure:
    """One figure of a run.

    Attributes:
        value (float): The figure; nan where undefined.
        low (float): Lower end of the 95 % interval; nan where undefined.
        high (float): Upper end.
        cases (int): Cases it was computed on.
        of (str): What a case is: slices, patients or lesions.
        unit (str): ``'%'``, ``'px'``, ``'mm'``, ``'ml'``, or empty for a plain number.
        left_out (dict): Number of cases left out by reason.
    """

    value: float
    low: float
    high: float
    cases: int
    of: str
    unit: str = ''
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class OperatingPoint:
    """Scores from which on a slice or a patient is called positive.

    Attributes:
        slice (float): Threshold for the score of a slice.
        patient (float): Threshold for the score of a patient, that of the highest slice.
        score (str): What the score is, see :attr:`Cohort.score_kind`.
        patients (tuple): Patients it was chosen on.
    """

    slice: float
    patient: float
    score: str
    patients: tuple[str, ...]


class Cohort:
    """The records of a run as arrays, ordered by patient and slice.

    Args:
        records (sequence): Records, of each slice one; those without a pixel that counts are
            left out, since they are neither with nor without hemorrhage.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.
        seed (int): Seed of the draws. Defaults to 0.

    Raises:
        ValueError: If no pixel of any record counts, a slice is there twice, or some records have
            a spacing and others do not. That some have probabilities and others do not is raised
            by :attr:`score`.
    """

    def __init__(
        self, records: Sequence[SliceRecord], replicates: int = 10_000, seed: int = 0
    ) -> None:
        if not records:
            raise ValueError('no slices were measured; is the data set empty?')
        check_unique(records)
        counted = [r for r in records if r.tp + r.fp + r.fn + r.tn]
        if not counted:
            raise ValueError('no pixel of any slice counts; are all true masks 255 throughout?')
        self.ignored = len(records) - len(counted)
        # The order makes sums, and so the last digit, the same for any number of processes.
        self.records = sorted(counted, key=lambda r: (r.patient, r.slice))
        self.patients, self.owner = np.unique(
            [r.patient for r in self.records], return_inverse=True
        )
        self.weights = statistics.patient_weights(len(self.patients), replicates, seed)
        self.tp, self.fp, self.fn, self.tn = (
            np.array([getattr(r, name) for r in self.records], float)
            for name in ('tp', 'fp', 'fn', 'tn')
        )
        self.hemorrhage = self.tp + self.fn > 0
        self.predicted = self.tp + self.fp > 0
        units = {r.unit for r in self.records}
        if len(units) > 1:
            raise ValueError('some slices have a known pixel spacing and others do not')
        (self.unit,) = units

    @property
    def score_kind(self) -> str:
        """``'log-odds'``, or ``'area'`` (predicted pixels) where there are no log-odds."""
        return 'area' if np.isnan([r.score for r in self.records]).any() else 'log-odds'

    @cached_property
    def score(self) -> FloatArray:
        """Of each slice: how likely it holds hemorrhage."""
        scores = np.array([r.score for r in self.records])
        missing = np.isnan(scores)
        if missing.any() and not missing.all():
            name = self.records[int(np.argmax(missing))].name
            raise ValueError(f'{name} has no log-odds of hemorrhage, but other slices have')
        return self.tp + self.fp if missing.all() else scores

    @cached_property
    def patient_hemorrhage(self) -> NDArray[np.bool_]:
        """Of each patient: whether any slice holds hemorrhage."""
        return self.sums(self.hemorrhage) > 0

    @cached_property
    def patient_score(self) -> FloatArray:
        """Of each patient: the highest score of a slice."""
        scores = np.full(len(self.patients), -np.inf)
        np.maximum.at(scores, self.owner, self.score)
        return scores

    def sums(self, values: NDArray) -> FloatArray:
        """Add up what slices have, by patient."""
        return statistics.patient_sums(values, self.owner, len(self.patients))

    def figure(
        self,
        draws: FloatArray,
        cases: int,
        of: str,
        unit: str = '',
        left_out: Mapping[str, int] | None = None,
    ) -> Figure:
        """Make a figure of a statistic's draws, the first of which is its value."""
        enough = len(self.patients) > 1  # one patient can only be drawn as it is
        low, high = statistics.interval(draws[1:]) if enough else (math.nan, math.nan)
        reasons = {reason: int(n) for reason, n in (left_out or {}).items() if n}
        return Figure(float(draws[0]), low, high, int(cases), of, unit, reasons)


def summarize(
    cohort: Cohort,
    leave_out: Collection[str] = (),
    operating_point: OperatingPoint | None = None,
) -> dict[str, Figure]:
    """Compute every figure of a run.

    Args:
        cohort (Cohort): The measured slices.
        leave_out (collection): Patients that the authors' Dice is also given without, such as
            ``('070',)``. Defaults to none.
        operating_point (OperatingPoint, optional): Thresholds chosen on other patients; without
            it there is no sensitivity and specificity of the scores.

    Returns:
        dict[str, Figure]: Figures by name.

    Raises:
        ValueError: If the thresholds were chosen on a patient of this cohort, or for scores of
            another kind.
    """
    return {
        **pixel_figures(cohort),
        **slice_figures(cohort),
        **patient_figures(cohort, leave_out),
        **detection_figures(cohort, operating_point),
        **lesion_figures(cohort),
        **type_figures(cohort),
        **calibration_figures(cohort),
    }


def pixel_figures(cohort: Cohort) -> dict[str, Figure]:
    """Figures of all pixels of the data set taken together, as mmseg's IoUMetric gives them.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, Figure]: ``pixel/{iou,dice,acc}_{background,hemorrhage}`` and
        ``pixel/precision_hemorrhage`` from 0 to 1 (``acc`` of the background is the specificity),
        and IoUMetric's own ``aAcc``, ``mIoU``, ``mAcc``, ``mDice`` in percent (not rounded).
        Of a class in neither truth nor prediction, figures are nan and stay out of the means, as
        in IoUMetric.
    """
    tp, fp, fn, tn = (
        cohort.weights @ cohort.sums(counts)
        for counts in (cohort.tp, cohort.fp, cohort.fn, cohort.tn)
    )
    classes = {'background': (tn, fn, fp), 'hemorrhage': (tp, fp, fn)}
    make = partial(cohort.figure, cases=len(cohort.records), of='slices')
    figures, by_measure = {}, {'iou': [], 'dice': [], 'acc': []}
    for name, (tp_, fp_, fn_) in classes.items():
        draws = {
            'iou': measures.iou(tp_, fp_, fn_),
            'dice': measures.dice(tp_, fp_, fn_),
            'acc': measures.sensitivity(tp_, fn_),
        }
        for measure, values in draws.items():
            figures[f'pixel/{measure}_{name}'] = make(values)
            by_measure[measure].append(values)
    figures['pixel/precision_hemorrhage'] = make(measures.precision(tp, fp))
    figures['aAcc'] = make(100 * measures.sensitivity(tp + tn, fp + fn), unit='%')
    for key, measure in {'mIoU': 'iou', 'mAcc': 'acc', 'mDice': 'dice'}.items():
        figures[key] = make(100 * _mean_of_defined(by_measure[measure]), unit='%')
    return figures


def slice_figures(cohort: Cohort) -> dict[str, Figure]:
    """Mean and median over the slices that hold hemorrhage.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, Figure]: ``slice/{dice,iou,precision,sensitivity,assd,hd95,nsd}_{mean,median}``,
        and ``slice/specificity_mean`` over the slices without hemorrhage.
    """
    positive = cohort.hemorrhage
    owner = cohort.owner[positive]
    records = [r for r in cohort.records if r.hemorrhage]
    tp, fp, fn = (counts[positive] for counts in (cohort.tp, cohort.fp, cohort.fn))
    values = {
        'dice': (measures.dice(tp, fp, fn), ''),
        'iou': (measures.iou(tp, fp, fn), ''),
        'sensitivity': (measures.sensitivity(tp, fn), ''),
        'precision': (measures.precision(tp, fp), ''),
        'assd': (np.array([r.assd for r in records]), cohort.unit),
        'hd95': (np.array([r.hd95 for r in records]), cohort.unit),
        'nsd': (np.array([r.nsd for r in records]), ''),
    }
    figures = {}
    for name, (of_slices, unit) in values.items():
        undefined = np.count_nonzero(np.isnan(of_slices))
        for statistic, function in (
            ('mean', statistics.weighted_mean),
            ('median', statistics.weighted_median),
        ):
            figures[f'slice/{name}_{statistic}'] = cohort.figure(
                function(cohort.weights, of_slices, owner),
                len(of_slices) - undefined,
                'slices',
                unit,
                {'no hemorrhage': np.count_nonzero(~positive), 'nothing predicted': undefined},
            )
    specificity = measures.specificity(cohort.tn, cohort.fp)[~positive]
    figures['slice/specificity_mean'] = cohort.figure(
        statistics.weighted_mean(cohort.weights, specificity, cohort.owner[~positive]),
        np.count_nonzero(~np.isnan(specificity)),
        'slices',
        '',
        {'hemorrhage': np.count_nonzero(positive), 'all ignored': np.isnan(specificity).sum()},
    )
    return figures


def patient_figures(cohort: Cohort, leave_out: Collection[str] = ()) -> dict[str, Figure]:
    """Figures that give each patient the same weight.

    Args:
        cohort (Cohort): The measured slices.
        leave_out (collection): See :func:`summarize`.

    Returns:
        dict[str, Figure]: ``patient/authors_dice`` (mean over a patient's hemorrhage slices, then
        over patients: Hssayeni et al., Data 5(1):14, 2020, doi:10.3390/data5010014), the same
        ``_without_<patients>``, ``patient/volume_dice_{mean,median}`` (all pixels of a patient
        taken together), and of the volume the mean error (bias), the mean absolute error, and the
        mean of both in ml where the spacing is known.
    """
    positive = cohort.patient_hemorrhage
    indices = np.arange(len(cohort.patients))
    authors, volume_dice = patient_dice(cohort).values()
    fp, fn = cohort.sums(cohort.fp), cohort.sums(cohort.fn)
    reasons = {'no hemorrhage': np.count_nonzero(~positive)}

    def over_patients(
        values: FloatArray, function: Callable = statistics.weighted_mean, unit: str = '', **extra
    ) -> Figure:
        defined = np.count_nonzero(~np.isnan(values))
        draws = function(cohort.weights, values, indices)
        return cohort.figure(draws, defined, 'patients', unit, extra.get('left_out', reasons))

    figures = {'patient/authors_dice': over_patients(authors)}
    if dropped := sorted(set(leave_out) & set(cohort.patients[positive].tolist())):
        without = np.where(np.isin(cohort.patients, dropped), np.nan, authors)
        figures[f'patient/authors_dice_without_{"_".join(dropped)}'] = over_patients(
            without, left_out={**reasons, 'left out on request': len(dropped)}
        )
    figures['patient/volume_dice_mean'] = over_patients(volume_dice)
    figures['patient/volume_dice_median'] = over_patients(volume_dice, statistics.weighted_median)
    error = measures.volume_error(fp, fn)
    figures['patient/volume_error'] = over_patients(error, unit='px', left_out={})
    figures['patient/volume_error_absolute'] = over_patients(abs(error), unit='px', left_out={})
    volume = np.array([r.pixel_volume for r in cohort.records])
    if not np.isnan(volume).all():
        error = cohort.sums(measures.volume_error(cohort.fp, cohort.fn, volume))
        unknown = {'volume of a pixel unknown': np.isnan(error).sum()}
        figures['patient/volume_error_ml'] = over_patients(error, unit='ml', left_out=unknown)
        figures['patient/volume_error_absolute_ml'] = over_patients(
            abs(error), unit='ml', left_out=unknown
        )
    return figures


def patient_dice(cohort: Cohort) -> dict[str, FloatArray]:
    """Dice of each patient.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, ndarray]: ``authors_dice`` (mean over the hemorrhage slices) and ``volume_dice``
        (all pixels taken together), float64 of shape (P,); nan for patients without hemorrhage.
    """
    positive = cohort.patient_hemorrhage
    slice_dice = np.where(cohort.hemorrhage, measures.dice(cohort.tp, cohort.fp, cohort.fn), 0)
    with np.errstate(invalid='ignore'):
        authors = cohort.sums(slice_dice) / cohort.sums(cohort.hemorrhage)
    tp, fp, fn = (cohort.sums(counts) for counts in (cohort.tp, cohort.fp, cohort.fn))
    volume = np.where(positive, measures.dice(tp, fp, fn), np.nan)
    return {'authors_dice': authors, 'volume_dice': volume}


def detection_figures(
    cohort: Cohort, operating_point: OperatingPoint | None = None
) -> dict[str, Figure]:
    """How well slices and patients with hemorrhage are told from those without.

    Args:
        cohort (Cohort): The measured slices.
        operating_point (OperatingPoint, optional): See :func:`summarize`.

    Returns:
        dict[str, Figure]: ``detection/{slice,patient}_{auc,average_precision}`` of the scores;
        ``..._{sensitivity,specificity}_mask``, positive being what has any predicted pixel; and
        with an operating point ``..._{sensitivity,specificity}``, positive being what reaches it.

    Raises:
        ValueError: If the operating point is undefined, was chosen on one of the patients, or for
            scores of another kind.
    """
    if operating_point:
        _check_operating_point(operating_point, cohort)
    levels = {
        'slice': (cohort.hemorrhage, cohort.score, cohort.predicted, cohort.owner),
        'patient': (
            cohort.patient_hemorrhage,
            cohort.patient_score,
            cohort.sums(cohort.predicted) > 0,
            np.arange(len(cohort.patients)),
        ),
    }
    figures = {}
    for level, (truth, score, masked, owner) in levels.items():
        make = partial(cohort.figure, of='patients' if level == 'patient' else 'slices')
        for name, function in (
            ('auc', statistics.weighted_auc),
            ('average_precision', statistics.weighted_average_precision),
        ):
            draws = function(cohort.weights, truth, score, owner)
            figures[f'detection/{level}_{name}'] = make(draws, len(truth))
        rules = {'_mask': masked}
        if operating_point:
            rules[''] = score >= getattr(operating_point, level)
        for suffix, called in rules.items():
            for name, group, hit in (
                ('sensitivity', truth, called),
                ('specificity', ~truth, ~called),
            ):
                draws = statistics.weighted_mean(
                    cohort.weights, hit[group].astype(float), owner[group]
                )
                figures[f'detection/{level}_{name}{suffix}'] = make(draws, group.sum())
    return figures


def choose_operating_point(cohort: Cohort) -> OperatingPoint:
    """Choose thresholds on this cohort, for use on other patients.

    Args:
        cohort (Cohort): The measured slices of the validation patients.

    Returns:
        OperatingPoint: Youden's thresholds; nan where a class is missing.
    """
    return OperatingPoint(
        measures.youden_threshold(cohort.hemorrhage, cohort.score),
        measures.youden_threshold(cohort.patient_hemorrhage, cohort.patient_score),
        cohort.score_kind,
        tuple(cohort.patients.tolist()),
    )


def lesion_figures(cohort: Cohort) -> dict[str, Figure]:
    """How many lesions were found, and how many false ones, in all and by size.

    A lesion is a connected component within a slice.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, Figure]: ``lesion/sensitivity``, ``lesion/precision``,
        ``lesion/false_positives_per_{slice,patient}`` over all slices and patients, and each
        ``_{small,medium,large}`` by :data:`LESION_SIZES`, in pixels of the true lesion for the
        sensitivity and of the predicted one for the others.
    """
    num_slices = cohort.sums(np.ones(len(cohort.records)))
    ratio = partial(statistics.weighted_ratio, cohort.weights)
    figures = {}
    sizes = {'': (0, math.inf), **{f'_{name}': size for name, size in LESION_SIZES.items()}}
    for suffix, (low, high) in sizes.items():
        true, found = _count_lesions(cohort, 'true_lesions', low, high)
        predicted, right = _count_lesions(cohort, 'predicted_lesions', low, high)
        wrong = predicted - right
        figures[f'lesion/sensitivity{suffix}'] = cohort.figure(
            ratio(found, true), true.sum(), 'lesions'
        )
        figures[f'lesion/precision{suffix}'] = cohort.figure(
            ratio(right, predicted), predicted.sum(), 'lesions'
        )
        figures[f'lesion/false_positives_per_slice{suffix}'] = cohort.figure(
            ratio(wrong, num_slices), len(cohort.records), 'slices'
        )
        figures[f'lesion/false_positives_per_patient{suffix}'] = cohort.figure(
            ratio(wrong, np.ones_like(wrong)), len(wrong), 'patients'
        )
    return figures


def type_figures(cohort: Cohort) -> dict[str, Figure]:
    """Figures by hemorrhage type of the diagnosis.

    A slice may show several types and its mask does not tell which is where; it counts for each.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, Figure]: Of each type ``type/<type>_dice_mean`` over its hemorrhage slices, and
        ``type/<type>_sensitivity`` of their pixels taken together; empty where no slice's types
        are known.
    """
    unknown = np.array([r.types is None for r in cohort.records])
    if unknown.all():
        return {}
    figures = {}
    values = measures.dice(cohort.tp, cohort.fp, cohort.fn)
    for kind in HEMORRHAGE_TYPES:
        shown = cohort.hemorrhage & [kind in (r.types or ()) for r in cohort.records]
        left_out = {'not in the diagnosis': np.count_nonzero(unknown & cohort.hemorrhage)}
        make = partial(cohort.figure, cases=shown.sum(), of='slices', left_out=left_out)
        name = f'type/{kind.lower()}'
        figures[f'{name}_dice_mean'] = make(
            statistics.weighted_mean(cohort.weights, values[shown], cohort.owner[shown])
        )
        figures[f'{name}_sensitivity'] = make(
            statistics.weighted_ratio(
                cohort.weights,
                cohort.sums(cohort.tp * shown),
                cohort.sums((cohort.tp + cohort.fn) * shown),
            )
        )
    return figures


def calibration_figures(cohort: Cohort) -> dict[str, Figure]:
    """Expected calibration error of the probabilities, over all pixels taken together.

    Args:
        cohort (Cohort): The measured slices.

    Returns:
        dict[str, Figure]: ``calibration/expected_error``; empty without probabilities.
    """
    if not all(r.calibration_gaps for r in cohort.records):
        return {}
    gaps = np.array([r.calibration_gaps for r in cohort.records])
    pixels = cohort.tp + cohort.fp + cohort.fn + cohort.tn
    gaps_by_patient = np.stack([cohort.sums(column) for column in gaps.T], axis=1)
    draws = measures.expected_calibration_error(
        cohort.weights @ gaps_by_patient, cohort.weights @ cohort.sums(pixels)
    )
    return {'calibration/expected_error': cohort.figure(draws, len(cohort.records), 'slices')}


def _mean_of_defined(values: Sequence[FloatArray]) -> FloatArray:
    """``np.nanmean`` over classes, without its warning where all are nan."""
    stacked = np.stack(values)
    defined = ~np.isnan(stacked)
    count = defined.sum(axis=0)
    total = np.where(defined, stacked, 0).sum(axis=0)
    return np.where(count == 0, np.nan, total / np.maximum(count, 1))


def _count_lesions(
    cohort: Cohort, which: str, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """By patient, the lesions of a size and those of them that are matched."""
    lesions = [[m for size, m in getattr(r, which) if low <= size < high] for r in cohort.records]
    return cohort.sums([len(matched) for matched in lesions]), cohort.sums(
        [sum(matched) for matched in lesions]
    )


def _check_operating_point(operating_point: OperatingPoint, cohort: Cohort) -> None:
    if math.isnan(operating_point.slice) or math.isnan(operating_point.patient):
        raise ValueError(
            'the operating point is undefined: among the patients that it was to be chosen on, all '
            'or none have hemorrhage; choose it on others'
        )
    if operating_point.score != cohort.score_kind:
        raise ValueError(
            f'the operating point is a threshold for the {operating_point.score}, but the slices '
            f'are scored by {cohort.score_kind}; choose it on scores of the same kind'
        )
    if shared := sorted(set(operating_point.patients) & set(cohort.patients.tolist())):
        raise ValueError(
            f'the operating point was chosen on patients that are tested here '
            f'({", ".join(shared[:5])}); choose it on validation patients only'
        )
