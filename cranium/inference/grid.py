"""From head space back to the pixels of a slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OUTSIDE = -20.0
"""Log-odds of hemorrhage beyond the aligned image."""


@dataclass(frozen=True)
class Box:
    """Pixels of a slice: from ``first`` (row, column) to before ``last``."""

    first: tuple[int, int]
    last: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.last[0] - self.first[0], self.last[1] - self.first[1]

    @property
    def inside(self) -> tuple[slice, slice]:
        """What cuts it out of a slice."""
        return slice(self.first[0], self.last[0]), slice(self.first[1], self.last[1])


def map_back(
    log_odds: NDArray[np.float32], affine: NDArray[np.float64], box: Box
) -> NDArray[np.float32]:
    """Resample log-odds from head space to a slice, as ``AlignedEncoderDecoder`` does.

    Interpolation is exact, where OpenCV before version 5 rounds to a 32nd of a pixel.

    Args:
        log_odds (ndarray): (height, width), aligned.
        affine (ndarray): (3, 3), from (x, y, 1) of the aligned image to those of the slice.
        box (Box): The pixels of the slice that are wanted.

    Returns:
        ndarray: float32, of the shape of the box.
    """
    back = np.linalg.inv(affine)[[1, 0]][:, [1, 0, 2]]  # rows come first
    found: NDArray[np.float32] = ndimage.affine_transform(
        log_odds,
        back[:, :2],
        back @ [*box.first, 1],
        box.shape,
        order=1,
        mode='grid-constant',
        cval=OUTSIDE,
    )
    return found


def reach(pixels: NDArray[np.bool_], affine: NDArray[np.float64], shape: tuple[int, int]) -> Box:
    """Find what of a slice such pixels of an aligned image take part in.

    Args:
        pixels (ndarray): (height, width), aligned.
        affine (ndarray): (3, 3), from (x, y, 1) of the aligned image to those of the slice.
        shape (tuple): Height and width of the slice.

    Returns:
        Box: Beyond it all is interpolated from other pixels.
    """
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Box((0, 0), (0, 0))
    corners = [
        (x, y, 1) for x in (columns[0] - 1, columns[-1] + 1) for y in (rows[0] - 1, rows[-1] + 1)
    ]
    places = (np.array(corners) @ affine.T)[:, [1, 0]]
    first = np.clip(np.floor(places.min(axis=0)), 0, shape).astype(int)
    last = np.clip(np.ceil(places.max(axis=0)) + 1, 0, shape).astype(int)
    return Box((int(first[0]), int(first[1])), (int(last[0]), int(last[1])))


def union(boxes: Sequence[Box]) -> Box:
    """Find the smallest box around all that hold something."""
    filled = [box for box in boxes if min(box.shape) > 0] or [Box((0, 0), (0, 0))]
    return Box(
        (min(box.first[0] for box in filled), min(box.first[1] for box in filled)),
        (max(box.last[0] for box in filled), max(box.last[1] for box in filled)),
    )


def hysteresis(log_odds: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Label 1 where a region above ``low``, of eight neighbours, has a pixel above ``high``.

    Args:
        log_odds (ndarray): (H, W).
        low (float): Of the region.
        high (float): Of its surest pixel.

    Returns:
        ndarray: uint8, (H, W).
    """
    certain = log_odds > high
    if low >= high or not certain.any():
        return certain.astype(np.uint8)
    _, regions = cv2.connectedComponents((log_odds > low).astype(np.uint8), connectivity=8)
    kept = np.zeros(int(regions.max()) + 1, np.uint8)
    kept[regions[certain]] = 1
    labels: NDArray[np.uint8] = kept[regions]
    return labels
