"""Head space: every head centred and upright, its midline the middle column of the image.

A head lies in the scanner as it lies. Anatomy and symmetry, which tell a hemorrhage from what only
looks like one, are easier to learn when all heads are aligned.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.windows import HU_OFFSET, decode_hu, encode_hu

AIR_HU = -1000
"""What lies beyond the edge of a slice."""
HEAD_THRESHOLD = 10
"""Gray value of the brain window; air and foam are below, skin is above."""
ANGLE_SLICES = 8
"""Slices that the angle is estimated from: more take time and add no precision."""
LARGEST_ANGLE = 44
"""Degrees; beyond, the front and the side of a round head are confused."""
_PATCH = 64  # pixels of the square on which left and right are compared


class Warp(Protocol):
    """Resamples an image linearly by a map that is prepared once."""

    def __call__(self, image: NDArray[Any], outside: int = 0) -> NDArray[Any]:
        """Resample.

        Args:
            image (ndarray): (H, W) or (H, W, C), source.
            outside (int): What lies beyond the source. Defaults to 0.

        Returns:
            ndarray: (height, width) or (height, width, C).
        """


def head_center(brain: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Find the centre of the head in a slice.

    Args:
        brain (ndarray): (H, W), brain window.

    Returns:
        tuple[float, float] | None: x and y of the centroid in pixels; None if no head is seen.
    """
    return _centroid(_head_moments(brain), brain.size)


