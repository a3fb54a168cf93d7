"""Hemorrhage of one slice in the head of another."""

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import (
    head_to_slice_affine,
    make_warp,
    shrink,
    shrunk_to_whole_affine,
    warp_hu,
    whole_to_shrunk_affine,
)

from .masks import Box, LoadMask
from .sample import Sample, neighbors

_TISSUE_HU = (-2, 88)  # neither air, fat, fluid nor bone
_FEATHER_MM = 0.86  # standard deviation of the edge's fading
_RING_MM = 4.0  # around a bleed: what its contrast is measured to, and where it fades
_FAINTEST_HU = 3  # of a contrast; stretching one below would show noise


@TRANSFORMS.register_module()
@dataclass(eq=False)
class PasteHemorrhage(BaseTransform):
    """Copy a hemorrhage from any slice of the data set to the same place in this head.

    Few patients bleed, and each in few places: so a network learns the patients. Pasted, the same
    bleed is seen in many heads, on either side, at many strengths. The poses of both heads tell
    where it goes; soft tissue takes it, bone and fluid do not, which may cut it in two.
    Neighbouring slices get what the donor's neighbours show. (Cut and paste for instance
    segmentation: Dwibedi et al., ICCV 2017; Ghiasi et al., CVPR 2021.)

    A bleed keeps its contrast, its mean HU minus that of the soft tissue around it, or gets another
    one: faint bleeds are rare, and the ones that are missed. Where no soft tissue is around it, it
    keeps its HU.

    Comes after ``LoadScan`` and ``LoadMask``, which must be among the ``load`` transforms of the
    data set: the donor goes through them as well.

    Args:
        prob (float): Probability of pasting on a slice without hemorrhage; half of it on one that
            has some. Defaults to 1.
        contrast_prob (float): Probability of another contrast. Defaults to 0.
        contrast_hu (tuple): Its range. Defaults to (5, 40).
        strength (tuple): Range of the weight of the bleed's HU. Defaults to (0.6, 1.0).
        shift_mm (float): Standard deviation of a shift. Defaults to 2.9.
        rotate_deg (float): Standard deviation of a rotation about the head's centre. Defaults to 5.
    """

    prob: float = 1.0
    contrast_prob: float = 0.0
    contrast_hu: tuple[float, float] = (5.0, 40.0)
    strength: tuple[float, float] = (0.6, 1.0)
    shift_mm: float = 2.9
    rotate_deg: float = 5.0
    _load_mask: LoadMask = field(default_factory=lambda: LoadMask(cache=True), init=False)

    def transform(self, results: Sample) -> Sample:
        """Paste, at random, into ``img`` and ``gt_seg_map``."""
        has_own = (results['gt_seg_map'] == 1).any()
        if np.random.random() >= self.prob * (0.5 if has_own else 1.0):
            return results
        donor = results['draw_donor']()
        masks = self._read_masks(donor)
        factor, middle = results['shrink'], len(masks) // 2
        to_donor = self._draw_host_to_donor(results, donor)
        shrunk_to_donor = whole_to_shrunk_affine(factor) @ to_donor @ shrunk_to_whole_affine(factor)
        # Only where the bleed is and where it comes to is anything computed.
        margin = max(round(_RING_MM / results['img_pixel_mm']), 1)
        source = _box(reduce(lambda one, other: cv2.max(one, other), masks), factor, margin)
        target = _reached(source, shrunk_to_donor, results['img'].shape[:2])
        view = results['img'][target][..., : len(masks)]  # the whole range keeps its own skull
        if not view.size:
            return results  # beyond the edge
        inside = _scale(source, factor)
        bleeds = [(mask[inside] == 1) * np.uint8(255) for mask in masks]

        host = np.ascontiguousarray(view)
        from_target = _whole_to_box(source) @ shrunk_to_donor @ _box_to_whole(target)
        warp = make_warp(from_target, host.shape[:2])
        hu = np.ascontiguousarray(donor['img'][source][..., : len(masks)])
        hu = warp_hu(warp, hu).reshape(host.shape)
        covered = warp(shrink(cv2.merge(bleeds), factor)).reshape(host.shape)
        tissue = _is_tissue(host)
        hu = self._match(hu, host, covered, tissue, margin)
        view[:] = self._blend(hu, host, covered, tissue, results['img_pixel_mm'])

        target = _scale(target, factor)
        from_target = _whole_to_box(inside) @ to_donor @ _box_to_whole(target)
        _label(results['gt_seg_map'][target], bleeds[middle], from_target, tissue[..., middle])
        return results

    def _match(
        self,
        donor: NDArray[np.int16],
        host: NDArray[np.int16],
        covered: NDArray[Any],
        tissue: NDArray[np.bool_],
        radius: int,
    ) -> NDArray[Any]:
        """Move HU of the donor to the host's, so that the bleed has its contrast or another one.

        Args:
            donor (ndarray): (height, width, slices), on the host's grid.
            host (ndarray): Of the same shape, as all are.
            covered (ndarray): uint8, where the bleed is: 0 to 255.
            tissue (ndarray): bool, where the host can take it.
            radius (int): Width of the ring around the bleed in pixels.

        Returns:
            ndarray: float32, or the donor's own where there is nothing to compare with.
        """
        square = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        ring = (cv2.dilate(covered, square).reshape(covered.shape) > 0) & (covered == 0)
        bleed = _mean(donor, covered > 127)
        around_donor, around_host = (
            _mean(donor, ring & _is_tissue(donor)),
            _mean(host, ring & tissue),
        )
        if bleed is None or around_donor is None or around_host is None:
            return donor
        contrast, factor = bleed - around_donor, 1.0
        if contrast > _FAINTEST_HU and np.random.random() < self.contrast_prob:
            factor = np.random.uniform(*self.contrast_hu) / contrast
        matched: NDArray[Any] = donor * np.float32(factor)
        matched += np.float32(around_host - around_donor * factor)
        return matched

    def _blend(
        self,
        hu: NDArray[Any],
        host: NDArray[np.int16],
        covered: NDArray[Any],
        tissue: NDArray[np.bool_],
        pixel_mm: float,
    ) -> NDArray[Any]:
        """Blend HU into the host's where a bleed covers them; see :meth:`_match`."""
        share = covered * np.float32(1 / 255)
        weight = cv2.GaussianBlur(share, (0, 0), _FEATHER_MM / pixel_mm).reshape(share.shape)
        weight = np.maximum(share, weight) * np.float32(np.random.uniform(*self.strength)) * tissue
        return np.rint(host + weight * (hu - host))

    def _read_masks(self, donor: Sample) -> list[NDArray[Any]]:
        """Masks of the donor and its neighbours, from the lowest; empty if not in the data set."""
        own = donor['gt_seg_map']
        reach = (donor['img'].shape[2] - 2) // 2
        masks = []
        for files in neighbors(donor['scan'], donor['slice'], reach):
            if files.image == donor['img_path']:
                masks.append(own)
            else:
                masks.append(self._load_mask.read(files.mask) if files.mask else np.zeros_like(own))
        return masks

    def _draw_host_to_donor(self, host: Sample, donor: Sample) -> NDArray[np.float64]:
        """(3, 3), from pixels of the host's whole slice to those of the donor's."""
        angle = np.radians(np.random.normal(0, self.rotate_deg))
        x, y = np.random.normal(0, self.shift_mm, 2)
        side = np.random.choice((-1, 1))
        cos, sin = np.cos(angle), np.sin(angle)
        jitter = np.array([[side * cos, -side * sin, x], [sin, cos, y], [0, 0, 1]])
        to_host, to_donor = _pose(host), _pose(donor)
        affine: NDArray[np.float64] = to_donor @ jitter @ np.linalg.inv(to_host)
        return affine


