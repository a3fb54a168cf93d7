"""Whether the two windows of a scan show what they are said to show, and the same slices.

Both are views of one measurement, so what one shows tells what the other must show. Of 66 patients
of ct-ich, 110 in the brain window stands beside 74.19 to 74.31 in the bone window in 64, and the
correlation of the pair is above 0.99 in all but one; patients 050 and 081 are the exceptions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.windows import BONE, BRAIN, Window

Image = NDArray[np.uint8]
Item = TypeVar('Item')

# Slices of a scan that are looked at: all slices of a scan are rendered alike.
SLICES = 8

REFERENCE_GRAY = 110
"""Gray value of the brain window, between brain and blood, at which the windows are compared."""

GRAY_TOLERANCE = 0.5  # of the bone window; 6 HU
LEAST_CORRELATION = 0.98
_BLOCK = 10  # pixels of a block that JPEG noise is averaged over
_LARGEST_OFFSET = 4  # slices
_GRAYS = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class WindowCheck:
    """What the two windows of a scan say of each other.

    Args:
        bone_gray (float): Gray value of the bone window beside ``REFERENCE_GRAY`` in the brain
            window; nan where too little soft tissue is seen.
        expected (float): What it must be.
        correlation (float): Median over slices of the correlation of both windows in HU; nan
            without pairs.
    """

    bone_gray: float
    expected: float
    correlation: float

    @property
    def same_slices(self) -> bool:
        """Whether pairs show the same slice, as far as can be told."""
        return not self.correlation < LEAST_CORRELATION

    @property
    def same_windows(self) -> bool:
        """Whether the windows are the expected ones, as far as can be told."""
        return not abs(self.bone_gray - self.expected) > GRAY_TOLERANCE


def check_windows(
    pairs: Sequence[tuple[Image, Image]], brain: Window = BRAIN, bone: Window = BONE
) -> WindowCheck:
    """Compare the windows of a scan.

    Args:
        pairs (sequence): Of some slices, brain and bone window, uint8 of shape (H, W).
        brain (Window): What the brain window is taken for.
        bone (Window): What the bone window is taken for.

    Returns:
        WindowCheck: Their relation.
    """
    low = (brain.low + brain.width * REFERENCE_GRAY / 255 - bone.low) * 255 / bone.width
    correlations = [_correlation(*pair, brain, bone) for pair in pairs]
    defined = [value for value in correlations if not np.isnan(value)]
    return WindowCheck(_bone_gray(pairs), low, float(np.median(defined)) if defined else np.nan)


def find_offset(brains: Mapping[int, Image], bones: Mapping[int, Image]) -> int | None:
    """Find by how many slices the bone window is late.

    Args:
        brains (mapping): Brain windows by slice number.
        bones (mapping): Bone windows by slice number.

    Returns:
        int | None: The offset such that brain n belongs to bone n + offset; None where none fits.
    """
    found = {}
    for offset in range(-_LARGEST_OFFSET, _LARGEST_OFFSET + 1):
        pairs = [(brains[n], bones[n + offset]) for n in brains if n + offset in bones]
        if pairs:
            found[offset] = check_windows(spread(pairs)).correlation
    best = max(found, key=lambda offset: np.nan_to_num(found[offset], nan=-1), default=None)
    return best if best is not None and found[best] >= LEAST_CORRELATION else None


def spread(items: Sequence[Item], count: int = SLICES) -> list[Item]:
    """Take at most ``count`` items, evenly spread over all."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[index] for index in chosen]


def _bone_gray(pairs: Sequence[tuple[Image, Image]]) -> float:
    """Gray value of the bone window where the brain window has its reference, by regression."""
    blocks = [_soft_tissue(brain, bone) for brain, bone in pairs]
    if not blocks:
        return np.nan
    brain, bone = np.concatenate(blocks, axis=1)
    if len(brain) < 100 or np.ptp(brain) < 20:
        return np.nan
    slope, intercept = np.polyfit(brain, bone, 1)
    return float(slope * REFERENCE_GRAY + intercept)


def _soft_tissue(brain: Image, bone: Image) -> NDArray[np.float64]:
    """Means of both windows, (2, n), over blocks in which the brain window is not saturated."""
    height, width = (length // _BLOCK for length in brain.shape)
    if min(height, width) == 0:
        return np.empty((2, 0))
    brain, bone = (x[: height * _BLOCK, : width * _BLOCK] for x in (brain, bone))
    rows = brain.reshape(height, _BLOCK, width * _BLOCK)
    lowest = rows.min(1).reshape(height, width, _BLOCK).min(2)
    highest = rows.max(1).reshape(height, width, _BLOCK).max(2)
    inside = (lowest > 20) & (highest < 235)
    means = [
        cv2.resize(x.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)[inside]
        for x in (brain, bone)
    ]
    return np.asarray(means, np.float64)


def _correlation(brain_gray: Image, bone_gray: Image, brain: Window, bone: Window) -> float:
    """Correlation of both windows in HU, over what both show, at a quarter of the size."""
    if min(brain_gray.shape) < 4:
        return np.nan
    views = []
    for gray, window in ((brain_gray, brain), (bone_gray, bone)):
        hu = cv2.LUT(gray, np.clip(window.to_hu(_GRAYS), brain.low, brain.high).astype(np.float32))
        small = cv2.resize(hu, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        views.append(np.asarray(small, np.float64).ravel())
    if min(np.ptp(view) for view in views) == 0:
        return np.nan
    return float(np.corrcoef(views[0], views[1])[0, 1])
