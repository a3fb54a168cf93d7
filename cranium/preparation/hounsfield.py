"""From the two 8-bit windows of a slice to one slice in Hounsfield units (HU).

The brain window resolves half a HU but ends at bone and air; the bone window reaches further and
resolves 12.5 HU. Together they are one measurement.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.windows import BONE, BRAIN, Window

# JPEG leaves the saturated pixels of a picture within one gray value of its ends.
_BLACK, _WHITE = 1, 254

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
    pairs = cv2.merge([bone, brain]).view('<u2')[..., 0]
    return _hu_of_pair(brain_window, bone_window).take(pairs)


@lru_cache(maxsize=16)
def _hu_of_pair(brain_window: Window, bone_window: Window) -> NDArray[np.int16]:
    """HU by 256 times the gray value of the brain window plus that of the bone window."""
    brain, bone = (gray.astype(np.uint8) for gray in np.divmod(np.arange(2**16), 2**8))
    hu, wide = brain_window.to_hu(brain), bone_window.to_hu(bone)
    wide[wide <= bone_window.low + _AIR_HU] = round(BONE.low)
    low, high = np.int16(round(brain_window.low)), np.int16(round(brain_window.high))
    np.copyto(hu, np.maximum(wide, high), where=brain >= _WHITE)
    np.copyto(hu, np.minimum(wide, low), where=brain <= _BLACK)
    return hu
