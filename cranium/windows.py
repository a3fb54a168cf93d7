"""CT windows: what range of Hounsfield units (HU) a picture shows as gray values 0 to 255."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """A window of a CT.

    Args:
        level (float): Its middle, in HU.
        width (float): Its width, in HU.

    Examples:
        >>> Window(40, 120).low, Window(40, 120).high
        (-20.0, 100.0)
    """

    level: float
    width: float

    @property
    def low(self) -> float:
        """HU that are shown as gray value 0, as all below are."""
        return self.level - self.width / 2

    @property
    def high(self) -> float:
        """HU that are shown as gray value 255, as all above are."""
        return self.level + self.width / 2

    def to_hu(self, gray: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Convert gray values to HU; 0 and 255 become the ends of the window.

        Args:
            gray (ndarray): uint8 of any shape.

        Returns:
            ndarray: int16 of the same shape.
        """
        return _hu_of_gray(self)[gray]

    def to_gray(self, hu: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.uint8]:
        """Show HU as gray values.

        Args:
            hu (ndarray): Of any shape.

        Returns:
            ndarray: uint8 of the same shape.
        """
        gray = np.asarray(hu, np.float32) - np.float32(self.low)
        gray *= np.float32(255 / self.width)  # in place: memory takes longer than arithmetic
        np.clip(np.rint(gray, out=gray), 0, 255, out=gray)
        return gray.astype(np.uint8)


BRAIN = Window(40, 120)
"""The brain window of ct-ich, -20 to 100 HU, measured against its bone window."""

BONE = Window(700, 3200)
"""The bone window of ct-ich, -900 to 2300 HU."""

HU_OFFSET = 32768
"""Added to HU so that a 16-bit PNG holds them, as in DeepLesion."""


def encode_hu(hu: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Shift HU to what a 16-bit PNG holds.

    Args:
        hu (ndarray): int16 of any shape.

    Returns:
        ndarray: uint16 of the same shape, HU + 32768.
    """
    return hu.view(np.uint16) ^ np.uint16(HU_OFFSET)  # the same as adding it, in one pass


def decode_hu(pixels: NDArray[np.uint16]) -> NDArray[np.int16]:
    """Shift what a 16-bit PNG holds back to HU; see :func:`encode_hu`."""
    return (pixels ^ np.uint16(HU_OFFSET)).view(np.int16)


@lru_cache(maxsize=16)
def _hu_of_gray(window: Window) -> NDArray[np.int16]:
    return np.asarray(np.rint(window.low + np.arange(256) * (window.width / 255)), np.int16)