def _is_tissue(hu: NDArray[Any]) -> NDArray[np.bool_]:
    tissue: NDArray[np.bool_] = (hu >= _TISSUE_HU[0]) & (hu <= _TISSUE_HU[1])
    return tissue


def _mean(hu: NDArray[np.int16], where: NDArray[np.bool_]) -> float | None:
    """The mean HU of some pixels, None of none."""
    if not where.any():
        return None
    # As one channel, for which OpenCV is made.
    return cv2.mean(hu.reshape(len(hu), -1), where.view(np.uint8).reshape(len(hu), -1))[0]


def _label(
    truth: NDArray[Any],
    bleed: NDArray[Any],
    to_bleed: NDArray[np.float64],
    tissue: NDArray[np.bool_],
) -> None:
    """Label what a bleed covers of a part of a whole slice, where its shrunk pixels took it."""
    size = truth.shape[:2]
    taken: NDArray[Any] = np.ascontiguousarray(tissue, np.uint8)
    taken = cv2.resize(taken, size[::-1], interpolation=cv2.INTER_NEAREST)
    truth[(make_warp(to_bleed, size)(bleed) > 127) & (taken > 0)] = 1


def _pose(sample: Sample) -> NDArray[np.float64]:
    """(3, 3), from mm about the centre of an upright head to pixels of the whole slice."""
    center = sample['head_center']
    assert center is not None  # LoadScan sees to it
    return head_to_slice_affine(center, sample['head_angle'], 1 / sample['pixel_mm'], (1, 1))


def _box(mask: NDArray[Any], factor: int, margin: int) -> Box:
    """Rows and columns of the shrunk slice with all that is not 0, and a margin."""
    x, y, width, height = cv2.boundingRect(mask)
    return (
        _span(y, height, mask.shape[0], factor, margin),
        _span(x, width, mask.shape[1], factor, margin),
    )


def _span(start: int, length: int, end: int, factor: int, margin: int) -> slice:
    last = (start + length) // factor + margin
    return slice(max(start // factor - margin, 0), min(last, end // factor))


def _reached(source: Box, to_source: NDArray[np.float64], size: tuple[int, int]) -> Box:
    """Rows and columns of the target, (height, width), that come from a box of the source."""
    rows, columns = source
    corners = [(x, y, 1) for x in (columns.start, columns.stop) for y in (rows.start, rows.stop)]
    x, y, _ = np.linalg.inv(to_source) @ np.transpose(corners)
    top, left = max(int(y.min()), 0), max(int(x.min()), 0)
    bottom, right = min(int(y.max()) + 1, size[0]), min(int(x.max()) + 1, size[1])
    return slice(top, max(bottom, 0)), slice(left, max(right, 0))


def _scale(box: Box, factor: int) -> Box:
    """A box of a shrunk slice in pixels of the whole one."""
    rows, columns = (slice(factor * side.start, factor * side.stop) for side in box)
    return rows, columns


def _box_to_whole(box: Box) -> NDArray[np.float64]:
    """(3, 3), from pixels of a box to those of its image."""
    rows, columns = box
    return np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])


def _whole_to_box(box: Box) -> NDArray[np.float64]:
    """(3, 3), from pixels of an image to those of a box."""
    rows, columns = box
    return np.array([[1, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1.0]])
