"""Hemorrhage of one slice in the head of another."""

from functools import reduce
from itertools import takewhile

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import frame_matrix, grown, shrink, warp

_TISSUE = (38, 230)  # gray values of the brain window that are neither air, fat, fluid nor bone
_SOFT = 2.4  # pixels of the slice over which a bleed fades into the host


@TRANSFORMS.register_module()
class PasteHemorrhage(BaseTransform):
    """Copy a hemorrhage from any slice of the data set to the like place in this head.

    Few patients bleed, and each in few places: so a network learns the patients. Pasted, the same
    bleed is seen in many heads, on either side, at many strengths. Both heads' frames tell where it
    goes; soft tissue takes it, bone and fluid do not, so that it may be cut in two. Neighbouring
    slices get what the donor's neighbours show. (Cut and paste for instance segmentation:
    Dwibedi et al., ICCV 2017; Ghiasi et al., CVPR 2021.)

    Required keys: those of ``LoadScan``, ``gt_seg_map`` ((H, W) of ``ori_shape``) and ``dataset``
    (the ``CraniumDataset``). The donor goes through the steps of its pipeline that come before
    this one.

    Modified keys: ``img``, ``gt_seg_map``.

    Args:
        prob (float): Probability of trying it on a slice without hemorrhage; half of it on one that
            has some. Defaults to 1.
        strength (tuple): Range of the weight of the donor's gray values. Defaults to (0.6, 1.0).
        shift (float): Standard deviation of a shift, in pixels of the slice. Defaults to 8.
        rotate (float): Standard deviation of a turn about the head's centre, in degrees. Defaults
            to 5.
    """

    def __init__(
        self,
        prob: float = 1.0,
        strength: tuple[float, float] = (0.6, 1.0),
        shift: float = 8.0,
        rotate: float = 5.0,
    ) -> None:
        self.prob = prob
        self.strength = strength
        self.shift = shift
        self.rotate = rotate

    def transform(self, results: dict) -> dict:
        """Paste, at random.

        Args:
            results (dict): See the class.

        Returns:
            dict: The same, with the hemorrhage in image and mask.
        """
        own = (results['gt_seg_map'] == 1).any()
        if np.random.random() >= self.prob * (0.5 if own else 1.0):
            return results
        donor = self._draw_donor(results)
        matrix = self._donor_matrix(donor, results)
        image, factor = results['img'], results['shrink']

        # Only where the bleed is and where it comes to is anything computed.
        source = _box(reduce(cv2.max, donor['masks']), factor)
        target = _reached(source, matrix, image.shape[:2])
        part = image[target]
        if not part.size:
            return results  # beyond the edge
        inside, count = _whole(source, factor), len(donor['masks'])
        bleeds = [cv2.compare(mask[inside], 1, cv2.CMP_EQ) for mask in donor['masks']]  # 0 or 255
        to_source, size = _shift(source, -1) @ matrix @ _shift(target), part.shape[:2]
        windows = part[..., :count]  # the bone window keeps its own skull
        share = warp(shrink(cv2.merge(bleeds), factor), to_source, size).reshape(windows.shape)
        pasted = warp(donor['img'], matrix @ _shift(target), size)[..., :count]
        tissue = self._blend(windows, pasted, share.astype(np.float32) / 255, factor)

        # The mask is of the whole size.
        target, to_whole = _whole(target, factor), grown(np.eye(3), factor)
        to_donor = to_whole @ matrix @ np.linalg.inv(to_whole)
        part = results['gt_seg_map'][target]
        bleed = warp(bleeds[count // 2], _shift(inside, -1) @ to_donor @ _shift(target), part.shape)
        taken = np.ascontiguousarray(tissue[..., count // 2]).astype(np.uint8)
        taken = cv2.resize(taken, part.shape[::-1], interpolation=cv2.INTER_NEAREST)
        part[(bleed > 127) & (taken > 0)] = 1
        return results

    def _blend(
        self,
        windows: NDArray[np.uint8],
        pasted: NDArray[np.uint8],
        share: NDArray[np.float32],
        factor: int,
    ) -> NDArray[np.bool_]:
        """Blend into windows what is pasted, by its share of each pixel; return what took it.

        All are (height, width, windows); the first is changed in place.
        """
        faded = cv2.GaussianBlur(share, (0, 0), _SOFT / factor).reshape(share.shape)
        tissue = (windows >= _TISSUE[0]) & (windows <= _TISSUE[1])
        weight = np.maximum(share, faded) * np.random.uniform(*self.strength) * tissue
        windows[:] = (1 - weight) * windows + weight * pasted + 0.5
        return tissue

    def _draw_donor(self, results: dict) -> dict:
        """A slice with hemorrhage as it comes to this step, with ``masks`` of its windows."""
        dataset = results['dataset']
        index = int(np.random.choice(np.flatnonzero(dataset.has_hemorrhage())))
        donor = dataset.get_data_info(index)
        if 'draw' in results:
            donor['draw'] = results['draw']  # it decides the resolution
        steps = list(takewhile(lambda step: step is not self, dataset.pipeline.transforms))
        for step in steps:
            donor = step(donor)
        load = next(step for step in steps if isinstance(step, LoadAnnotations))
        neighbors = (donor['img'].shape[2] - 2) // 2
        donor['masks'] = [
            _neighbor_mask(dataset, index, donor, offset, load)
            for offset in range(-neighbors, neighbors + 1)
        ]
        return donor

    def _donor_matrix(self, donor: dict, host: dict) -> NDArray[np.float64]:
        """(3, 3), from pixels of the host's shrunk slice to those of the donor's."""
        angle = np.radians(np.random.normal(0, self.rotate))
        x, y = np.random.normal(0, self.shift / host['shrink'], 2)
        side = np.random.choice((-1, 1))
        cos, sin = np.cos(angle), np.sin(angle)
        jitter = np.array([[side * cos, -side * sin, x], [sin, cos, y], [0, 0, 1]])
        to_host, to_donor = (
            frame_matrix(results['head_center'], results['head_angle'], 1.0, (1, 1))
            for results in (host, donor)
        )
        return to_donor @ jitter @ np.linalg.inv(to_host)


def _neighbor_mask(
    dataset: BaseDataset, index: int, donor: dict, offset: int, load: BaseTransform
) -> NDArray[np.uint8]:
    """The mask of a donor's neighbour, if that is part of the data set; else nothing."""
    scan = donor['scan']
    place = scan.index(donor['img_path'])
    neighbor = min(max(place + offset, 0), len(scan) - 1)
    if neighbor == place:
        return donor['gt_seg_map']
    record = dataset.get_data_info(min(max(index + neighbor - place, 0), len(dataset) - 1))
    if record['img_path'] != scan[neighbor]:
        return np.zeros_like(donor['gt_seg_map'])
    return load(record)['gt_seg_map']


def _box(mask: NDArray[np.uint8], factor: int, margin: int = 4) -> tuple[slice, slice]:
    """Rows and columns of the shrunk slice with all that is not 0, and a margin to fade in."""
    x, y, width, height = cv2.boundingRect(mask)
    return tuple(
        slice(max(start // factor - margin, 0), min((start + length) // factor + margin, end))
        for start, length, end in zip((y, x), (height, width), np.array(mask.shape) // factor)
    )


def _reached(
    source: tuple[slice, slice], matrix: NDArray[np.float64], size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of the target, (height, width), that come from a box of the source."""
    rows, columns = source
    corners = [(x, y, 1) for x in (columns.start, columns.stop) for y in (rows.start, rows.stop)]
    x, y, _ = np.linalg.inv(matrix) @ np.transpose(corners)
    return tuple(
        slice(max(int(found.min()), 0), max(min(int(found.max()) + 1, end), 0))
        for found, end in zip((y, x), size)
    )


def _whole(box: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    """A box of a shrunk slice in pixels of the whole one."""
    return tuple(slice(factor * side.start, factor * side.stop) for side in box)


def _shift(box: tuple[slice, slice], sign: int = 1) -> NDArray[np.float64]:
    """From pixels of a box to those of its image; with -1 the other way."""
    rows, columns = box
    return np.array([[1, 0, sign * columns.start], [0, 1, sign * rows.start], [0, 0, 1.0]])
