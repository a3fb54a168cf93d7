"""Looking at each scan before it is used: its windows, its known faults, its masks."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.preparation.consistency import (
    LEAST_CORRELATION,
    REFERENCE_GRAY,
    WindowCheck,
    check_windows,
    find_offset,
    spread,
)
from cranium.preparation.content import mask_fault
from cranium.preparation.errata import Erratum, read_errata
from cranium.preparation.hounsfield import combine
from cranium.preparation.parallel import each_scan
from cranium.preparation.raw import NO_BONE, ON_CLEAN, RawDataset, RawSlice
from cranium.preparation.source import Source
from cranium.scans.pictures import decode_jpeg

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ScanCheck:
    """What was found in a scan.

    Args:
        patient (str): Whose scan.
        windows (WindowCheck): What its windows say of each other, as they are.
        bone_offset (int, optional): By how many slices the bone window is late; None if no offset
            fits. Defaults to 0.
        erratum (Erratum, optional): What is known of it. Defaults to None.
        shown (bool): Whether it shows that fault. Defaults to False.
        mask_faults (tuple[str, ...]): Masks that cannot be hemorrhage, and why. Defaults to none.
    """

    patient: str
    windows: WindowCheck
    bone_offset: int | None = 0
    erratum: Erratum | None = None
    shown: bool = False
    mask_faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the windows are what they are said to be, as far as can be told."""
        return self.windows.same_windows and self.windows.same_slices

    def remark(self, apply: bool) -> str:
        """Say what is wrong with the windows, and what is or could be done; empty if nothing is.

        Args:
            apply (bool): Whether errata are applied.
        """
        if self.passed:
            if self.erratum is None or not apply:
                return ''
            return f'{self.patient}: shows no sign of its erratum, which is not applied'
        what = (
            f'{self.patient}: gray value {REFERENCE_GRAY} of the brain window is '
            f'{self.windows.bone_gray:.2f} in the bone window (expected '
            f'{self.windows.expected:.2f}), correlation {self.windows.correlation:.2f} (expected '
            f'{LEAST_CORRELATION} or more)'
        )
        return f'{what}; {self._remedy(apply)}'

    def _remedy(self, apply: bool) -> str:
        if self.erratum and self.shown:
            done = (
                'an erratum corrects it' if apply else 'left as it is, though an erratum tells how'
            )
            return f'{done}: {self.erratum.correction}'
        if self.bone_offset:
            return (
                f'bone window n{self.bone_offset:+d} fits brain window n: rename the bone windows, '
                'or use --window brain'
            )
        if self.bone_offset == 0:
            return (
                'the windows are not those of the data set, so its HU are wrong: leave the patient '
                'out, or add its windows to cranium/preparation/errata.yaml'
            )
        return (
            'other windows than those of the data set, or bone windows of another scan: leave the '
            'patient out, or add its windows to cranium/preparation/errata.yaml'
        )

    def figures(self, apply: bool) -> dict[str, Any]:
        """Return what ``dataset.json`` holds of a scan that needs a remark."""
        numbers = {
            'bone_gray': self.windows.bone_gray,
            'expected_bone_gray': self.windows.expected,
            'correlation': self.windows.correlation,
        }
        return {
            **{name: None if np.isnan(x) else round(x, 3) for name, x in numbers.items()},
            'bone_offset': self.bone_offset,
            'remark': self.remark(apply),
        }


def check_scans(
    raw: RawDataset, mask_threshold: int, progress: Callable[[int], None] = lambda done: None
) -> list[ScanCheck]:
    """Check every scan of a download; see :func:`check_scan`.

    Args:
        raw (RawDataset): A download of ct-ich.
        mask_threshold (int): A mask pixel above it is hemorrhage.
        progress (Callable): Called with the number of slices done since the last call.
    """
    checks = []
    scans = each_scan(partial(check_scan, raw.source, mask_threshold), raw.slices)
    for check, slices in scans:
        checks.append(check)
        progress(slices)
    return checks


