"""The figures of a whole cross-validation: the tested patients of its folds, taken together.

A test fold of ct-ich holds 4 to 10 patients with hemorrhage, too few for a figure of its own. Over
all folds each patient is tested once, by a model that has not seen them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from cranium.errors import CraniumError
from cranium.evaluation import provenance
from cranium.evaluation.results import Results, evaluate
from cranium.evaluation.summary import OperatingPoint


def pool(
    folds: Mapping[int, Results],
    missing: Mapping[int, str] | None = None,
    name: str | None = None,
    about: Mapping[str, object] | None = None,
    notes: Sequence[str] = (),
    replicates: int = 10_000,
) -> Results:
    """Compute all figures over the patients of several folds.

    Scores of different models are compared as they are: where one model is surer than another, the
    detection figures are lower than those of each fold.

    Args:
        folds (mapping): Results by number of fold.
        missing (mapping, optional): Why a fold is not among them, by number.
        name (str, optional): What the experiment is called. Defaults to that of the first fold.
        about (mapping, optional): Further provenance, such as ``splits``; it wins over that of the
            folds.
        notes (sequence): Further warnings.
        replicates (int): Draws of patients for the intervals. Defaults to 10,000.

    Returns:
        Results: As of one evaluation of all slices; its provenance names the folds.

    Raises:
        CraniumError: If there are no folds, a patient is in two of them, or they left out different
            patients or come from different protocols.
    """
    if not folds:
        raise CraniumError('no fold is finished, so there is nothing to pool; run the folds first')
    _check_patients(folds)
    missing = missing or {}
    origin = {**_origin(folds, name), 'missing_folds': sorted(missing), **(about or {})}
    return evaluate(
        pd.concat([found.slices for found in folds.values()]),
        score_smoothing=_agreed(
            folds, 'score_smoothing', lambda found: found.options['score_smoothing']
        ),
        leave_out=_agreed(folds, 'leave_out', lambda found: found.options['left_out_patients']),
        operating_point=_operating_point(folds),
        provenance=origin,
        warnings=[
            *_missing(folds, missing),
            *notes,
            *_mixed(folds),
            *provenance.warnings(origin),
        ],
        replicates=replicates,
    )


def _check_patients(folds: Mapping[int, Results]) -> None:
    owner: dict[str, int] = {}
    for fold, found in folds.items():
        for patient in sorted(set(found.slices['patient'])):
            if patient in owner:
                raise CraniumError(
                    f'patient {patient} was tested in fold {owner[patient]} and in fold {fold}; '
                    'folds of one cross-validation share no patient, so run them again'
                )
            owner[patient] = fold


def _origin(folds: Mapping[int, Results], name: str | None) -> dict[str, object]:
    """The provenance of the folds together; what is of a fold stands under its name."""
    names = {fold: f'fold_{fold}' for fold in sorted(folds)}

    def of_each(value: Callable[[Results], object]) -> dict[str, object]:
        return {name: value(folds[fold]) for fold, name in names.items()}

    def checkpoint(found: Results, key: str) -> object:
        known = found.provenance.get('checkpoint')
        return known.get(key) if isinstance(known, Mapping) else None

    first = folds[min(folds)].provenance
    sources = {str(found.provenance.get('trained_on_by')) for found in folds.values()}
    shared = [found.provenance.get('trained_on') for found in folds.values()]
    config = first.get('config')
    experiment = first.get('experiment') or {}
    return {
        'versions': first.get('versions'),
        'experiment': {**experiment, 'name': name or experiment.get('name')},
        'protocol': _agreed(folds, 'protocol', lambda found: found.provenance.get('protocol')),
        'folds': sorted(folds),
        'patients': of_each(lambda found: ' '.join(sorted(set(found.slices['patient'])))),
        'checkpoint': of_each(lambda found: checkpoint(found, 'file')),
        'checkpoint_sha256': of_each(lambda found: checkpoint(found, 'sha256')),
        'data': of_each(lambda found: found.provenance.get('data')),
        'trained_on_by': 'config' if 'config' in sources else 'checkpoint',
        # Of each fold the patients that its own model has seen.
        'trained_on': None
        if None in shared
        else sorted({p for some in shared for p in some or ()}),
        'chosen_on_test': any(found.provenance.get('chosen_on_test') for found in folds.values()),
        'config': config
        and f'# That of fold {min(folds)}; the others differ in fold and data.\n{config}',
    }


def _agreed(folds: Mapping[int, Results], what: str, value: Callable[[Results], Any]) -> Any:
    values = {fold: value(found) for fold, found in folds.items()}
    first = min(folds)
    for fold, found in values.items():
        if found != values[first]:
            raise CraniumError(
                f'{what} of fold {fold} is {found}, of fold {first} {values[first]}; pool folds '
                'of one cross-validation'
            )
    return values[first]


def _operating_point(folds: Mapping[int, Results]) -> OperatingPoint | None:
    """The thresholds that all folds were tested at; None where they were not the same."""
    points = [found.used_operating_point for found in folds.values()]
    return points[0] if all(point == points[0] for point in points) else None


def _missing(folds: Mapping[int, Results], missing: Mapping[int, str]) -> list[str]:
    if not missing:
        return []
    reasons = ', '.join(f'{fold} ({reason})' for fold, reason in sorted(missing.items()))
    there = ', '.join(map(str, sorted(folds)))
    return [
        f'Not all folds are in these figures, only {there}. Missing: {reasons}. They are not '
        'figures of the whole data set.'
    ]


def _mixed(folds: Mapping[int, Results]) -> list[str]:
    """A warning of folds that ran with different versions of a package."""
    versions = [found.provenance.get('versions') or {} for found in folds.values()]
    different = [
        f'{package} {" and ".join(sorted(values))}'
        for package in sorted({name for some in versions for name in some})
        if len(values := {str(some.get(package)) for some in versions}) > 1
    ]
    return [f'The folds ran with different versions: {", ".join(different)}.'] if different else []
