"""The folds of a cross-validation: one split file for all, and a prepared tree for each.

Nothing is chosen in such a cross-validation, so no fold validates: the held-out fold is
``images/test`` and all others are ``images/train``.
"""

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cranium.preparation.errors import DataError
from cranium.preparation.plan import Options, Plan, as_case, make_plan
from cranium.preparation.prepare import LINKED, write_plan
from cranium.preparation.raw import RawDataset
from cranium.preparation.splits import ALWAYS_TRAINED, Splits, make_splits, read_splits
from cranium.preparation.tree import (
    DATASET,
    MANIFEST,
    SPLITS,
    is_interrupted,
    link_file,
    read_dataset_json,
    read_manifest,
    write_file,
)


@dataclass(frozen=True)
class Fold:
    """What a split file says of a fold.

    Args:
        number (int): From 0.
        members (int): Patients of the fold.
        present (int): Those of them that the download has.
    """

    number: int
    members: int
    present: int


def make_folds(raw: RawDataset, protocol: str, folds: int = 5) -> Splits:
    """Draw the folds; the same for every seed that models are trained with.

    Args:
        raw (RawDataset): The download.
        protocol (str): ``patient`` or ``authors``.
        folds (int): How many; the authors' are always five. Defaults to 5.

    Returns:
        Splits: The folds, none of which validates.

    Raises:
        DataError: See :func:`make_splits`.
    """
    splits = make_splits([as_case(item) for item in raw.slices], protocol, folds)
    return dataclasses.replace(splits, validation=False)


def present_folds(splits: Splits, raw: RawDataset) -> list[int]:
    """Return the folds that hold somebody to test in this download."""
    patients = {item.patient for item in raw.slices}
    if splits.protocol == 'authors':
        patients.discard(ALWAYS_TRAINED)
    return [number for number, members in enumerate(splits.folds) if patients & set(members)]


def check_folds(splits: Splits, raw: RawDataset, file: Path) -> None:
    """Make sure that a split file, where there is one, holds these folds of this download.

    Raises:
        DataError: It holds others.
    """
    text = splits.to_json([as_case(item) for item in raw.slices])
    if file.exists() and not _same(file, json.loads(text)):
        msg = f'{file}: other folds, made with another --split or --folds or of another download'
        raise DataError(f'{msg}; use another --work-dir')


def write_folds(splits: Splits, raw: RawDataset, file: Path) -> None:
    """Write the split file of a cross-validation, whole or not at all.

    Args:
        splits (Splits): The folds.
        raw (RawDataset): The download, for counts.
        file (Path): Where to; one that is there stays.

    Raises:
        DataError: See :func:`check_folds`; or it cannot be written.
    """
    check_folds(splits, raw, file)
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Several jobs may do so at once; each writes its own and the last to finish wins.
    own = file.with_name(f'.{file.name}-{os.getpid()}')
    write_file(own, splits.to_json([as_case(item) for item in raw.slices]).encode())
    os.replace(own, file)


def read_folds(file: Path) -> list[Fold]:
    """Read what the split file of a cross-validation says of its folds.

    Raises:
        DataError: No such file, or none that :func:`write_folds` wrote.
    """
    read_splits(file)
    folds = json.loads(file.read_text(encoding='utf-8'))['folds']
    try:
        return [
            Fold(number, len(fold['members']), int(fold['patients']))
            for number, fold in enumerate(folds)
        ]
    except (KeyError, TypeError, ValueError) as error:
        msg = (
            f'{file}: not the split file of a cross-validation ({error!r}); use another --work-dir'
        )
        raise DataError(msg) from error


def describe_gaps(folds: Iterable[Fold]) -> list[str]:
    """Say, a sentence each, what figures over all folds lack in this download."""
    folds = list(folds)
    members, present = sum(fold.members for fold in folds), sum(fold.present for fold in folds)
    if members == present:
        return []
    return [f'{members - present} of the {members} patients of the folds are not in the download.']


def same_folds(tree: Path, file: Path) -> bool:
    """Whether a prepared tree was made with the folds of a split file, by whatever versions.

    Raises:
        DataError: One of the two cannot be read.
    """
    read_splits(file)
    return _same(tree / SPLITS, json.loads(file.read_text(encoding='utf-8')))


def prepare_fold(
    raw: RawDataset,
    options: Options,
    out: Path,
    others: Iterable[Path] = (),
    progress: Callable[[int], None] = lambda done: None,
) -> Counter:
    """Write the tree of a fold; images that another fold has are linked, not written again.

    Args:
        raw (RawDataset): The download.
        options (Options): With ``splits_file``, the cross-validation's, and ``fold``.
        out (Path): The tree.
        others (iterable): Trees to link from, of which the first that fits serves.
        progress (Callable): See :func:`write_plan`.

    Returns:
        Counter: How many slices were ``written``, ``linked`` and ``left out``.

    Raises:
        DataError: ``out`` is of other folds or another window, the fold has nobody to test, or
            see :func:`write_plan`.
    """
    plan = make_plan(raw, options)
    if missing := [role for role in ('train', 'test') if role not in plan.counts()]:
        msg = f'fold {options.fold}: no slice to {missing[0]} with; leave it out (--fold)'
        raise DataError(msg)
    if _is_done(plan, out):
        return Counter({LINKED: sum(numbers['slices'] for numbers in plan.counts().values())})
    if not out.exists():
        any(_borrow(tree, out) for tree in others if _fits(plan, tree))
    return write_plan(plan, out, progress=progress)


def _is_done(plan: Plan, out: Path) -> bool:
    if not (out / DATASET).exists() or is_interrupted(out):
        return False
    if not _fits(plan, out):
        msg = f'{out}: prepared with another window or other folds; use another --work-dir'
        raise DataError(msg)
    return read_dataset_json(out)['options'].get('fold') == plan.options.fold


def _fits(plan: Plan, tree: Path) -> bool:
    """Whether a tree has the same folds, and images and masks made in the same way."""
    if not (tree / DATASET).exists() or is_interrupted(tree):
        return False
    recorded = read_dataset_json(tree)['options']
    recipe = {name: recorded.get(name) for name in plan.options.recipe}
    return recipe == plan.options.recipe and same_folds(tree, plan.options.splits_file)


def _borrow(tree: Path, out: Path) -> bool:
    """Make ``out`` a second tree of the same files, for :func:`write_plan` to order anew.

    Returns:
        bool: Whether that was possible; not where another job moves the files of ``tree`` just now.
    """
    new = out.with_name(f'.{out.name}-new')
    shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
    try:
        for row in read_manifest(tree):
            for path in (row.image, row.mask) if row.image else ():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                link_file(tree / path, new / path)
        for name in (SPLITS, MANIFEST, DATASET):
            write_file(new / name, (tree / name).read_bytes())
        os.replace(new, out)
    except (DataError, OSError):
        shutil.rmtree(new, ignore_errors=True)
        return False
    return True


def _same(file: Path, content: dict) -> bool:
    """Whether a split file says the same; by which versions it was drawn does not matter."""
    read_splits(file)
    found = json.loads(file.read_text(encoding='utf-8'))
    return {**found, 'versions': None} == {**content, 'versions': None}
