"""From head space back to the pixels of a slice."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OUTSIDE = -20.0
"""Log-odds of hemorrhage beyond the aligned image."""


def map_back(
    log_odds: NDArray[np.float32], affine: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Resample log-odds from head space to a slice, as ``AlignedEncoderDecoder`` does.

    Interpolation is exact, where OpenCV before version 5 rounds to a 32nd of a pixel.

    Args:
        log_odds (ndarray): (height, width), aligned.
        affine (ndarray): (3, 3), from (x, y, 1) of the aligned image to those of the slice.
        shape (tuple): Height and width of the slice.

    Returns:
        ndarray: float32, (H, W).
    """
    found = np.full(shape, OUTSIDE, np.float32)
    (top, left), (bottom, right) = _reach(log_odds.shape, affine, shape)
    if top >= bottom or left >= right:
        return found
    back = np.linalg.inv(affine)[[1, 0]][:, [1, 0, 2]]  # rows come first
    offset = back @ [top, left, 1]
    found[top:bottom, left:right] = ndimage.affine_transform(
        log_odds,
        back[:, :2],
        offset,
        (bottom - top, right - left),
        order=1,
        mode='grid-constant',
        cval=OUTSIDE,
    )
    return found


def _reach(
    aligned: tuple[int, ...], affine: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First (row, column) of the slice that the aligned image reaches, and the ones after it."""
    height, width = aligned
    corners = np.array([[x, y, 1] for x in (-1, width) for y in (-1, height)])
    places = (corners @ affine.T)[:, [1, 0]]
    first = np.clip(np.floor(places.min(axis=0)), 0, shape).astype(int)
    last = np.clip(np.ceil(places.max(axis=0)) + 1, 0, shape).astype(int)
    return first, last


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
