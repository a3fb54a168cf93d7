"""Bringing slices into head space."""

from dataclasses import dataclass

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import (
    Warp,
    head_to_slice_affine,
    make_warp,
    shrink,
    warp_hu,
    whole_to_shrunk_affine,
)
from cranium.slices import IGNORE_INDEX

from .sample import Sample

_ELASTIC_GRID_MM = 33.5  # a fifth of a head


@TRANSFORMS.register_module()
@dataclass(eq=False)
class AlignHead(BaseTransform):
    """Resample a slice into head space; at random rotated, scaled, sheared, shifted, deformed.

    All of it is one map, so that each pixel is interpolated once. ``AlignedEncoderDecoder`` maps
    predictions back by ``head_to_slice_affine``. Comes after ``LoadScan``; a mask that was loaded
    before is resampled as well.

    Lengths are in mm, so heads of all scans have one size, and another resolution is two settings.

    Args:
        size (tuple): Height and width of the aligned image.
        pixel_mm (float): Side of its pixels.
        flip_prob (float): Probability of exchanging left and right. Defaults to 0.
        rotate_deg (float): Standard deviation of the angle. Defaults to 0.
        scale (float): Standard deviation of the logarithm of the scale. Defaults to 0.
        shear (float): Standard deviation of the shear. Defaults to 0.
        shift_mm (float): Standard deviation of the shift. Defaults to 0.
        elastic_mm (float): Standard deviation of an elastic deformation on a grid of 33.5 mm.
            Defaults to 0.
        elastic_prob (float): Probability of the deformation. Defaults to 0.5.
        coverage (tuple): Range of the share of a pixel that hemorrhage has to cover for the pixel
            to count as hemorrhage. Where pixels are larger than a bleed is thick, a fixed half
            would call many bleeds background. Defaults to (0.5, 0.5).
    """

    size: tuple[int, int]
    pixel_mm: float
    flip_prob: float = 0.0
    rotate_deg: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift_mm: float = 0.0
    elastic_mm: float = 0.0
    elastic_prob: float = 0.5
    coverage: tuple[float, float] = (0.5, 0.5)

    def transform(self, results: Sample) -> Sample:
        """Resample image and mask."""
        coarsening, factor = results.get('coarsening', 1), results['shrink']
        size = self.size[0] // coarsening, self.size[1] // coarsening
        pixel_mm = coarsening * self.pixel_mm
        augment, displacement = self._draw_affine(pixel_mm), self._draw_elastic(size, pixel_mm)
        center = results['head_center']
        assert center is not None  # LoadScan sees to it
        slice_px_per_px = pixel_mm / results['pixel_mm']
        affine = head_to_slice_affine(center, results['head_angle'], slice_px_per_px, size, augment)
        to_shrunk = whole_to_shrunk_affine(factor) @ affine
        warp = make_warp(to_shrunk, size, displacement)
        results['img'] = warp_hu(warp, results['img'])
        results['img_shape'] = size
        results['img_pixel_mm'] = pixel_mm
        results['head_to_slice_affine'] = affine
        if 'gt_seg_map' in results:
            coverage = np.random.uniform(*self.coverage)
            results['gt_seg_map'] = _warp_mask(results['gt_seg_map'], factor, warp, size, coverage)
        return results

    def _draw_affine(self, pixel_mm: float) -> NDArray[np.float64]:
        """(3, 3), of an aligned image with pixels of that side, about its centre."""
        flip = -1.0 if np.random.random() < self.flip_prob else 1.0
        angle = np.radians(np.random.normal(0, self.rotate_deg))
        shear = np.random.normal(0, self.shear)
        zoom = np.exp(np.random.normal(0, self.scale))
        x, y = np.random.normal(0, self.shift_mm / pixel_mm, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin + shear, 0], [sin, cos, 0], [0, 0, 1]])
        shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
        affine: NDArray[np.float64] = np.diag([flip * zoom, zoom, 1]) @ turn @ shift
        return affine

    def _draw_elastic(self, size: tuple[int, int], pixel_mm: float) -> NDArray[np.float32] | None:
        """(2, height, width), the displacement of x and y in pixels of the aligned image."""
        if not self.elastic_mm or np.random.random() >= self.elastic_prob:
            return None
        nodes = [int(length * pixel_mm / _ELASTIC_GRID_MM) + 1 for length in size]
        grid = np.random.normal(0, self.elastic_mm / pixel_mm, (2, *nodes)).astype(np.float32)
        return np.stack(
            [cv2.resize(axis, size[::-1], interpolation=cv2.INTER_CUBIC) for axis in grid]
        )


def _warp_mask(
    mask: NDArray[np.uint8], factor: int, warp: Warp, size: tuple[int, int], coverage: float
) -> NDArray[np.uint8]:
    """Label the pixels of which hemorrhage covers more than that share."""
    if not mask.any():
        return np.zeros(size, np.uint8)

    def share(of: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return warp(shrink(of * np.uint8(255), factor))

    warped = (share(mask == 1) > 255 * coverage).astype(np.uint8)
    if (ignored := mask == IGNORE_INDEX).any():
        warped[share(ignored) > 127] = IGNORE_INDEX
    return warped
