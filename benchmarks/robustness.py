"""How well a network does on slices that come otherwise than those it was trained on."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.degradations import TRIALS, Slices, Trial
from cranium.errors import CraniumError
from cranium.evaluation.measures import binary_masks, count_pixels, dice
from cranium.evaluation.statistics import weighted_auc
from cranium.inference.grid import OUTSIDE
from cranium.inference.segmenter import Segmenter
from cranium.manifest import mask_path, read_manifest
from cranium.scans.pictures import read_pixels, to_hu
from cranium.scans.scan import Scan
from cranium.slices import PIXEL_MM, UNLABELLED
from cranium.splits import SPLITS, read_splits


@dataclass(frozen=True, eq=False)
class Patient:
    """A scan that the network is tested on.

    Args:
        name (str): The patient's number.
        images (tuple): Its slices.
        masks (tuple): Their masks.
        pixel_mm (float): Side of a pixel.
    """

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    pixel_mm: float

    def read(self) -> Slices:
        """Read all slices."""
        hu = np.stack([to_hu(read_pixels(image)) for image in self.images])
        masks = np.stack([read_pixels(mask) for mask in self.masks])
        return Slices(hu, np.asarray(masks, np.uint8), self.pixel_mm)


@dataclass(eq=False)
class Outcome:
    """What was found in the slices of a trial; a row for each."""

    owners: list[int] = field(default_factory=list)
    truths: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    dices: list[float] = field(default_factory=list)

    def add(
        self, owner: int, truth: NDArray[np.uint8], score: float, mask: NDArray[np.uint8]
    ) -> None:
        """Compare what was found in a slice with its truth."""
        bleeds = bool(truth.any())
        self.owners.append(owner)
        self.truths.append(bleeds)
        self.scores.append(score)
        if bleeds:
            counts = count_pixels(*binary_masks(truth, mask))
            self.dices.append(float(dice(counts.tp, counts.fp, counts.fn)))

    def figures(self, threshold: float) -> dict[str, str]:
        """Sum up; nan where there is no slice of a kind."""
        truth, score = np.array(self.truths, bool), np.array(self.scores)
        owner = np.array(self.owners, int)
        weights = np.ones((1, owner.max(initial=0) + 1))
        auc = float(weighted_auc(weights, truth, score, owner)[0])
        positive = score >= threshold
        figures = {
            'slice AUC': auc,
            'Dice per hemorrhage slice': _mean(self.dices),
            'sensitivity': _mean(positive[truth]),
            'specificity': _mean(~positive[~truth]),
        }
        return {name: f'{value:.3f}' for name, value in figures.items()}


def measure(
    tree: Path,
    checkpoint: Path,
    fold: int | None = None,
    slices: int | None = None,
    thresholds: tuple[float, float] | None = None,
    names: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Test a network on the slices of a tree, clean and degraded.

    Args:
        tree (Path): Prepared by ``cranium prepare --window hu``.
        checkpoint (Path): Its config lies beside it, or is the package's of this name.
        fold (int, optional): Of the tree's ``splits.json``, whose patients are tested. Defaults to
            None: those of the tree's ``test``.
        slices (int, optional): Slices without hemorrhage that count of a patient, at most, spread
            over the scan. Defaults to None: all.
        thresholds (tuple, optional): That scores of hemorrhage reach, in a scan and alone. Defaults
            to the checkpoint's.
        names (Sequence[str]): What the names of the trials begin with that are wanted beside the
            clean scan. Defaults to all.

    Returns:
        list[dict[str, str]]: A table, a row for each trial.

    Raises:
        CraniumError: There are no such patients or trials, or the network was trained on them.
    """
    trials = choose_trials(names)
    patients = find_patients(tree, fold)
    segmenter = Segmenter.from_pretrained(checkpoint)
    refuse_trained(checkpoint, segmenter.network.training.get('training_patients', ()), patients)
    if thresholds is None:
        in_scans, alone = (segmenter.network.points(layers)[0].threshold for layers in (2, 1))
    else:
        in_scans, alone = thresholds
    outcomes = [Outcome() for _ in trials]
    for owner, patient in enumerate(patients):
        print(f'{owner + 1} of {len(patients)}: {patient.name}', file=sys.stderr)
        clean = patient.read()
        counted = choose_slices(clean.masks.any(axis=(1, 2)), slices)
        for trial, outcome in zip(trials, outcomes):
            for index, truth, score, mask in _try(segmenter, trial, clean, counted):
                # A bleed that was cut off leaves its traces: neither healthy nor to be found.
                if truth.any() or not clean.masks[index].any():
                    outcome.add(owner, truth, score, mask)
    return [
        {
            'degradation': trial.name,
            'strength': trial.strength,
            **outcome.figures(alone if trial.lone else in_scans),
        }
        for trial, outcome in zip(trials, outcomes)
    ]


