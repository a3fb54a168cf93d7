"""Which slices train, validate and test: ``splits.json``, which a person can read and edit.

How folds are drawn is the business of ``cranium.preparation.splits``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from cranium.errors import CraniumError

SPLITS = 'splits.json'
PROTOCOLS = ('patient', 'authors', 'slice')
ROLES = ('train', 'val', 'test')

SLICE_WARNING = (
    'slice split: slices of one patient lie on both sides, so figures on it are inflated; '
    'use it only to compare with published slice-level results'
)

ALWAYS_TRAINED = '070'
"""A chronic hemorrhage, which the authors leave out of their test results."""


class Case(NamedTuple):
    """What a split needs to know of a slice.

    Args:
        patient (str): The patient's number.
        name (str): The slice's name, unique among all.
        hemorrhage (bool): Whether it has a hemorrhage mask.
        person (str): Whose scan it is, where several are of one; never written. Defaults to the
            patient.
    """

    patient: str
    name: str
    hemorrhage: bool
    person: str = ''


@dataclass(frozen=True)
class Splits:
    """Folds of patients, or of slices in the slice protocol.

    Args:
        protocol (str): One of ``PROTOCOLS``.
        folds (tuple[tuple[str, ...], ...]): The members of each fold.
        seed (int, optional): What the folds were drawn with; None for the authors'.
    """

    protocol: str
    folds: tuple[tuple[str, ...], ...]
    seed: int | None = None

    def roles(self, fold: int, cases: Sequence[Case]) -> dict[str, str]:
        """Give each slice its role when ``fold`` is held out.

        With ``patient`` and ``slice`` the fold validates and the others train. With ``authors``
        it tests, the first of the others that the download has validates, the rest train; patient
        070 always trains.

        Args:
            fold (int): From 0.
            cases (Sequence[Case]): All slices.

        Returns:
            dict[str, str]: Role by slice name.

        Raises:
            CraniumError: No such fold, a fold whose members are not in the download, nothing left
                to train on, or a slice that is in no fold.
        """
        if not 0 <= fold < len(self.folds):
            raise CraniumError(f'no fold {fold}; choose one of 0 to {len(self.folds) - 1}')
        fold_of = self._fold_of(cases)
        present = sorted(set(fold_of.values()))
        others = [other for other in present if other != fold]
        if fold not in present:
            msg = (
                f'{self.protocol} split: fold {fold} has no slice in this download; choose '
                f'--fold from {", ".join(map(str, present))} or complete the download'
            )
            raise CraniumError(msg)
        if not others:
            msg = f'{self.protocol} split: all slices are in fold {fold}; complete the download'
            raise CraniumError(msg)
        role_of = dict.fromkeys(others, 'train')
        role_of[fold] = 'val'
        if self.protocol == 'authors':
            role_of |= {fold: 'test', others[0]: 'val'}
        roles = {name: role_of[fold] for name, fold in fold_of.items()}
        if self.protocol == 'authors':
            roles |= {case.name: 'train' for case in cases if case.patient == ALWAYS_TRAINED}
        if 'train' not in roles.values():
            raise CraniumError(f'{self.protocol} split: nothing left to train on; add patients')
        return roles

    def missing(self, cases: Sequence[Case]) -> dict[int, list[str]]:
        """Return by fold the members that are not among the cases, where there are any."""
        present = {self._member(case) for case in cases}
        missing = {
            fold: [member for member in members if member not in present]
            for fold, members in enumerate(self.folds)
        }
        return {fold: members for fold, members in missing.items() if members}

    def describe(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """Return of each fold its number, what it holds (see :func:`count`) and its members."""
        fold_of = self._fold_of(cases)
        return [
            {
                'fold': fold,
                **count(case for case in cases if fold_of[case.name] == fold),
                'members': list(members),
            }
            for fold, members in enumerate(self.folds)
        ]

    def to_json(self, cases: Sequence[Case]) -> str:
        """Render as the text of ``splits.json``; the counts are for the reader."""
        drawn_with = {name: version(name) for name in ('cranium', 'numpy', 'scikit-learn')}
        content = {
            'protocol': self.protocol,
            'seed': self.seed,
            'versions': drawn_with,
            'folds': self.describe(cases),
        }
        return json.dumps(content, indent=1) + '\n'

    def _fold_of(self, cases: Sequence[Case]) -> dict[str, int]:
        fold_of_member = {
            member: fold for fold, members in enumerate(self.folds) for member in members
        }
        try:
            return {case.name: fold_of_member[self._member(case)] for case in cases}
        except KeyError as error:
            raise CraniumError(f'splits: {error.args[0]} is in no fold; add it to one') from error

    def _member(self, case: Case) -> str:
        return case.name if self.protocol == 'slice' else case.patient


def count(cases: Iterable[Case]) -> dict[str, int]:
    """Count patients and slices, and those with hemorrhage."""
    cases = list(cases)
    bleeding = [case for case in cases if case.hemorrhage]
    return {
        'patients': len({case.patient for case in cases}),
        'slices': len(cases),
        'hemorrhage_patients': len({case.patient for case in bleeding}),
        'hemorrhage_slices': len(bleeding),
    }


def _members(fold: dict[str, Any]) -> tuple[str, ...]:
    members = fold['members']
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise TypeError('members are not a list of names')
    return tuple(members)


def read_splits(path: Path) -> Splits:
    """Read a ``splits.json``, perhaps edited: protocol, seed and members count.

    Raises:
        CraniumError: Not such a file, or a member that is in two folds.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        protocol, seed = content['protocol'], content.get('seed')
        folds = tuple(_members(fold) for fold in content['folds'])
    except OSError as error:
        raise CraniumError(f'{path}: cannot be read ({error.strerror}); check the path') from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path}: not a splits file ({error!r}); start from a written splits.json'
        raise CraniumError(msg) from error
    if protocol not in PROTOCOLS:
        raise CraniumError(f'{path}: no protocol {protocol!r}; choose from {", ".join(PROTOCOLS)}')
    if len(folds) < 2:
        raise CraniumError(f'{path}: {len(folds)} fold; at least 2 are needed')
    twice = [name for name, n in Counter(m for fold in folds for m in fold).items() if n > 1]
    if twice:
        raise CraniumError(f'{path}: {twice[0]} is in two folds; keep it in one')
    return Splits(protocol, folds, seed)
