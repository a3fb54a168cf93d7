"""From the two 8-bit windows of a slice to one slice in Hounsfield units (HU).

The brain window resolves half a HU but ends at bone and air; the bone window reaches further and
resolves 12.5 HU. Together they are one measurement.
"""

import numpy as np
from numpy.typing import NDArray

from cranium.windows import BONE, BRAIN, Window

# JPEG leaves the saturated pixels of a picture within one gray value of its ends.
_BLACK, _WHITE = 1, 254


def combine(
    brain: NDArray[np.uint8],
    bone: NDArray[np.uint8] | None,
    brain_window: Window = BRAIN,
    bone_window: Window = BONE,
) -> NDArray[np.int16]:
    """Measure a slice by its brain window and, where that is saturated, by its bone window.

    Args:
        brain (ndarray): uint8 of shape (H, W).
        bone (ndarray, optional): uint8 of shape (H, W); without it the slice ends where the brain
            window does.
        brain_window (Window): What ``brain`` shows. Defaults to that of ct-ich.
        bone_window (Window): What ``bone`` shows. Defaults to that of ct-ich.

    Returns:
        ndarray: int16 of shape (H, W), HU.
    """
    hu = brain_window.to_hu(brain)
    if bone is None:
        return hu
    wide = bone_window.to_hu(bone)
    low, high = np.int16(round(brain_window.low)), np.int16(round(brain_window.high))
    np.copyto(hu, np.maximum(wide, high), where=brain >= _WHITE)
    np.copyto(hu, np.minimum(wide, low), where=brain <= _BLACK)
    return hu
