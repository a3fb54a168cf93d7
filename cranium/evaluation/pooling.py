"""The figures of a whole cross-validation: the tested patients of its folds, taken together.

A test fold of ct-ich holds 4 to 10 patients with hemorrhage, too few for a figure of its own. Over
all folds each patient is tested once, by a model that has not seen them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cranium.errors import CraniumError
from cranium.evaluation import provenance
from cranium.evaluation.results import Results, evaluate


def pool(
    folds: Mapping[int, Results],
    *,
    name: str | None = None,
    notes: Sequence[str] = (),
    replicates: int = 10_000,
) -> Results:
    """Compute all figures over the patients of several folds.

    Scores of different models are compared as they are: where one model is surer than another, the
    detection figures are lower than those of each fold.

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
    origin = _origin(folds, name)
    return evaluate(
        slices,
        leave_out=one.options['left_out_patients'],
        operating_point=one.used_operating_point,
        score_smoothing=one.options['score_smoothing'],
        provenance=origin,
        warnings=[*notes, *_mixed(folds), *provenance.warnings(origin)],
        replicates=replicates,
    )


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
