"""Hemorrhage of one slice in the head of another."""

from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import head_to_slice_affine, shrink, shrunk_to_whole_affine, warp

from .masks import Box, LoadMask
from .sample import Sample, neighbors

_TISSUE = (38, 230)  # gray values of the brain window that are neither air, fat, fluid nor bone
_FEATHER_PX = 2.4  # standard deviation of the edge's fading, in pixels of the whole slice
_MARGIN = 4  # pixels of a shrunk slice around a bleed, to fade in


@TRANSFORMS.register_module()
@dataclass(eq=False)
class PasteHemorrhage(BaseTransform):
    """Copy a hemorrhage from any slice of the data set to the same place in this head.

    Few patients bleed, and each in few places: so a network learns the patients. Pasted, the same
    bleed is seen in many heads, on either side, at many strengths. The poses of both heads tell
    where it goes; soft tissue takes it, bone and fluid do not, which may cut it in two.
    Neighbouring slices get what the donor's neighbours show. (Cut and paste for instance
    segmentation: Dwibedi et al., ICCV 2017; Ghiasi et al., CVPR 2021.)

    Comes after ``LoadScan`` and ``LoadMask``, which must be among the ``load`` transforms of the
    data set: the donor goes through them as well.

    Args:
        prob (float): Probability of pasting on a slice without hemorrhage; half of it on one that
            has some. Defaults to 1.
        strength (tuple): Range of the weight of the donor's gray values. Defaults to (0.6, 1.0).
        shift_px (float): Standard deviation of a shift, in pixels of the whole slice. Defaults
            to 8.
        rotate_deg (float): Standard deviation of a rotation about the head's centre. Defaults to 5.
    """

    prob: float = 1.0
    strength: tuple[float, float] = (0.6, 1.0)
    shift_px: float = 8.0
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
        to_whole = shrunk_to_whole_affine(factor)
        shrunk_to_donor = np.linalg.inv(to_whole) @ to_donor @ to_whole
        # Only where the bleed is and where it comes to is anything computed.
        source = _box(reduce(lambda one, other: cv2.max(one, other), masks), factor)
        target = _reached(source, shrunk_to_donor, results['img'].shape[:2])
        windows = results['img'][target][..., : len(masks)]  # the bone window keeps its own skull
        if not windows.size:
            return results  # beyond the edge
        inside = _scale(source, factor)
        bleeds = [(mask[inside] == 1) * np.uint8(255) for mask in masks]

        from_target, size = shrunk_to_donor @ _origin(target), windows.shape[:2]
        gray = warp(donor['img'], from_target, size)[..., : len(masks)]
        from_target = np.linalg.inv(_origin(source)) @ from_target
        covered = warp(shrink(cv2.merge(bleeds), factor), from_target, size)
        tissue = self._blend(windows, gray, covered.reshape(windows.shape), factor)

        target = _scale(target, factor)
        from_target = np.linalg.inv(_origin(inside)) @ to_donor @ _origin(target)
        _label(results['gt_seg_map'][target], bleeds[middle], from_target, tissue[..., middle])
        return results

    def _blend(
        self, windows: NDArray[Any], gray: NDArray[Any], covered: NDArray[Any], factor: int
    ) -> NDArray[np.bool_]:
        """Blend gray values into windows where a bleed covers them.

        All are (height, width, windows) uint8, ``covered`` from 0 to 255; the first is changed in
        place.

        Returns:
            ndarray: Which pixels could take it.
        """
        share = covered.astype(np.float32) / 255
        faded = cv2.GaussianBlur(share, (0, 0), _FEATHER_PX / factor).reshape(share.shape)
        tissue: NDArray[np.bool_] = (windows >= _TISSUE[0]) & (windows <= _TISSUE[1])
        weight = np.maximum(share, faded) * np.random.uniform(*self.strength) * tissue
        windows[:] = (1 - weight) * windows + weight * gray + 0.5
        return tissue

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
        x, y = np.random.normal(0, self.shift_px, 2)
        side = np.random.choice((-1, 1))
        cos, sin = np.cos(angle), np.sin(angle)
        jitter = np.array([[side * cos, -side * sin, x], [sin, cos, y], [0, 0, 1]])
        to_host, to_donor = _pose(host), _pose(donor)
        affine: NDArray[np.float64] = to_donor @ jitter @ np.linalg.inv(to_host)
        return affine


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
    truth[(warp(bleed, to_bleed, size) > 127) & (taken > 0)] = 1


def _pose(sample: Sample) -> NDArray[np.float64]:
    """(3, 3), from pixels relative to the centre of an upright head to those of the whole slice."""
    center = sample['head_center']
    assert center is not None  # LoadScan sees to it
    return head_to_slice_affine(center, sample['head_angle'], 1.0, (1, 1))


def _box(mask: NDArray[Any], factor: int) -> Box:
    """Rows and columns of the shrunk slice with all that is not 0, and a margin."""
    x, y, width, height = cv2.boundingRect(mask)
    return _span(y, height, mask.shape[0], factor), _span(x, width, mask.shape[1], factor)


def _span(start: int, length: int, end: int, factor: int) -> slice:
    last = (start + length) // factor + _MARGIN
    return slice(max(start // factor - _MARGIN, 0), min(last, end // factor))


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


def _origin(box: Box) -> NDArray[np.float64]:
    """(3, 3), from pixels of a box to those of its image."""
    rows, columns = box
    return np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1.0]])
