"""Pictures for networks that see gray values."""

from dataclasses import dataclass

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from cranium.errors import CraniumError

from .sample import Sample


@TRANSFORMS.register_module()
@dataclass(eq=False)
class GrayChannels(BaseTransform):
    """Give a picture of gray values the channels that its network has, and refuse any other.

    Comes after mmseg's ``LoadImageFromFile`` with ``color_type='unchanged'``; with another, that
    would keep the upper eight bits of Hounsfield units, in which no brain is to be seen.

    Args:
        channels (int): 1 or 3.
    """

    channels: int

    def transform(self, results: Sample) -> Sample:
        """Make ``img`` (H, W) or (H, W, 3).

        Raises:
            CraniumError: It is not of 8 bits.
        """
        image = results['img']
        if image.dtype != np.uint8:
            msg = f'{results.get("img_path") or "an image"} holds {image.dtype}; expected gray'
            raise CraniumError(f'{msg} values of 8 bits: `cranium prepare --window brain`')
        if image.ndim == 3:
            image = image[..., 0] if image.shape[2] == 1 else image[..., :3]  # no transparency
        if image.ndim == 3 and self.channels == 1:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        elif image.ndim == 2 and self.channels == 3:
            image = np.dstack([image] * 3)
        results['img'] = image
        return results
