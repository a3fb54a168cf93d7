"""Crops that see enough of a thin class."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.registry import TRANSFORMS

HEMORRHAGE = 1


@TRANSFORMS.register_module()
class CropOnHemorrhage(BaseTransform):
    """Cut a window out of a slice, often around one of its pixels of hemorrhage.

    With the probability ``prob`` a pixel of hemorrhage is drawn, each alike, and then one of the
    windows that hold it, each alike. Else, and where the slice has none, all windows inside the
    slice are alike. A window does not reach beyond the slice, unless the slice is smaller: then it
    is padded below and on the right.

    Randomness is NumPy's global one, which the data loader seeds for each worker.

    Args:
        size (Sequence[int]): Height and width of the window, in pixels.
        prob (float): From 0 to 1. Defaults to 0.5.
        pad_val (int): Value of padded pixels of the image. Defaults to 0, air.
        ignore_index (int): Label of padded pixels of the mask. Defaults to 255.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> train_pipeline = [
        ...     dict(type='LoadImageFromFile', color_type='grayscale'),
        ...     dict(type='LoadAnnotations'),
        ...     dict(type='CropOnHemorrhage', size=(256, 256), prob=0.5),
        ...     dict(type='PackSegInputs'),
        ... ]
    """

    def __init__(
        self, size: Sequence[int], prob: float = 0.5, pad_val: int = 0, ignore_index: int = 255
    ) -> None:
        if isinstance(size, int) or len(size) != 2 or min(size) < 1:
            raise ValueError(f'size={size}: expected height and width, as in (256, 256).')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob={prob}: expected a probability, from 0 to 1.')
        self.size = tuple(size)
        self.prob = prob
        self.pad_val = pad_val
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Cut the image and its masks alike.

        Args:
            results (dict): With ``img``, of shape (H, W) or (H, W, C), and ``gt_seg_map``, of
                shape (H, W), both of any dtype; other masks are those named in ``seg_fields``.

        Returns:
            dict: The same with ``img`` and the masks of the height and width ``size``, in their
            dtypes, and with ``img_shape``.
        """
        top, left = self._place(results['gt_seg_map'])
        results['img'] = self._cut(results['img'], top, left, self.pad_val)
        for key in results.get('seg_fields', ['gt_seg_map']):
            results[key] = self._cut(results[key], top, left, self.ignore_index)
        results['img_shape'] = self.size
        return results

    @cache_randomness
    def _place(self, mask: np.ndarray) -> tuple[int, ...]:
        """Draw the top and left edge of the window."""
        # Of a slice that is smaller, the whole is in the window.
        last = np.maximum(np.subtract(mask.shape, self.size), 0)
        first = np.zeros_like(last)
        if np.random.random() < self.prob:
            candidates = np.flatnonzero(mask == HEMORRHAGE)
            if len(candidates):
                pixel = np.unravel_index(np.random.choice(candidates), mask.shape)
                first = np.maximum(np.subtract(pixel, self.size) + 1, 0)
                last = np.minimum(pixel, last)
        return tuple(np.random.randint(first, last + 1).tolist())

    def _cut(self, pixels: np.ndarray, top: int, left: int, fill: int) -> np.ndarray:
        height, width = self.size
        window = pixels[top : top + height, left : left + width]
        if window.shape[:2] == self.size:
            return window
        padded = np.full((*self.size, *pixels.shape[2:]), fill, pixels.dtype)
        padded[: window.shape[0], : window.shape[1]] = window
        return padded

    def __repr__(self) -> str:
        """Return the constructor's call."""
        return (
            f'{type(self).__name__}(size={self.size}, prob={self.prob}, pad_val={self.pad_val}, '
            f'ignore_index={self.ignore_index})'
        )
