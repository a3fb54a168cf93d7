"""The frame that every head is brought into: centred, upright, left and right mirrored at its axis.

A head lies in the scanner as it lies. Anatomy and symmetry, which tell a hemorrhage from what only
looks like one, are easier to learn when the midline is always the middle column of the image.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Air and foam are 0 in the brain window; skin is above this.
HEAD_THRESHOLD = 10
# Slices that the angle is estimated from: more add time, not precision.
ANGLE_SLICES = 8
LARGEST_ANGLE = 44  # degrees; beyond it front and side of a round head are confused
_PATCH = 64  # pixels of the square on which left and right are compared


def head_center(brain: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Find the centre of the head in a slice.

    Args:
        brain (ndarray): (H, W), brain window.

    Returns:
        tuple[float, float] | None: x and y of the centroid in pixels; None where no head is seen.
    """
    return _centroid(_head_moments(brain), brain.size)


def head_angle(slices: Sequence[NDArray[np.uint8]]) -> float:
    """Find the angle by which the head is turned, as the axis of best mirror symmetry.

    Args:
        slices (sequence): (H, W) slices of one scan, or a single one. Brain window, or better the
            mean of brain and bone window, as the skull is what is symmetric.

    Returns:
        float: Degrees, clockwise as the slice is displayed, within :data:`LARGEST_ANGLE`; 0 where
        no head is seen.
    """
    measured = [(image, _head_moments(image)) for image in slices]
    # Near the vertex and the jaw little can be seen of the symmetry.
    largest = max(moments['m00'] for _, moments in measured)
    large = [
        (image, center)
        for image, moments in measured
        if 2 * moments['m00'] >= largest and (center := _centroid(moments, image.size))
    ]
    if not large:
        return 0.0
    chosen = [
        large[i] for i in np.linspace(0, len(large) - 1, min(ANGLE_SLICES, len(large)), dtype=int)
    ]
    smooth = [(cv2.GaussianBlur(image, (0, 0), image.shape[0] / 160), c) for image, c in chosen]
    coarse = min(range(-LARGEST_ANGLE, LARGEST_ANGLE + 1, 4), key=lambda a: _asymmetry(smooth, a))
    return float(min(range(coarse - 3, coarse + 4), key=lambda a: _asymmetry(smooth, a)))


def frame_matrix(
    center: tuple[float, float],
    angle: float,
    spacing: float,
    size: tuple[int, int],
    augment: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Map pixels of the frame to pixels of the slice.

    Args:
        center (tuple): x and y of the head's centre in the slice.
        angle (float): By which the head is turned, in degrees.
        spacing (float): Pixels of the slice for a pixel of the frame.
        size (tuple): Height and width of the frame.
        augment (ndarray, optional): (3, 3), an affine map of the frame about its centre that comes
            first. Defaults to the identity.

    Returns:
        ndarray: (3, 3), from homogeneous (x, y, 1) of the frame to those of the slice.
    """
    height, width = size
    to_center = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    cos, sin = np.cos(np.radians(angle)) * spacing, np.sin(np.radians(angle)) * spacing
    to_slice = np.array([[cos, -sin, center[0]], [sin, cos, center[1]], [0, 0, 1.0]])
    return to_slice @ (np.eye(3) if augment is None else augment) @ to_center


def warp(image: NDArray, matrix: NDArray, size: tuple[int, int]) -> NDArray:
    """Resample an image, linearly, by an affine map from target to source pixels.

    Args:
        image (ndarray): (H, W) or (H, W, C), source.
        matrix (ndarray): (3, 3), from target to source pixels.
        size (tuple): Height and width of the target.

    Returns:
        ndarray: (height, width) or (height, width, C), 0 where the source ends.
    """
    return warps(matrix, size)(image)


def warps(
    matrix: NDArray, size: tuple[int, int], shift: NDArray | None = None
) -> Callable[[NDArray], NDArray]:
    """Make what resamples images of one slice, linearly, by a map from target to source pixels.

    Args:
        matrix (ndarray): (3, 3), from target to source pixels.
        size (tuple): Height and width of the target.
        shift (ndarray, optional): (2, height, width) float32, by how much the target's x and y are
            moved before the matrix applies: an elastic deformation.

    Returns:
        Callable: As ``warp``.
    """
    height, width = size
    if shift is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return lambda image: cv2.warpAffine(image, matrix[:2], (width, height), flags=flags)
    x = np.arange(width, dtype=np.float32) + shift[0]
    y = np.arange(height, dtype=np.float32)[:, None] + shift[1]
    (a, b, c), (d, e, f) = matrix[:2].astype(np.float32)
    # Computed once for all images, and in the integers that OpenCV would turn them into each time.
    maps = cv2.convertMaps(a * x + b * y + c, d * x + e * y + f, cv2.CV_16SC2)
    return lambda image: cv2.remap(image, *maps, cv2.INTER_LINEAR)


def shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shrink an image by a whole factor, each pixel the mean of those that it covers.

    Args:
        image (ndarray): (H, W) or (H, W, C).
        factor (int): 1 changes nothing.

    Returns:
        ndarray: (H // factor, W // factor) or (H // factor, W // factor, C).
    """
    if factor == 1:
        return image
    height, width = (length // factor for length in image.shape[:2])
    whole = image[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)


def grown(matrix: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Turn a map to the pixels of a shrunk image into one to those of the whole image.

    Args:
        matrix (ndarray): (3, 3), to the pixels of an image that was shrunk.
        factor (int): By which it was shrunk.

    Returns:
        ndarray: (3, 3).
    """
    half = (factor - 1) / 2  # pixel centres, not corners, are whole numbers
    return np.array([[factor, 0, half], [0, factor, half], [0, 0, 1.0]]) @ matrix


def _head_moments(brain: NDArray[np.uint8]) -> dict[str, float]:
    """Moments of the largest bright region with its holes filled: no headrest, no cables."""
    bright = (brain > HEAD_THRESHOLD).astype(np.uint8)
    side = max(brain.shape[0] // 130, 1) * 2 + 1  # 5 in a slice of 650 that was shrunk by 2
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return {'m00': 0.0, 'm10': 0.0, 'm01': 0.0}
    return cv2.moments(max(outlines, key=cv2.contourArea))


def _centroid(moments: dict[str, float], pixels: int) -> tuple[float, float] | None:
    """Return x and y, or None where the region is too small for a head in so many pixels."""
    area = moments['m00']
    return None if area * 500 < pixels else (moments['m10'] / area, moments['m01'] / area)


def _asymmetry(slices: Sequence[tuple[NDArray, tuple[float, float]]], angle: float) -> float:
    total = 0.0
    for image, center in slices:
        spacing = image.shape[0] / 1.1 / _PATCH
        matrix = frame_matrix(center, angle, spacing, (_PATCH, _PATCH))
        patch = warp(image, matrix, (_PATCH, _PATCH)).astype(np.int16)
        total += float(np.abs(patch - patch[:, ::-1]).mean())
    # Where symmetry hardly tells, as in an open skull, a head is rather upright than not.
    return total * (1 + 0.1 * (angle / LARGEST_ANGLE) ** 2)
