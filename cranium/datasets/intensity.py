"""Random changes of gray values."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from .sample import Sample

_PIVOT = 0.4  # of the window, between brain and blood: the gray value that contrast keeps


@TRANSFORMS.register_module()
@dataclass(eq=False)
class DistortWindow(BaseTransform):
    """Change brightness, contrast and gamma of the brain window, blur it, add noise.

    mmseg's PhotoMetricDistortion goes through hue and saturation, which a gray image has none of;
    here the first three are one table of 256 entries, which keeps air (0). The bone window, which
    shows the skull, stays as it is; the neighbours change alike, but each gets its own noise.
    Comes after ``AlignHead``, or after ``LoadScan`` alone.

    Args:
        brightness (float): Standard deviation of the shift, as a share of the window. Defaults
            to 0.04.
        contrast (float): Standard deviation of the logarithm of the factor. Defaults to 0.12.
        gamma (float): Standard deviation of the logarithm of the exponent. Defaults to 0.12.
        curve_prob (float): Probability of these three. Defaults to 0.8.
        blur_px (tuple): Range of the Gaussian's standard deviation in pixels of the whole slice.
            Defaults to (1, 3).
        blur_prob (float): Defaults to 0.3.
        noise (float): Largest standard deviation, as a share of the window. Defaults to 0.06.
        noise_prob (float): Defaults to 0.5.
    """

    brightness: float = 0.04
    contrast: float = 0.12
    gamma: float = 0.12
    curve_prob: float = 0.8
    blur_px: tuple[float, float] = (1.0, 3.0)
    blur_prob: float = 0.3
    noise: float = 0.06
    noise_prob: float = 0.5

    def transform(self, results: Sample) -> Sample:
        """Change the gray values; type and shape are kept."""
        *channels, bone = cv2.split(results['img'])
        # One channel below the other: OpenCV is fastest on an image of one channel.
        brains: NDArray[Any] = np.concatenate(channels)
        if np.random.random() < self.curve_prob:
            brains = cv2.LUT(brains, self._draw_curve())
        if np.random.random() < self.blur_prob:
            sigma = np.random.uniform(*self.blur_px) / results.get('slice_px_per_px', 1)
            for image in np.split(brains, len(channels)):
                cv2.GaussianBlur(image, (0, 0), sigma, dst=image)
        if np.random.random() < self.noise_prob:
            brains = _add_noise(brains, 255 * np.random.uniform(0, self.noise))
        results['img'] = cv2.merge([*np.split(brains, len(channels)), bone])
        return results

    def _draw_curve(self) -> NDArray[np.uint8]:
        """A table from old to new gray values."""
        factor, exponent = np.exp(np.random.normal(0, (self.contrast, self.gamma)))
        gray = np.linspace(0, 1, 256) ** exponent
        gray = (gray - _PIVOT) * factor + _PIVOT + np.random.normal(0, self.brightness)
        table: NDArray[np.uint8] = np.clip(255 * gray, 0, 255).round().astype(np.uint8)
        table[0] = 0
        return table


def _add_noise(image: NDArray[Any], deviation: float) -> NDArray[Any]:
    # OpenCV draws three times as fast as NumPy; its seed comes from np.random as all else does.
    cv2.setRNGSeed(np.random.randint(2**31))
    noise: NDArray[Any] = np.empty(image.shape, np.int16)
    cv2.randn(noise, np.zeros(1), np.full(1, deviation))
    return cv2.add(image, noise, dtype=cv2.CV_8U)
