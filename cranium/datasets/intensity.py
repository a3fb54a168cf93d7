"""Random changes of Hounsfield units, and the windows of them that a network sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.views import check_views, show_views
from cranium.windows import BRAIN

from .sample import Sample

_PIVOT_HU = 30  # brain, which a slope keeps
_THICK_WEIGHT = 0.25  # of each neighbour, at most


@TRANSFORMS.register_module()
@dataclass(eq=False)
class DistortHU(BaseTransform):
    """Change soft tissue as another scanner would: offset, slope, thicker slices, blur, noise.

    The slices of the stack change alike, but each gets its own noise. The whole range, which shows
    the skull, stays as it is; or it shows no more than a brain window does, so that a network
    learns to do without. Comes after ``AlignHead``, or after ``LoadScan`` alone.

    Args:
        offset_hu (float): Standard deviation. Defaults to 4.
        slope (float): Standard deviation of the logarithm of the factor by which the distance to
            30 HU grows. Defaults to 0.1.
        curve_prob (float): Probability of these two. Defaults to 0.8.
        thick_prob (float): Probability of mixing the slice with those beside it, each with up to a
            quarter of the weight. Defaults to 0.
        blur_mm (tuple): Range of the Gaussian's standard deviation. Defaults to (0.36, 1.08).
        blur_prob (float): Defaults to 0.3.
        noise_hu (float): Largest standard deviation. Defaults to 7.
        noise_prob (float): Defaults to 0.5.
        no_bone_prob (float): Probability of clipping the whole range to the brain window.
            Defaults to 0.15.
        lone_prob (float): Probability of putting the slice in the place of its neighbours, as where
            one slice is all there is. Defaults to 0.
    """

    offset_hu: float = 4.0
    slope: float = 0.1
    curve_prob: float = 0.8
    thick_prob: float = 0.0
    blur_mm: tuple[float, float] = (0.36, 1.08)
    blur_prob: float = 0.3
    noise_hu: float = 7.0
    noise_prob: float = 0.5
    no_bone_prob: float = 0.15
    lone_prob: float = 0.0

    def transform(self, results: Sample) -> Sample:
        """Change ``img``, which becomes float32."""
        *stack, whole_range = cv2.split(results['img'])
        # One slice below the other: OpenCV is fastest on an image of one channel.
        soft: NDArray[Any] = np.concatenate(stack, dtype=np.float32)
        slices = np.split(soft, len(stack))  # views
        if np.random.random() < self.curve_prob:
            slope = np.exp(np.random.normal(0, self.slope))
            soft *= slope
            soft += _PIVOT_HU * (1 - slope) + np.random.normal(0, self.offset_hu)
        if np.random.random() < self.thick_prob:
            _thicken(slices, np.random.uniform(0, _THICK_WEIGHT))
        if np.random.random() < self.blur_prob:
            sigma = np.random.uniform(*self.blur_mm) / results['img_pixel_mm']
            for image in slices:
                cv2.GaussianBlur(image, (0, 0), sigma, dst=image)
        if np.random.random() < self.noise_prob:
            soft += _noise(soft.shape, np.random.uniform(0, self.noise_hu))
        if np.random.random() < self.lone_prob:
            for image in slices:
                image[:] = slices[len(slices) // 2]
        if np.random.random() < self.no_bone_prob:
            whole_range = np.clip(whole_range, BRAIN.low, BRAIN.high)
        results['img'] = cv2.merge([*slices, whole_range.astype(np.float32)])
        return results


def _thicken(slices: Sequence[NDArray[np.float32]], weight: float) -> None:
    """Mix the middle slice with those beside it, in place."""
    middle = len(slices) // 2
    if middle:
        slices[middle][:] *= 1 - 2 * weight
        slices[middle][:] += weight * (slices[middle - 1] + slices[middle + 1])


def _noise(shape: tuple[int, ...], deviation: float) -> NDArray[Any]:
    # OpenCV draws three times as fast as NumPy; its seed comes from np.random as all else does.
    cv2.setRNGSeed(np.random.randint(2**31))
    noise: NDArray[Any] = np.empty(shape, np.float32)
    cv2.randn(noise, np.zeros(1), np.full(1, deviation))
    return noise


@TRANSFORMS.register_module()
@dataclass(eq=False)
class WindowCT(BaseTransform):
    """Turn HU into the channels that the network sees: CT windows, as on a radiologist's screen.

    Comes after all that reads HU.

    Args:
        views (Sequence[dict]): Windows in the order of the channels, each with ``level`` and
            ``width`` in HU and the ``planes`` that are shown in it: 'stack', the slice and its
            neighbours as soft tissue (the default), 'middle', of these the slice alone, or 'range',
            the slice over its whole range.

    Raises:
        CraniumError: A view has other keys, another word for the planes, or no width.

    Examples:
        >>> import numpy as np
        >>> hu = np.array([[[10, 40, 70, 1500]]], np.int16)
        >>> views = [dict(level=40, width=120), dict(level=700, width=3200, planes='range')]
        >>> WindowCT(views)(dict(img=hu))['img'].tolist()
        [[[63.75, 127.5, 191.25, 191.25]]]
    """

    views: Sequence[dict[str, Any]]

    def __post_init__(self) -> None:  # noqa: D105
        check_views(self.views)

    def transform(self, results: Sample) -> Sample:
        """Make ``img`` float32 from 0 to 255, one channel for each plane of each view."""
        results['img'] = show_views(self.views, results['img'])
        return results
