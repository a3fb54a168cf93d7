"""Telling the scans in a heap of CT slices apart."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np

from cranium.errors import CraniumError
from cranium.scans.headers import SAME_MM, Header

_FEW = 2  # slices of another orientation than the rest of a series: localizers that do not say so
_PHASES = ('AcquisitionNumber', 'TemporalPositionIdentifier')  # as in `Frame.acquisition`
# Words of GE, Siemens' numbers from 50 on, Toshiba's from 30 on.
_SHARP_KERNEL = re.compile(r'(?i).*(bone|edge|lung|detail)|[A-Z]+[5-9]\d|FC[3-9]\d')

Item = TypeVar('Item')


@dataclass(frozen=True)
class Series:
    """Slices that make one scan.

    Args:
        name (str): A pseudonym; nothing leads back from it to the patient.
        headers (tuple[Header, ...]): Its files, in the order that they were found in.
        remarks (tuple[str, ...]): What a user should know of it.
    """

    name: str
    headers: tuple[Header, ...]
    remarks: tuple[str, ...] = ()


class MisfitError(CraniumError):
    """Slices that do not fit the rest of their series.

    Args:
        message (str): One line, with remedy.
        path (Path): The first of them.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path


def series_of(headers: Sequence[Header]) -> tuple[list[Series], list[MisfitError]]:
    """Sort slices into scans.

    Args:
        headers (sequence): Slices of any number of series.

    Returns:
        tuple: The scans, in the order of the first file of each; and what is wrong with slices that
        do not fit the rest of their series.
    """
    found: list[Series] = []
    misfits: list[MisfitError] = []
    for group in _alike(headers, lambda one, other: one.series == other.series):
        stacks, remarks = _stacks(group, misfits)
        parts = [part for stack in stacks for part in _phases(stack)]
        name = series_name(group[0].series)
        if len(parts) == 1:
            found.append(Series(name, tuple(parts[0]), remarks))
            continue
        for number, part in enumerate(parts, start=1):
            which = f'part {number} of {len(parts)} of its series, which holds several angles or'
            remark = f'{which} phases; each is a scan'
            found.append(Series(f'{name}-{number}', tuple(part), (remark, *remarks)))
    return _with_twins(found), misfits


def series_name(uid: str) -> str:
    """Return the pseudonym of a series, which is the same everywhere."""
    return f'series-{hashlib.sha256(uid.encode()).hexdigest()[:8]}'


def _alike(items: Iterable[Item], same: Callable[[Item, Item], bool]) -> list[list[Item]]:
    """Put items that are the same as the first of a group into that."""
    groups: list[list[Item]] = []
    for item in items:
        group = next((group for group in groups if same(group[0], item)), None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    return groups


def _stacks(
    group: Sequence[Header], misfits: list[MisfitError]
) -> tuple[list[list[Header]], tuple[str, ...]]:
    """Split a series into stacks of parallel slices, and leave out what is in none."""
    angles = sorted(_alike(group, Header.is_parallel), key=_frames, reverse=True)
    stacks, few = [], 0
    for stack in angles:
        if _frames(stack) <= _FEW < _frames(angles[0]):
            few += _frames(stack)
            continue
        most, *others = sorted(_alike(stack, Header.has_same_pixels), key=_frames, reverse=True)
        stacks.append(most)
        misfits += [_misfit(other, most[0]) for other in others]
    remark = f'slices of another angle, left out as localizers would be: {few}'
    return stacks, (remark,) if few else ()


def _frames(group: Sequence[Header]) -> int:
    return sum(len(header.frames) for header in group)


def _misfit(group: Sequence[Header], most: Header) -> MisfitError:
    first, more = group[0], _frames(group) - 1
    slices = f'{first.path} and {more} more' if more else str(first.path)
    msg = f'{slices}: {first.pixels}, where most of the series has {most.pixels}'
    msg = f'{msg}; put the slices of each kind into a folder of their own'
    return MisfitError(msg, first.path)


def _phases(stack: list[Header]) -> list[list[Header]]:
    """Split a stack of several phases, if its files say clearly which slice is of which."""
    enhanced = [header for header in stack if len(header.frames) > 1]
    if enhanced:  # each is a scan
        rest = [header for header in stack if header not in enhanced]
        return [*([header] for header in enhanced), *([rest] if rest else [])]
    several = _most_at_one_position(stack)
    for number, _ in enumerate(_PHASES):
        phases = _alike(
            stack,
            lambda one, other, at=number: (  # type: ignore[misc]
                one.frames[0].acquisition[at] == other.frames[0].acquisition[at]
            ),
        )
        if len(phases) == several and all(_most_at_one_position(phase) == 1 for phase in phases):
            return phases
    return [stack]


def _most_at_one_position(stack: Sequence[Header]) -> int:
    return max(Counter(_positions(stack)).values())


def _positions(stack: Sequence[Header]) -> list[int]:
    """Return where slices lie along their normal, in units of what counts as the same."""
    normal = stack[0].frames[0].normal
    positions = [np.dot(frame.position, normal) for header in stack for frame in header.frames]
    return [round(position / SAME_MM) for position in positions]


def _with_twins(found: list[Series]) -> list[Series]:
    """Say so where two series show the same slices by two kernels."""
    remarks: dict[str, list[str]] = {}
    for one, other in combinations(found, 2):
        kernels = one.headers[0].kernel, other.headers[0].kernel
        if all(kernels) and kernels[0] != kernels[1] and _show_the_same(one, other):
            sharp = [bool(_SHARP_KERNEL.match(kernel)) for kernel in kernels]
            prefer = (
                f'prefer {(one, other)[sharp.index(False)].name}, the smoother one'
                if len(set(sharp)) == 2
                else 'prefer the smoother one'
            )
            for series, twin, kernel in ((one, other, kernels[1]), (other, one, kernels[0])):
                remark = f'the same slices as {twin.name}, whose kernel is {kernel}; {prefer}'
                remarks.setdefault(series.name, []).append(remark)
    return [replace(s, remarks=(*s.remarks, *remarks.get(s.name, []))) for s in found]


def _show_the_same(one: Series, other: Series) -> bool:
    first, second = one.headers[0], other.headers[0]
    return bool(
        first.frame_of_reference
        and first.frame_of_reference == second.frame_of_reference
        and first.is_parallel(second)
        and sorted(_positions(one.headers)) == sorted(_positions(other.headers))
    )
