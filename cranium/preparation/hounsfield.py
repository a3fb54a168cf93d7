"""From the two 8-bit windows of a slice to one slice in Hounsfield units (HU).

The brain window resolves half a HU but ends at bone and air; the bone window reaches further and
resolves 12.5 HU. Together they are one measurement.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.windows import BONE, BRAIN, Window

# JPEG leaves saturated pixels near the ends of a picture; black is 1 in most scans and 2 in 050.
_BLACK, _WHITE = 4, 254

# So far above the lower end of the bone window lie JPEG's noise on air and the edge of the skin.
_AIR_HU = 200


def combine(
    brain: NDArray[np.uint8],
    bone: NDArray[np.uint8] | None,
    brain_window: Window = BRAIN,
    bone_window: Window = BONE,
) -> NDArray[np.int16]:
    """Measure a slice by its brain window and, where that is saturated, by its bone window.

    What the bone window shows within 200 HU of its lower end is air, and becomes -900 HU.

    Args:
        brain (ndarray): uint8 of shape (H, W).
        bone (ndarray, optional): uint8 of shape (H, W); without it the slice ends where the brain
            window does.
        brain_window (Window): What ``brain`` shows. Defaults to that of ct-ich.
        bone_window (Window): What ``bone`` shows. Defaults to that of ct-ich.

    Returns:
        ndarray: int16 of shape (H, W), HU.
    """
    if bone is None:
        return brain_window.to_hu(brain)
    lowest, highest, wide = _tables(brain_window, bone_window)
    # Where the brain window measures, both bounds are what it measures.
    hu = cv2.LUT(bone, wide)
    cv2.max(hu, cv2.LUT(brain, lowest), dst=hu)
    cv2.min(hu, cv2.LUT(brain, highest), dst=hu)
    return np.asarray(hu, np.int16)


@lru_cache(maxsize=16)
def _tables(brain_window: Window, bone_window: Window) -> tuple[NDArray[np.int16], ...]:
    """HU by gray value: bounds by that of the brain window, within them that of the bone window."""
    grays = np.arange(256, dtype=np.uint8)
    lowest, wide = brain_window.to_hu(grays), bone_window.to_hu(grays)
    highest = lowest.copy()
    lowest[: _BLACK + 1] = np.iinfo(np.int16).min
    highest[: _BLACK + 1] = round(brain_window.low)
    lowest[_WHITE:] = round(brain_window.high)
    highest[_WHITE:] = np.iinfo(np.int16).max
    wide[wide <= bone_window.low + _AIR_HU] = round(BONE.low)
    return lowest, highest, wide
