"""What a network sees of a slice: it is shrunk, the head's pose found, and HU shown in windows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import (
    head_angle,
    head_center,
    shrink,
    shrunk_to_whole_affine,
    spread_for_angle,
)
from cranium.windows import BONE, BRAIN, Window

SOFT_HU = (-100, 200)
"""The range of soft tissue: beyond it are fat and air, and bone."""


@dataclass(frozen=True)
class ShrunkSlice:
    """A slice as networks in HU begin with it.

    It is clipped to soft tissue before it is shrunk: the mean of brain and bone would be that of
    blood.

    Attributes:
        soft (ndarray): (H, W) int16, soft tissue in HU, shrunk.
        range (ndarray): (H, W) int16, all HU, shrunk.
        shape (tuple): Height and width of the whole slice.
        factor (int): By which it was shrunk.
    """

    soft: NDArray[np.int16]
    range: NDArray[np.int16]
    shape: tuple[int, int]
    factor: int

    @classmethod
    def of(cls, hu: NDArray[np.int16], factor: int) -> 'ShrunkSlice':
        """Shrink a slice, (H, W), by a whole factor."""
        soft = np.clip(hu, *SOFT_HU)
        return cls(shrink(soft, factor), shrink(hu, factor), hu.shape, factor)

    @cached_property
    def center(self) -> tuple[float, float] | None:
        """The head's (x, y) in pixels of the whole slice; None if no head is seen."""
        found = head_center(BRAIN.to_gray(self.soft))
        if found is None:
            return None
        x, y, _ = shrunk_to_whole_affine(self.factor) @ [*found, 1]
        return float(x), float(y)

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) of the middle of the whole slice, for want of a head."""
        height, width = self.shape
        return (width - 1) / 2, (height - 1) / 2

    @property
    def gray(self) -> NDArray[Any]:
        """(H, W) uint8, the mean of brain and bone window.

        Of a slice that only a brain window has shown, that alone: in the bone window its air would
        not be black.
        """
        brain = BRAIN.to_gray(self.soft)
        if self.range.max() <= BRAIN.high:
            return brain
        return cv2.addWeighted(brain, 0.5, BONE.to_gray(self.range), 0.5, 0)


def scan_angle(count: int, read: Callable[[int], ShrunkSlice]) -> float:
    """Find the angle of the head in a scan, from slices spread over it.

    Args:
        count (int): How many slices the scan has.
        read (Callable): Gives the slice of a number from 0.

    Returns:
        float: See :func:`~cranium.head.head_angle`.
    """
    return head_angle([read(index).gray for index in spread_for_angle(count)])


def stack_planes(stack: Sequence[ShrunkSlice]) -> NDArray[np.int16]:
    """Put a slice and its neighbours together.

    Args:
        stack (Sequence[ShrunkSlice]): The slice in the middle, the lowest neighbour first.

    Returns:
        ndarray: (H, W, planes) int16 HU: the soft tissue of each, then the slice itself over its
        whole range.
    """
    planes = cv2.merge([*(each.soft for each in stack), stack[len(stack) // 2].range])
    return np.asarray(planes, np.int16)


def check_views(views: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is no view.

    Args:
        views (Sequence[Mapping]): Each with ``level`` and ``width`` of a window in HU, and perhaps
            ``planes``: 'stack', the slice and its neighbours as soft tissue (the default),
            'middle', of these the slice alone, or 'range', the slice over its whole range.

    Raises:
        CraniumError: A view has other keys, another word for the planes, or no width.
    """
    for view in views:
        rest = {key: value for key, value in view.items() if key != 'planes'}
        if (
            set(rest) != {'level', 'width'}
            or rest['width'] <= 0
            or view.get('planes', 'stack') not in ('stack', 'middle', 'range')
        ):
            msg = f'WindowCT cannot show {view}; expected dict(level=HU, width=HU, planes=NAME)'
            raise CraniumError(f"{msg}, NAME being 'stack', 'middle' or 'range'")


def show_views(views: Sequence[Mapping[str, Any]], hu: NDArray[Any]) -> NDArray[np.float32]:
    """Show HU in windows.

    Args:
        views (Sequence[Mapping]): See :func:`check_views`.
        hu (ndarray): (H, W, planes), as :func:`stack_planes` gives it.

    Returns:
        ndarray: (H, W, channels) float32, from 0 to 255, one channel for each plane of each view.
    """
    hu = hu.astype(np.float32, copy=False)
    gray = cv2.transform(hu, _view_matrix(views, hu.shape[2])).reshape(*hu.shape[:2], -1)
    return np.asarray(np.clip(gray, 0, 255, out=gray), np.float32)


def _view_matrix(views: Sequence[Mapping[str, Any]], planes: int) -> NDArray[np.float64]:
    """(channels, planes + 1), from the HU of a pixel and 1 to gray values."""
    chosen = {
        'stack': range(planes - 1),
        'middle': [(planes - 1) // 2],
        'range': [planes - 1],
    }
    rows = []
    for view in views:
        window = Window(view['level'], view['width'])
        for plane in chosen[view.get('planes', 'stack')]:
            row = np.zeros(planes + 1)
            row[plane], row[-1] = 255 / window.width, -window.low * 255 / window.width
            rows.append(row)
    return np.array(rows)