def check_scan(
    source: Source, mask_threshold: int, scan: Sequence[RawSlice]
) -> tuple[ScanCheck, int]:
    """Check one scan: at most eight pairs of windows, and every mask.

    Args:
        source (Source): Where its files are.
        mask_threshold (int): A mask pixel above it is hemorrhage.
        scan (sequence): Its slices.

    Returns:
        tuple: What was found, and the number of its slices.

    Raises:
        CraniumError: A file that cannot be decoded, or two windows of different size.
    """
    cv2.setNumThreads(1)
    patient = scan[0].patient
    erratum = read_errata().get(patient)
    windows = check_windows(_pairs(source, scan))
    offset, shown = 0 if windows.same_slices else _offset(source, scan), False
    if erratum and not (windows.same_slices and windows.same_windows):
        pairs = _pairs(source, _corrected(scan, erratum))
        found = check_windows(pairs, erratum.brain, erratum.bone)
        shown = found.same_windows and found.same_slices
    faults = tuple(_mask_faults(source, mask_threshold, scan))
    return ScanCheck(patient, windows, offset, erratum, shown, faults), len(scan)


def correct(slices: Sequence[RawSlice], checks: Sequence[ScanCheck]) -> list[RawSlice]:
    """Give the slices of scans that show a known fault the windows that they really have."""
    errata = {check.patient: check.erratum for check in checks if check.shown}
    everything: list[RawSlice] = []
    for patient, group in groupby(slices, key=lambda item: item.patient):
        scan, erratum = list(group), errata.get(patient)
        everything += _corrected(scan, erratum) if erratum else scan
    return everything


def _corrected(scan: Sequence[RawSlice], erratum: Erratum) -> list[RawSlice]:
    bones = {item.number: item.bone for item in scan}
    slices = []
    for item in scan:
        bone = bones.get(item.number + erratum.bone_offset)
        notes = [note for note in item.notes if note != NO_BONE]
        notes += [erratum.note] if bone else [NO_BONE, erratum.note]
        slices.append(
            dataclasses.replace(
                item,
                bone=bone,
                brain_window=erratum.brain,
                bone_window=erratum.bone,
                notes=tuple(notes),
            )
        )
    return slices


def refuse_mask_faults(checks: Sequence[ScanCheck]) -> None:
    """Refuse masks that cannot be hemorrhage.

    Raises:
        CraniumError: Such masks; the message names the first three.
    """
    faults = [fault for check in checks for fault in check.mask_faults]
    if faults:
        many = f'{len(faults)} masks cannot be hemorrhage: ' if len(faults) > 1 else ''
        raise CraniumError(many + ' | '.join(faults[:3]))


def _pairs(source: Source, scan: Sequence[RawSlice]) -> list[tuple[Image, Image]]:
    """Decode both windows of some slices, spread over the scan."""
    pairs = []
    for brain_file, bone_file in spread([(item.brain, item.bone) for item in scan if item.bone]):
        brain, bone = _decode(source, brain_file), _decode(source, bone_file)
        if brain.shape != bone.shape:
            name = source.describe(bone_file)
            raise CraniumError(f'{name}: another size than {brain_file}; replace it')
        pairs.append((brain, bone))
    return pairs


def _offset(source: Source, scan: Sequence[RawSlice]) -> int | None:
    brains = {item.number: _decode(source, item.brain) for item in scan}
    bones = {item.number: _decode(source, item.bone) for item in scan if item.bone}
    same = {image.shape for image in (*brains.values(), *bones.values())}
    return find_offset(brains, bones) if len(same) == 1 else None


def _mask_faults(source: Source, threshold: int, scan: Sequence[RawSlice]) -> list[str]:
    faults = []
    for item in scan:
        if item.mask is None:
            continue
        gray, brain = _decode(source, item.mask), _decode(source, item.brain)
        if ON_CLEAN in item.notes and not gray.any():
            continue  # as it should be
        # Alone, for where the brain window is saturated there is air or bone in any case.
        if fault := mask_fault(gray, gray > threshold, combine(brain, None)):
            faults.append(f'{source.describe(item.mask)}: {fault}')
    return faults


def _decode(source: Source, member: str) -> Image:
    return decode_jpeg(source.read(member), source.describe(member))
