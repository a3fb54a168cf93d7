"""Hemorrhage of one patient in the head of another."""

from itertools import takewhile

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.datasets.head_frame import frame_matrix, grown, shrink, warp

_TISSUE = (38, 230)  # gray values of the brain window that are neither air, fat, fluid nor bone
_SOFT = 2.4  # pixels of the slice over which a bleed fades into the host


@TRANSFORMS.register_module()
class PasteHemorrhage(BaseTransform):
    """Copy a hemorrhage from another slice of the data set to the like place in this head.

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
        image, mask = results['img'], results['gt_seg_map']
        size, factor = image.shape[:2], results['shrink']

        masks = donor['masks']
        middle = len(masks) // 2
        shares = [warp(shrink(mask, factor), matrix, size) for mask in masks]
        if not shares[middle].any():
            return results  # beyond the edge
        rows, columns = _box(np.maximum.reduce(shares))
        part, corner = image[rows, columns], _shift(columns.start, rows.start)
        # The bone window keeps its own skull.
        tissues = [cv2.inRange(part[..., i], *_TISSUE) // 255 for i in range(len(masks))]
        strength = np.random.uniform(*self.strength)
        for i, (share, tissue) in enumerate(zip(shares, tissues)):
            soft = share[rows, columns].astype(np.float32) / 255
            weight = np.maximum(soft, cv2.GaussianBlur(soft, (0, 0), _SOFT / factor))
            weight *= strength * tissue
            channel = np.ascontiguousarray(donor['img'][..., i])
            pasted = warp(channel, matrix @ corner, weight.shape)
            part[..., i] = (1 - weight) * part[..., i] + weight * pasted + 0.5

        rows, columns = (slice(factor * box.start, factor * box.stop) for box in (rows, columns))
        to_whole, from_whole = grown(np.eye(3), factor), np.linalg.inv(grown(np.eye(3), factor))
        matrix = to_whole @ matrix @ from_whole @ _shift(columns.start, rows.start)
        part = mask[rows, columns]
        whole = warp(masks[middle], matrix, part.shape) > 127
        whole &= cv2.resize(tissues[middle], part.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        part[whole] = 1
        return results

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
            (_neighbor_mask(dataset, index, donor, offset, load) == 1) * np.uint8(255)
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


def _box(share: NDArray[np.uint8], margin: int = 4) -> tuple[slice, slice]:
    """Rows and columns that hold all that is not 0, and a margin for what is blurred."""
    found = []
    for axis in (1, 0):
        (inside,) = np.nonzero(share.any(axis=axis))
        found.append(
            slice(max(inside[0] - margin, 0), min(inside[-1] + margin + 1, share.shape[1 - axis]))
        )
    return tuple(found)


def _shift(x: int, y: int) -> NDArray[np.float64]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
