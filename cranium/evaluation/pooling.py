"""The figures of a whole cross-validation: the tested patients of its folds, taken together.

A test fold of ct-ich holds 4 to 10 patients with hemorrhage, too few for a figure of its own. Over
all folds each patient is tested once, by a model that has not seen them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from cranium.errors import CraniumError
from cranium.evaluation import provenance
from cranium.evaluation.calibration import (
    Calibrations,
    calibrate_on_others,
    fit_calibrations,
)
from cranium.evaluation.cohort import Cohort
from cranium.evaluation.estimate import Estimate
from cranium.evaluation.records import slice_table
from cranium.evaluation.results import Results, evaluate
from cranium.evaluation.summary import OperatingPoint, choose_operating_point


def pool(
    folds: Mapping[int, Results],
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
    replicates: int = 10_000,
) -> Results:
    """Compute all figures over the patients of several folds.

    Scores of different models are compared as they are: where one model is surer than another, the
    detection figures are lower than those of each fold. Sensitivity and specificity are those at
    thresholds that were chosen, for each fold, on the patients of the others; the operating point
    of the results is chosen on all of them, for patients to come. Probabilities are calibrated on
    the patients of the other folds likewise.

    Args:
        folds (Mapping): Results by number of fold, all made with the same settings.
        name (str, optional): What the experiment is called. Defaults to that of the first fold.
        notes (Sequence[str]): Further warnings, as of folds that are missing.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.
    """
    if not folds:
        raise CraniumError('no fold is finished, so there is nothing to pool; run the folds first')
    slices = pd.concat({fold: folds[fold].slices for fold in sorted(folds)}, names=['fold'])
    tested = slices.reset_index('fold').groupby('patient')['fold'].unique()
    for patient, (first, *others) in tested.items():
        if others:
            msg = f'patient {patient} was tested in fold {first} and in fold {others[0]}'
            raise CraniumError(f'{msg}; folds share no patient, so run them again')
    one = folds[min(folds)]
    smoothing = one.options['score_smoothing']
    cohort = Cohort(slice_table(slices, smoothing), replicates=0)
    origin = _origin(folds, name)
    return evaluate(
        slices,
        leave_out=one.options['left_out_patients'],
        operating_point=one.used_operating_point or _chosen_on_others(slices, smoothing),
        calibrations=pooled_calibrations(cohort, origin),
        score_smoothing=smoothing,
        provenance=origin,
        warnings=[*notes, *_mixed(folds), *provenance.warnings(origin)],
        replicates=replicates,
    )


def shipped_operating_points(pooled: Results, alone: Results | None = None) -> dict[str, Any]:
    """What a checkpoint tells of its scores: from which on, and how probably, they mean hemorrhage.

    Args:
        pooled (Results): Of the whole cross-validation, see :func:`pool`.
        alone (Results, optional): Likewise, each slice tested as if its scan had no other.

    Returns:
        dict: For ``slice``, ``patient`` and, where it was measured, ``lone_slice`` the
        ``threshold`` (log-odds), chosen on all patients, with ``sensitivity`` and ``specificity``,
        measured at thresholds that the tested patients did not choose, and the ``calibration`` that
        fits all patients, where there is one; ``score_smoothing``; and ``patients``, how many.

    Raises:
        CraniumError: The results are not those of a cross-validation with scores, of scans and of
            lone slices, or not of the same networks.
    """
    point = pooled.operating_point
    found = {
        **_operating_points(pooled),
        'score_smoothing': point.score_smoothing,
        'patients': len(point.patients),
    }
    if pooled.provenance.get('alone'):
        msg = 'these results are those of lone slices, not of scans'
        raise CraniumError(f'{msg}; run cranium cross-validate without --alone as well')
    if alone is None:
        return found
    of_lone = _operating_points(alone)['slice']
    if not alone.provenance.get('alone') or _tested(alone) != _tested(pooled):
        msg = 'lone slices were not tested by the networks, and of the patients, of the scans'
        raise CraniumError(f'{msg}; run cranium cross-validate --alone again')
    return {**found, 'lone_slice': of_lone}


def _tested(pooled: Results) -> dict[str, Any]:
    """The weights and the patients of each fold."""
    weights = {
        fold: checkpoint.get('sha256') if isinstance(checkpoint, Mapping) else checkpoint
        for fold, checkpoint in pooled.provenance['checkpoint'].items()
    }
    return {'weights': weights, 'patients': pooled.provenance['patients']}


def _operating_points(pooled: Results) -> dict[str, dict[str, Any]]:
    """For ``slice`` and ``patient``; see :func:`shipped_operating_points`."""
    point, rates = pooled.operating_point, ('sensitivity', 'specificity')
    found: dict[str, dict[str, Any]] = {
        level: {
            'threshold': getattr(point, level),
            **{rate: figure.value for rate in rates if (figure := _detection(pooled, level, rate))},
        }
        for level in ('slice', 'patient')
    }
    numbers = [number for values in found.values() for number in values.values()]
    if 'folds' not in pooled.provenance or point.score != 'log-odds' or len(numbers) < 6:
        msg = 'no operating points: expected the pooled results of a cross-validation with scores'
        raise CraniumError(
            f'{msg} in at least two folds; run cranium cross-validate without --fold'
        )
    for level, fit in fit_calibrations(Cohort(pooled.slices, replicates=0)).items():
        found[level]['calibration'] = asdict(fit)
    return found


def pooled_calibrations(cohort: Cohort, origin: Mapping[str, Any]) -> Calibrations:
    """For each patient of pooled results the calibrations that the other folds' patients fit.

    Args:
        cohort (Cohort): The patients.
        origin (Mapping): The provenance of the results; {} is returned where they are not pooled.
    """
    if 'folds' not in origin:
        return {}
    folds = origin['patients'].items()
    return calibrate_on_others(cohort, {name: fold for fold, names in folds for name in names})


def _detection(results: Results, level: str, rate: str) -> Estimate | None:
    return results.figures.get(f'detection/{level}_{rate}')


def _chosen_on_others(slices: pd.DataFrame, smoothing: float) -> dict[str, OperatingPoint] | None:
    """For each patient the thresholds that the other folds' patients choose.

    None where those of a fold cannot be chosen, as where all others or none have hemorrhage.
    """
    points: dict[str, OperatingPoint] = {}
    for fold, tested in slices.groupby(level='fold'):
        others = slices.drop(index=fold, level='fold')
        if others.empty:
            return None
        point = choose_operating_point(Cohort(slice_table(others, smoothing), 0), smoothing)
        if math.isnan(point.slice) or math.isnan(point.patient):
            return None
        points |= dict.fromkeys(tested['patient'].unique(), point)
    return points


def _origin(folds: Mapping[int, Results], name: str | None) -> dict[str, Any]:
    """The provenance of the folds together; what differs between them stands under its fold."""
    of_each = {f'fold_{fold}': folds[fold].provenance for fold in sorted(folds)}
    first, trained_on = folds[min(folds)].provenance, [o['trained_on'] for o in of_each.values()]
    return {
        **first,
        'experiment': {**first['experiment'], **({'name': name} if name else {})},
        'folds': sorted(folds),
        'patients': {f'fold_{n}': sorted(set(folds[n].slices['patient'])) for n in sorted(folds)},
        'checkpoint': {fold: origin['checkpoint'] for fold, origin in of_each.items()},
        'trained_on': None if None in trained_on else sorted(set().union(*trained_on)),
        'chosen_on_test': any(origin['chosen_on_test'] for origin in of_each.values()),
        'config': f'# Fold {min(folds)}; the others differ in their patients.\n{first["config"]}',
    }


def _mixed(folds: Mapping[int, Results]) -> list[str]:
    """A warning of folds that ran with different versions of a package."""
    versions = pd.DataFrame([found.provenance['versions'] for found in folds.values()]).fillna('-')
    different = [
        f'{package} {" and ".join(sorted(set(found)))}'
        for package, found in versions.items()
        if found.nunique() > 1
    ]
    return [f'The folds ran with different versions: {", ".join(different)}.'] if different else []
