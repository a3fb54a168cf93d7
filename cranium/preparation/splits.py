"""Drawing folds: patients, the data set authors' own, or slices."""

import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from cranium.errors import CraniumError
from cranium.slices import patient_name
from cranium.splits import PROTOCOLS, Case, Splits

AUTHORS_FOLDS = (
    (31, 39, 21, 33, 34, 5, 54, 2, 67, 15, 68, 10, 53, 29, 44, 76),
    (59, 73, 77, 71, 61, 69, 50, 32, 6, 37, 57, 75, 80, 41, 27, 16),
    (40, 46, 79, 13, 45, 55, 62, 7, 66, 58, 78, 4, 47, 52, 28, 20),
    (24, 51, 36, 63, 30, 48, 26, 60, 49, 25, 42, 18, 43, 14, 72, 0),
    (35, 81, 70, 22, 64, 1, 3, 17, 74, 23, 38, 12, 8, 65, 19, 56, 9, 11),
)
"""The data set authors' folds, as patient - 49 (Hssayeni et al., Data 5(1):14, 2020)."""


def make_splits(cases: Sequence[Case], protocol: str, folds: int = 5, seed: int = 0) -> Splits:
    """Draw folds; the same cases and seed give the same folds everywhere, in any order.

    Args:
        cases (Sequence[Case]): All slices.
        protocol (str): ``patient``, ``authors`` or ``slice``.
        folds (int): How many; the authors' are always five. Defaults to 5.
        seed (int): Defaults to 0.

    Returns:
        Splits: The folds.

    Raises:
        CraniumError: Fewer patients with hemorrhage (``patient``) or slices (``slice``) than folds.
    """
    cases = sorted(cases, key=lambda case: (_by_number(case.patient), case.name))
    if protocol == 'patient':
        return Splits(protocol, _patient_folds(cases, folds, seed), seed)
    if protocol == 'slice':
        return Splits(protocol, _slice_folds(cases, folds, seed), seed)
    if protocol == 'authors':
        members = tuple(tuple(patient_name(n + 49) for n in sorted(fold)) for fold in AUTHORS_FOLDS)
        return Splits(protocol, members)
    raise CraniumError(f'no protocol {protocol!r}; choose one of {", ".join(PROTOCOLS)}')


def _by_number(patient: str) -> tuple[bool, int, str]:
    """Sort numbers as such, and before names."""
    number = patient.isdigit()
    return not number, int(patient) if number else 0, patient


def _patient_folds(cases: Sequence[Case], folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Draw folds of patients, stratified by whether a patient has hemorrhage.

    All scans of one person are in one fold.

    Stratifying by the patient's and not the slice's hemorrhage is what makes every fold hold a
    patient with hemorrhage: the algorithm gives each such patient to the fold that has the fewest
    slices of such patients so far, so the first ones all go to different folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # a second to import

    groups = [case.person or case.patient for case in cases]
    bleeding = {group for group, case in zip(groups, cases) if case.hemorrhage}
    if len(bleeding) < folds:
        msg = (
            f'{folds} folds need {folds} patients with hemorrhage masks, here are {len(bleeding)};'
        )
        fewer = f' use --folds {len(bleeding)} or' if len(bleeding) > 1 else ''
        raise CraniumError(f'{msg}{fewer} complete the download')
    strata = [int(group in bleeding) for group in groups]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # It warns of strata with fewer members than folds, here patients without hemorrhage.
        warnings.simplefilter('ignore', UserWarning)
        held_out = [test for _, test in splitter.split(groups, strata, groups)]
    return tuple(
        tuple(sorted({cases[index].patient for index in indices}, key=_by_number))
        for indices in held_out
    )


def _slice_folds(cases: Sequence[Case], folds: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Draw folds of slices: of the full 2501, fold 0 holds 501 and leaves 2000 to train on."""
    if len(cases) < folds:
        raise CraniumError(f'{folds} folds need {folds} slices, here are {len(cases)}')
    # numpy promises that RandomState draws the same in every version to come.
    order = np.random.RandomState(seed).permutation(len(cases))
    names = [cases[index].name for index in order]
    bounds = [-(-len(names) * fold // folds) for fold in range(folds + 1)]
    return tuple(tuple(sorted(names[a:b])) for a, b in pairwise(bounds))
