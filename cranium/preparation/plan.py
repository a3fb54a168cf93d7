"""Deciding, before anything is written, which slice goes where."""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cranium.preparation.images import MASK_THRESHOLD
from cranium.preparation.raw import MASK_EXAMPLE, NO_BONE, RawDataset, RawSlice
from cranium.preparation.scans import ScanCheck, check_scans, correct, refuse_mask_faults
from cranium.preparation.splits import make_splits
from cranium.slices import UNLABELLED
from cranium.splits import ROLES, SLICE_WARNING, Splits, count, read_splits


@dataclass(frozen=True)
class Options:
    """How to prepare.

    Args:
        split (str): ``patient``, ``authors`` or ``slice``. Defaults to ``patient``.
        folds (int): Number of folds, where the protocol does not fix it. Defaults to 5.
        fold (int): The fold that is held out. Defaults to 0.
        seed (int): What the folds are drawn with. Defaults to 0.
        splits_file (Path, optional): Folds from this file in place of drawing them.
        window (str): ``brain`` or ``bone`` write 8-bit gray images of that window, ``hu`` 16-bit
            ones of HU + 32768, made of both. Defaults to ``brain``.
        mask_threshold (int): A mask pixel above it is hemorrhage. Defaults to 127.
        unlabelled (str): ``drop`` leaves out slices that have hemorrhage but no mask, ``keep``
            writes them with a mask of 255, which mmseg ignores. Defaults to ``drop``.
        errata (str): ``apply`` corrects the known faults of scans that show them, ``ignore`` leaves
            them as they are. Defaults to ``apply``.
        slice_mm (float, optional): What thin slices of one's own scans were averaged to. Defaults
            to None.
    """

    split: str = 'patient'
    folds: int = 5
    fold: int = 0
    seed: int = 0
    splits_file: Path | None = None
    window: str = 'brain'
    mask_threshold: int = MASK_THRESHOLD
    unlabelled: str = 'drop'
    errata: str = 'apply'
    slice_mm: float | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the pixels of an image and its mask, apart from their sources."""
        return {
            'window': self.window,
            'mask_threshold': self.mask_threshold,
            'errata': self.errata,
            'slice_mm': self.slice_mm,
        }

    @property
    def apply_errata(self) -> bool:
        """Whether known faults are corrected."""
        return self.errata == 'apply'


@dataclass(frozen=True)
class Plan:
    """What a run will write.

    Args:
        raw (RawDataset): The download.
        options (Options): How.
        splits (Splits): The folds.
        slices (list[RawSlice]): Every slice, written or left out, by patient and number.
        scans (list[ScanCheck]): What was found in each scan.
    """

    raw: RawDataset
    options: Options
    splits: Splits
    slices: list[RawSlice]
    scans: list[ScanCheck]

    @property
    def left_out(self) -> Counter[str]:
        """How many slices are left out, by reason."""
        return Counter(item.left_out for item in self.slices if item.left_out)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count patients and slices by split, leaving out splits without any."""
        counts = {
            split: count(item.case for item in self.slices if item.split == split)
            for split in ROLES
        }
        return {split: numbers for split, numbers in counts.items() if numbers['slices']}

    def remarks(self) -> list[str]:
        """Say, a line each, what whoever uses this tree has to know."""
        remarks = [f'slices left out ({why}): {number}' for why, number in self.left_out.items()]
        remarks += self.raw.remarks
        remarks += filter(None, (scan.remark(self.options.apply_errata) for scan in self.scans))
        # Of errata the lines before tell.
        notes = Counter(
            note for item in self.slices for note in item.notes if not note.startswith('erratum')
        )
        remarks += [f'unusual slices ({note}): {number}' for note, number in sorted(notes.items())]
        if self.raw.rows_without_image:
            remarks.append(f'rows of the diagnosis without an image: {self.raw.rows_without_image}')
        if self.raw.unknown_files:
            unknown = self.raw.unknown_files
            remarks.append(
                f'files not understood, and ignored: {len(unknown)}, such as {unknown[0]} (a mask '
                f'is named as {MASK_EXAMPLE})'
            )
        missing = self.splits.missing([item.case for item in self.slices])
        remarks += [
            f'fold {fold}: {len(members)} of its {len(self.splits.folds[fold])} members are not in '
            'this download'
            for fold, members in missing.items()
        ]
        if self.splits.protocol == 'slice':
            remarks.append(f'warning: {SLICE_WARNING}')
        return remarks


def make_plan(raw: RawDataset, options: Options) -> Plan:
    """Check the scans, correct what is known of them and decide what goes where; writes nothing.

    The folds are drawn over all slices, so that they do not depend on the window or on which
    slices are left out.

    Raises:
        CraniumError: Folds that this download cannot fill; see :mod:`cranium.preparation.splits`.
            Files that cannot be read, and masks that cannot be hemorrhage.
    """
    cases = [item.case for item in raw.slices]
    if options.splits_file is not None:
        splits = read_splits(options.splits_file)
    else:
        splits = make_splits(cases, options.split, options.folds, options.seed)
    roles = splits.roles(options.fold, cases)
    scans = []
    if raw.volumes is None:  # which have been checked as they were read
        scans = check_scans(raw, options.mask_threshold)
        refuse_mask_faults(scans)
    slices = []
    for item in correct(raw.slices, scans) if options.apply_errata else raw.slices:
        reason = _why_left_out(item, options)
        split = '' if reason else roles[item.name]
        slices.append(dataclasses.replace(item, split=split, left_out=reason))
    return Plan(raw, options, splits, slices, scans)


def _why_left_out(item: RawSlice, options: Options) -> str:
    if item.label == UNLABELLED and options.unlabelled == 'drop':
        return 'unlabelled'
    if options.window == 'bone' and item.bone is None:
        return NO_BONE
    return ''
