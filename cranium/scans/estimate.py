"""The window of 8-bit pictures that nobody has told, from what brain looks like in them."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.head import head_mask
from cranium.windows import BRAIN, Window

BRAIN_HU = 30.5
"""A quarter of the brain lies below: white matter, which hemorrhage hardly moves."""
SPREAD_HU = 9.4
"""From there to the quarter above, gray matter."""
_SPREAD_ERROR = 0.2  # standard deviation of its logarithm from slice to slice
_DOUBT_HU, _DOUBT_SPREAD = 6.0, 0.5  # two and a half times what slices vary by
_USUAL_WIDTH, _WIDTH_ERROR = 110.0, 0.4  # of windows that brain is looked at in, likewise
_WIDTHS = (50.0, 300.0)
_LEVELS = (20.0, 60.0)
_HEAD_PX = 100  # side of a head that is shrunk, so that noise hardly counts
_SKULL = 0.1  # of that side lie scalp and skull
_LEAST_PX = 500


def estimate_window(pictures: Iterable[NDArray[np.uint8]]) -> Window | None:
    """Estimate the window that pictures of one scan show.

    The darkest quarter of the brain ends at 30.5 HU, and the half in the middle spans 9.4 HU. How
    the spread varies is weighed against the windows that are usual. The brain window stands where
    brain may look like that in it: the estimate of a lone slice is 5 HU off where blood is.

    Args:
        pictures (iterable): (H, W), uint8.

    Returns:
        Window | None: Of whole HU; None where no brain is seen, or where it looks unlike itself in
        any window that is used for it.
    """
    brain = np.concatenate([np.zeros(0, np.uint8), *map(_brain, pictures)])
    if len(brain) < _LEAST_PX:
        return None
    lower, upper = np.percentile(brain, (25, 75))
    if upper <= lower:
        return None
    measured, trust = 255 * SPREAD_HU / (upper - lower), (_WIDTH_ERROR / _SPREAD_ERROR) ** 2
    in_brain_window = BRAIN.low + BRAIN.width * lower / 255
    if (
        abs(in_brain_window - BRAIN_HU) <= _DOUBT_HU
        and abs(np.log(measured / BRAIN.width)) <= _DOUBT_SPREAD
    ):
        return BRAIN
    width = np.exp((trust * np.log(measured) + np.log(_USUAL_WIDTH)) / (trust + 1))
    level = BRAIN_HU + width * (0.5 - lower / 255)
    if not (_WIDTHS[0] <= measured <= _WIDTHS[1] and _LEVELS[0] <= level <= _LEVELS[1]):
        return None
    return Window(float(round(level)), float(round(width)))


def _brain(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels of a picture deep in the head that are neither black nor white."""
    head = head_mask(picture)
    side = float(np.sqrt(np.count_nonzero(head)))
    if not side:
        return np.zeros(0, np.uint8)
    size = tuple(max(round(n * _HEAD_PX / side), 1) for n in picture.shape[::-1])
    gray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(head.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    reach = 2 * round(_SKULL * _HEAD_PX) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    deep = cv2.erode(small, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    return np.asarray(gray[deep & (gray > 0) & (gray < 255)], np.uint8)