def choose_trials(names: Sequence[str]) -> list[Trial]:
    """Choose trials by the begin of their names; the clean scan always comes first.

    Raises:
        CraniumError: There is none of a name.
    """
    known = sorted({trial.name for trial in TRIALS})
    for name in names:
        if not any(each.startswith(name) for each in known):
            raise CraniumError(f'no degradation {name!r}; choose from {"; ".join(known)}')
    first, *others = TRIALS
    return [first, *(each for each in others if not names or each.name.startswith(tuple(names)))]


def find_patients(tree: Path, fold: int | None) -> list[Patient]:
    """List the patients of a fold, or those of the tree's ``test``, whose slices are labelled.

    Raises:
        CraniumError: There are none.
    """
    rows = read_manifest(tree)
    rows = rows[(rows['image'] != '') & (rows['label'] != UNLABELLED)]
    if fold is None:
        rows, remedy = rows[rows['split'] == 'test'], 'name a --fold'
    else:
        folds = read_splits(tree / SPLITS).folds
        if not 0 <= fold < len(folds):
            raise CraniumError(f'no fold {fold}; choose one of 0 to {len(folds) - 1}')
        rows, remedy = rows[rows['patient'].isin(folds[fold])], 'name another --fold of patients'
    if rows.empty:
        raise CraniumError(f'{tree}: no patient to test on; {remedy}')
    return [
        Patient(
            name,
            tuple(tree / image for image in scan['image']),
            tuple(tree / mask_path(image) for image in scan['image']),
            float(scan['pixel_mm'].fillna(PIXEL_MM).iloc[0]),
        )
        for name, scan in rows.sort_values(['patient', 'slice']).groupby('patient')
    ]


def refuse_trained(checkpoint: Path, trained: Sequence[str], patients: Sequence[Patient]) -> None:
    """Refuse to test a network on patients whom it was trained on.

    Raises:
        CraniumError: It was trained on one.
    """
    if seen := sorted({patient.name for patient in patients} & set(trained)):
        msg = f'{checkpoint}: was trained on {", ".join(seen)}'
        raise CraniumError(f'{msg}; name the --fold that it has not seen')


def choose_slices(bleeds: NDArray[np.bool_], most: int | None) -> list[int]:
    """Choose all slices with hemorrhage, and of the others so many, spread evenly."""
    healthy = np.flatnonzero(~bleeds)
    if most is not None and len(healthy) > most:
        healthy = healthy[np.linspace(0, len(healthy) - 1, most).round().astype(int)]
    return sorted([*np.flatnonzero(bleeds).tolist(), *healthy.tolist()])


Found = tuple[int, NDArray[np.uint8], float, NDArray[np.uint8]]


def _try(
    segmenter: Segmenter, trial: Trial, clean: Slices, counted: Sequence[int]
) -> Iterator[Found]:
    """Number of each slice that counts, its truth as it came, its score and the mask found."""
    if trial.lone:
        for index in counted:
            slices = trial.apply(clean[index : index + 1])
            scores, masks = _segment(segmenter, slices)
            yield index, slices.masks[0], scores[0], masks[0]
    else:
        slices = trial.apply(clean)
        scores, masks = _segment(segmenter, slices)
        for index in counted:
            yield index, slices.masks[index], scores[index], masks[index]


def _segment(segmenter: Segmenter, slices: Slices) -> tuple[list[float], NDArray[np.uint8]]:
    scan = Scan(slices.hu, 'scan', 'scan', pixel_mm=slices.pixel_mm, window=slices.window)
    try:
        found = segmenter.segment_scan(scan)
    except CraniumError:  # no head is seen, as above the vertex
        return [OUTSIDE] * len(slices.hu), np.zeros_like(slices.masks)
    return [each.score for each in found.slices], found.masks


def _mean(values: Sequence[float] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float('nan')
