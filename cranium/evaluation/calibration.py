"""Whether predicted probabilities are as large as hemorrhage is frequent.

The score of a slice or a patient is a log-odds in name only: a network that is trained on batches
richer in hemorrhage than scans are, and a score that is a maximum over pixels or slices, say too
much. :mod:`~cranium.evaluation.platt` makes probabilities of them, fitted on other patients.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from cranium.evaluation import measures, statistics
from cranium.evaluation.cohort import Cohort, FloatArray
from cranium.evaluation.estimate import Estimate
from cranium.evaluation.platt import Calibration, fit_calibration

# Of equally many cases: 100 slices and 13 patients each in ct-ich.
BINS = {'slice': 20, 'patient': 5}
AS_SCORED = Calibration(1.0, 0.0)

# By level, slice or patient, and by patient.
Calibrations = Mapping[str, Mapping[str, Calibration]]


def fit_calibrations(
    cohort: Cohort, among: NDArray[np.bool_] | None = None
) -> dict[str, Calibration]:
    """Fit the calibrations of slices and of patients, for other patients.

    Args:
        cohort (Cohort): The patients.
        among (ndarray, optional): bool of shape (P,), which of them to fit to. Defaults to all.

    Returns:
        dict: By level, ``slice`` and ``patient``, without those that have no fit: both, where
        scores are no log-odds.
    """
    if cohort.score_kind != 'log-odds':
        return {}
    among = np.ones(len(cohort.patients), bool) if among is None else among
    fits = {
        level: fit_calibration(truth[among[owner]], score[among[owner]])
        for level, (truth, score, owner) in _cases(cohort).items()
    }
    return {level: fit for level, fit in fits.items() if fit is not None}


def calibrate_on_others(cohort: Cohort, fold_of: Mapping[str, object]) -> Calibrations:
    """For each patient the calibrations that fit the patients of the other folds.

    Args:
        cohort (Cohort): The patients.
        fold_of (mapping): The fold of each patient.

    Returns:
        Calibrations: Without levels that cannot be fitted for a fold.
    """
    folds = np.array([str(fold_of[patient]) for patient in cohort.patients])
    fits = {fold: fit_calibrations(cohort, folds != fold) for fold in np.unique(folds)}
    return {
        level: {patient: fits[fold][level] for patient, fold in zip(cohort.patients, folds)}
        for level in _cases(cohort)
        if all(level in of_fold for of_fold in fits.values())
    }


def probabilities(
    cohort: Cohort, calibrations: Calibrations | None = None
) -> dict[str, FloatArray]:
    """Predict the probability of hemorrhage for each slice, (n,), and each patient, (P,).

    Args:
        cohort (Cohort): The patients, with scores.
        calibrations (Calibrations, optional): Only their levels are predicted. Defaults to None:
            scores are taken for log-odds as they are.
    """
    found = {}
    for level, (_, score, owner) in _cases(cohort).items():
        if calibrations is None:
            found[level] = AS_SCORED.probability(score)
        elif level in calibrations:
            fits = [calibrations[level][patient] for patient in cohort.patients[owner]]
            slope, offset = np.array([(fit.slope, fit.offset) for fit in fits]).T
            found[level] = expit(slope * score + offset)
    return found


def reliability(cohort: Cohort, level: str, probability: FloatArray) -> pd.DataFrame:
    """Set how frequent hemorrhage is beside how probable it was said to be.

    Args:
        cohort (Cohort): The patients.
        level (str): ``slice`` or ``patient``.
        probability (ndarray): Of :func:`probabilities`.

    Returns:
        DataFrame: A row for each bin of ``BINS``, whose edges are quantiles of the probability:
        ``cases``, the means ``predicted`` and ``observed``, and the interval over patients of the
        latter, ``low`` to ``high``.
    """
    truth, _, owner = _cases(cohort)[level]
    of_bin = _bin(probability, BINS[level])
    rows = []
    for bin in np.unique(of_bin):
        here = of_bin == bin
        observed = cohort.mean(truth[here].astype(float), owner[here], f'{level}s')
        rows.append(
            {
                'cases': observed.cases,
                'predicted': probability[here].mean(),
                'observed': observed.value,
                'low': observed.low,
                'high': observed.high,
            }
        )
    return pd.DataFrame(rows)


def pixel_calibration_figures(cohort: Cohort) -> dict[str, Estimate]:
    """Expected calibration error over all pixels; none where a slice has no probabilities."""
    cells = cohort.slices['calibration_gaps']
    if (cells == '').any():
        return {}
    gaps = np.array([cell.split() for cell in cells], float)
    pixels = cohort.tp + cohort.fp + cohort.fn + cohort.tn
    draws = measures.expected_calibration_error(
        cohort.weights @ np.stack([cohort.sums(column) for column in gaps.T], axis=1),
        cohort.weights @ cohort.sums(pixels),
    )
    return {'calibration/expected_error': cohort.estimate(draws, len(cells), 'slices')}


def score_calibration_figures(
    cohort: Cohort, calibrations: Calibrations | None = None
) -> dict[str, Estimate]:
    """Brier score and expected calibration error of the probabilities of slices and patients.

    G. W. Brier, Mon Weather Rev 78(1):1-3, 1950. None where a slice has no log-odds.
    """
    if cohort.score_kind != 'log-odds' or np.isnan(cohort.score).any():
        return {}
    cases, figures = _cases(cohort), {}
    for suffix, known in {'_uncalibrated': None, '': calibrations or {}}.items():
        for level, probability in probabilities(cohort, known).items():
            truth, _, owner = cases[level]
            name = f'calibration/{level}_{{}}{suffix}'.format
            figures[name('brier')] = cohort.mean((probability - truth) ** 2, owner, f'{level}s')
            figures[name('expected_error')] = _expected_error(
                cohort, level, owner, probability - truth, _bin(probability, BINS[level])
            )
    return figures


def _expected_error(
    cohort: Cohort,
    level: str,
    owner: statistics.Owner,
    gap: FloatArray,
    of_bin: NDArray[np.intp],
) -> Estimate:
    """Bins are those of all patients, in every draw."""
    sums = np.zeros((len(cohort.patients), BINS[level]))
    np.add.at(sums, (owner, of_bin), gap)
    cases = np.bincount(owner, minlength=len(cohort.patients)).astype(float)
    draws = measures.expected_calibration_error(cohort.weights @ sums, cohort.weights @ cases)
    return cohort.estimate(draws, len(gap), f'{level}s')


def _bin(probability: FloatArray, bins: int) -> NDArray[np.intp]:
    """As scikit-learn's ``calibration_curve`` does with ``strategy='quantile'``."""
    edges = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(edges, probability)


def _cases(
    cohort: Cohort,
) -> dict[str, tuple[NDArray[np.bool_], FloatArray, statistics.Owner]]:
    """Truth, score, and the index of the patient, by level."""
    each: NDArray[Any] = np.arange(len(cohort.patients))
    return {
        'slice': (cohort.hemorrhage, cohort.score, cohort.owner),
        'patient': (cohort.patient_hemorrhage, cohort.patient_score, each),
    }