def head_mask(brain: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the pixels of the head in a slice, with all that it encloses.

    Args:
        brain (ndarray): (H, W), brain window.

    Returns:
        ndarray: (H, W), bool; none where no head is seen.
    """
    mask = np.zeros(brain.shape, np.uint8)
    if (outline := _head_outline(brain)) is not None:
        cv2.drawContours(mask, [outline], -1, 1, cv2.FILLED)
    return mask.view(bool)


def spread_for_angle(count: int) -> list[int]:
    """Choose the slices of a scan of so many that are worth reading for :func:`head_angle`.

    Twice as many as it needs, as it leaves out the small ones near the vertex and the jaw.
    """
    return sorted({int(index) for index in np.linspace(0, count - 1, 2 * ANGLE_SLICES)})


def head_angle(slices: Sequence[NDArray[np.uint8]]) -> float:
    """Find the angle by which the head is turned, as the axis of best mirror symmetry.

    Args:
        slices (sequence): (H, W) slices of one scan, or a single one. Brain window, or better the
            mean of brain and bone window, as the skull is what is symmetric.

    Returns:
        float: Degrees, clockwise as the slice is displayed, within :data:`LARGEST_ANGLE`; 0 if no
        head is seen.
    """
    measured = [(image, _head_moments(image)) for image in slices]
    # Slices near the vertex and the jaw are small and show little symmetry.
    largest = max(moments['m00'] for _, moments in measured)
    large = [
        (image, center)
        for image, moments in measured
        if 2 * moments['m00'] >= largest and (center := _centroid(moments, image.size))
    ]
    if not large:
        return 0.0
    spread = np.linspace(0, len(large) - 1, min(ANGLE_SLICES, len(large)), dtype=int)
    smooth = [
        (cv2.GaussianBlur(image, (0, 0), image.shape[0] / 160), center)
        for image, center in (large[i] for i in spread)
    ]
    coarse = min(range(-LARGEST_ANGLE, LARGEST_ANGLE + 1, 4), key=lambda a: _asymmetry(smooth, a))
    return float(min(range(coarse - 3, coarse + 4), key=lambda a: _asymmetry(smooth, a)))


def head_to_slice_affine(
    center: tuple[float, float],
    angle: float,
    slice_px_per_px: float,
    size: tuple[int, int],
    augment: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Map pixels of an aligned image to pixels of the slice.

    Args:
        center (tuple): x and y of the head's centre in the slice.
        angle (float): By which the head is turned, in degrees.
        slice_px_per_px (float): Side of a pixel of the aligned image in pixels of the slice.
        size (tuple): Height and width of the aligned image.
        augment (ndarray, optional): (3, 3), an affine map of the aligned image about its centre
            that is applied first. Defaults to the identity.

    Returns:
        ndarray: (3, 3), from homogeneous (x, y, 1) of the aligned image to those of the slice.
    """
    height, width = size
    to_center = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    cos, sin = (
        slice_px_per_px * np.cos(np.radians(angle)),
        slice_px_per_px * np.sin(np.radians(angle)),
    )
    to_slice = np.array([[cos, -sin, center[0]], [sin, cos, center[1]], [0, 0, 1.0]])
    affine: NDArray[np.float64] = to_slice @ (np.eye(3) if augment is None else augment) @ to_center
    return affine


def make_warp(
    matrix: NDArray[np.float64],
    size: tuple[int, int],
    displacement: NDArray[np.float32] | None = None,
) -> Warp:
    """Make a function that resamples images linearly.

    Args:
        matrix (ndarray): (3, 3), from target to source pixels.
        size (tuple): Height and width of the target.
        displacement (ndarray, optional): (2, height, width), by how much x and y of the target are
            moved before the matrix applies: an elastic deformation.

    Returns:
        Warp: From a source image to the target.
    """
    height, width = size
    if displacement is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return lambda image, outside=0: cv2.warpAffine(
            image, matrix[:2], (width, height), flags=flags, borderValue=[outside] * 4
        )
    x = np.arange(width, dtype=np.float32) + displacement[0]
    y = np.arange(height, dtype=np.float32)[:, None] + displacement[1]
    (a, b, c), (d, e, f) = matrix[:2].astype(np.float32)
    source_x, source_y = a * x + b * y + c, d * x + e * y + f
    return lambda image, outside=0: cv2.remap(
        image, source_x, source_y, cv2.INTER_LINEAR, borderValue=[outside] * 4
    )


def warp_hu(warp: Warp, hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Resample HU; beyond the edge is air.

    Args:
        warp (Warp): By :func:`make_warp`.
        hu (ndarray): int16, (H, W) or (H, W, C), source.

    Returns:
        ndarray: int16, (height, width) or (height, width, C).
    """
    # Unsigned, as OpenCV is four times as fast then.
    return decode_hu(warp(encode_hu(hu), AIR_HU + HU_OFFSET))


def shrink(image: NDArray[Any], factor: int) -> NDArray[Any]:
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
    covered = image[: height * factor, : width * factor]
    return cv2.resize(covered, (width, height), interpolation=cv2.INTER_AREA)


def shrunk_to_whole_affine(factor: int) -> NDArray[np.float64]:
    """Map pixels of an image that :func:`shrink` made to those of the whole image, (3, 3)."""
    half = (factor - 1) / 2  # pixel centres, not corners, are whole numbers
    return np.array([[factor, 0, half], [0, factor, half], [0, 0, 1.0]])


def whole_to_shrunk_affine(factor: int) -> NDArray[np.float64]:
    """Map pixels of a whole image to those of the one that :func:`shrink` made, (3, 3)."""
    half = (factor - 1) / 2 / factor
    return np.array([[1 / factor, 0, -half], [0, 1 / factor, -half], [0, 0, 1.0]])


def _head_moments(brain: NDArray[np.uint8]) -> dict[str, float]:
    outline = _head_outline(brain)
    return {'m00': 0.0, 'm10': 0.0, 'm01': 0.0} if outline is None else cv2.moments(outline)


def _head_outline(brain: NDArray[np.uint8]) -> NDArray[Any] | None:
    """Outline the largest bright region: no headrest, no cables; None if there is none."""
    bright: NDArray[Any] = (brain > HEAD_THRESHOLD).astype(np.uint8)
    side = max(brain.shape[0] // 130, 1) * 2 + 1  # 5 in a slice of 650 that was shrunk by 2
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(outlines, key=cv2.contourArea, default=None)


def _centroid(moments: dict[str, float], pixels: int) -> tuple[float, float] | None:
    """Return x and y, or None if the region is too small for a head in so many pixels."""
    area = moments['m00']
    return None if area * 500 < pixels else (moments['m10'] / area, moments['m01'] / area)


def _asymmetry(
    slices: Sequence[tuple[NDArray[np.uint8], tuple[float, float]]], angle: float
) -> float:
    total = 0.0
    for image, center in slices:
        size = (_PATCH, _PATCH)
        matrix = head_to_slice_affine(center, angle, image.shape[0] / 1.1 / _PATCH, size)
        patch = make_warp(matrix, size)(image).astype(np.int16)
        total += float(np.abs(patch - patch[:, ::-1]).mean())
    # Where symmetry hardly tells, as in an open skull, a head is more likely upright than not.
    return total * (1 + 0.1 * (angle / LARGEST_ANGLE) ** 2)
