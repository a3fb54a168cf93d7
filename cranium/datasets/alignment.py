"""Bringing slices into the frame of the head."""

from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import frame_matrix, grown, shrink, warps

_IGNORE = 255
_GRID = 93  # pixels of a slice


@TRANSFORMS.register_module()
class AlignHead(BaseTransform):
    """Resample a slice into the frame of the head; at random turned, scaled, moved, deformed.

    All of it is one map, so that each pixel is interpolated once. ``AlignedEncoderDecoder`` maps
    predictions back by ``frame``.

    Required keys: those of ``LoadScan``, optionally ``gt_seg_map`` ((H, W) of ``ori_shape``) and
    ``coarse`` (see ``CoarseFirst``).

    Modified keys: ``img`` ((height, width, C) uint8), ``img_shape``, ``gt_seg_map``.

    Added keys: ``frame`` ((3, 3), from pixels of the frame to pixels of the slice), ``spacing``.

    Lengths are in pixels of the slice as it was loaded, so that another frame is two settings.

    Args:
        size (tuple): Height and width of the frame.
        spacing (float): Length of the side of a pixel of the frame.
        flip_prob (float): Probability of exchanging left and right. Defaults to 0.
        rotate (float): Standard deviation of the angle, in degrees. Defaults to 0.
        scale (float): Standard deviation of the logarithm of the scale. Defaults to 0.
        shear (float): Standard deviation of the shear. Defaults to 0.
        shift (float): Standard deviation of the shift. Defaults to 0.
        elastic (float): Standard deviation of an elastic deformation, drawn on a grid of 93
            pixels, a fifth of a head. Defaults to 0.
        elastic_prob (float): Probability of the deformation. Defaults to 0.5.
        coverage (tuple): Range of the share of a pixel of the frame that hemorrhage has to cover
            for the pixel to count as hemorrhage. Where pixels are larger than a bleed is thick, a
            fixed half would call many bleeds background. Defaults to (0.5, 0.5).
    """

    def __init__(
        self,
        size: tuple[int, int],
        spacing: float,
        flip_prob: float = 0.0,
        rotate: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        shift: float = 0.0,
        elastic: float = 0.0,
        elastic_prob: float = 0.5,
        coverage: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        self.size = tuple(size)
        self.spacing = spacing
        self.flip_prob = flip_prob
        self.rotate = rotate
        self.scale = scale
        self.shear = shear
        self.shift = shift
        self.elastic = elastic
        self.elastic_prob = elastic_prob
        self.coverage = coverage

    def transform(self, results: dict) -> dict:
        """Resample image and mask.

        Args:
            results (dict): See the class.

        Returns:
            dict: The same, in the frame.
        """
        factor = results['shrink']
        coarse = results.get('coarse', 1)
        size = tuple(length // coarse for length in self.size)
        spacing = coarse * self.spacing  # of a pixel of the frame, in those of the slice
        augment, deform = self._draw_affine(spacing), self._draw_elastic(size, spacing)
        center, angle = results['head_center'], results['head_angle']
        matrix = frame_matrix(center, angle, spacing / factor, size, augment)
        to_frame = warps(matrix, size, deform)
        results['img'] = to_frame(results['img'])
        results['img_shape'] = size
        results['frame'] = grown(matrix, factor)
        results['spacing'] = spacing
        if 'gt_seg_map' in results:
            results['gt_seg_map'] = _warp_mask(
                results['gt_seg_map'], factor, size, to_frame, np.random.uniform(*self.coverage)
            )
        return results

    def _draw_affine(self, spacing: float) -> NDArray[np.float64]:
        flip = -1.0 if np.random.random() < self.flip_prob else 1.0
        angle, shear = np.radians(np.random.normal(0, self.rotate)), np.random.normal(0, self.shear)
        zoom = np.exp(np.random.normal(0, self.scale))
        x, y = np.random.normal(0, self.shift / spacing, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin + shear, 0], [sin, cos, 0], [0, 0, 1]])
        return np.diag([flip * zoom, zoom, 1]) @ turn @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    def _draw_elastic(self, size: tuple[int, int], spacing: float) -> NDArray[np.float32] | None:
        if not self.elastic or np.random.random() >= self.elastic_prob:
            return None
        nodes = (int(length * spacing / _GRID) + 1 for length in size)
        grid = np.random.normal(0, self.elastic / spacing, (2, *nodes))
        return np.stack(
            [
                cv2.resize(axis.astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
                for axis in grid
            ]
        )


def _warp_mask(
    mask: NDArray,
    factor: int,
    size: tuple[int, int],
    to_frame: Callable[[NDArray], NDArray],
    coverage: float,
) -> NDArray[np.uint8]:
    """Hemorrhage where it covers more than that share of a pixel of the frame."""
    if not mask.any():
        return np.zeros(size, np.uint8)

    def share(of: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return to_frame(shrink(of * np.uint8(255), factor))

    warped = (share(mask == 1) > 255 * coverage).astype(np.uint8)
    if (ignored := mask == _IGNORE).any():
        warped[share(ignored) > 127] = _IGNORE
    return warped
