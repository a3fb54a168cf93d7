"""A scan on its way through a network: into head space and back."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import head_to_slice_affine, make_warp, warp_hu, whole_to_shrunk_affine
from cranium.inference.findings import describe_slices, find_lesions, volume_ml
from cranium.inference.grid import Box, hysteresis, map_back, reach, union
from cranium.inference.layers import Layers, plan_layers
from cranium.inference.segmentation import Segmentation
from cranium.inference.sizes import isotropic_affine, pixel_size
from cranium.inference.spec import NetworkSpec, OperatingPoint
from cranium.scans.scan import Scan
from cranium.slices import SLICE_MM
from cranium.views import ShrunkSlice, scan_angle, show_views, stack_planes

_NONE = np.zeros((1, 1), bool)


@dataclass(eq=False)
class AlignedScan:
    """A scan on its way through the network.

    Attributes:
        scan (Scan): The scan.
        spec (NetworkSpec): What the network expects.
        layers (Layers): What of the scan it sees.
        slices (list[ShrunkSlice]): The layers, shrunk, of square pixels.
        affines (list[ndarray]): For each layer (3, 3), from the aligned image to the scan's pixels.
        to_shrunk (list[ndarray]): For each layer (3, 3), from there to the shrunk one's.
        remarks (list[str]): On what had to be assumed.
        log_odds (list[ndarray]): For each layer that the network has seen, aligned.
        scores (list[float]): For each of them.
    """

    scan: Scan
    spec: NetworkSpec
    layers: Layers
    slices: list[ShrunkSlice]
    affines: list[NDArray[np.float64]]
    to_shrunk: list[NDArray[np.float64]]
    remarks: list[str]
    log_odds: list[NDArray[np.float32]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, scan: Scan, spec: NetworkSpec) -> 'AlignedScan':
        """Find the head in a scan.

        Raises:
            CraniumError: None is seen.
        """
        numbered = SLICE_MM * np.arange(len(scan.hu), dtype=np.float64)
        layers = plan_layers(scan.geometry.positions_mm if scan.geometry else numbered)
        to_scan = isotropic_affine(scan)
        size = scan.hu.shape[1:]
        if not np.array_equal(to_scan, np.eye(3)):
            size = tuple(round(n / to_scan[axis, axis]) for n, axis in zip(size, (1, 0)))
        # A small picture would be coarser than the network's image if it was shrunk.
        factor = spec.shrink if max(size) >= spec.shrink * max(spec.size) else 1
        slices = []
        for layer in range(len(layers)):
            hu = layers.hu(scan.hu, layer)
            if hu.shape != size:
                hu = np.asarray(cv2.resize(hu, size[::-1], interpolation=cv2.INTER_LINEAR))
            slices.append(ShrunkSlice.of(hu, factor))
        if all(each.center is None for each in slices):
            raise CraniumError(f'{scan.source}: no head is seen in it; give axial slices in HU')
        pixel_mm, remarks = pixel_size(scan, slices)
        angle = scan_angle(len(slices), slices.__getitem__)
        affines = [
            head_to_slice_affine(
                each.center or each.middle, angle, spec.pixel_mm / pixel_mm, spec.size
            )
            for each in slices
        ]
        shrunk = whole_to_shrunk_affine(factor)
        return cls(
            scan,
            spec,
            layers,
            slices,
            [to_scan @ affine for affine in affines],
            [shrunk @ affine for affine in affines],
            remarks,
        )

    def views(self, layer: int) -> NDArray[np.float32]:
        """What the network sees of a layer, (C, height, width)."""
        stack = [self.slices[each] for each in self.layers.neighbors(layer, self.spec.neighbors)]
        warp = make_warp(self.to_shrunk[layer], self.spec.size)
        return show_views(self.spec.views, warp_hu(warp, stack_planes(stack))).transpose(2, 0, 1)

    def add(self, log_odds: NDArray[np.float32], score: float) -> int:
        """Take what the network found in the next layer; return how many slices that finishes."""
        self.log_odds.append(log_odds)
        self.scores.append(score)
        last = len(self.log_odds) - 1
        return int(np.count_nonzero(self.layers.upper == last))

    def describe(self) -> Segmentation:
        """Say what was found on the scan's own grid."""
        masks = self._masks()
        smoothed = self.layers.smooth(np.array(self.scores), self.spec.score_smoothing)
        scores = self.layers.to_slices(smoothed)
        of_slices, of_scan = self.spec.points(len(self.layers))
        score = float(scores.max())
        return Segmentation(
            scan=self.scan,
            masks=masks,
            pixels=self._log_odds,
            score=score,
            threshold=of_scan.threshold,
            volume_ml=volume_ml(self.scan, masks),
            slices=describe_slices(self.scan, masks, scores, of_slices),
            lesions=find_lesions(self.scan, masks),
            remarks=(*self.scan.remarks, *self.remarks, *_threshold_remarks(of_scan)),
            hemorrhage_probability=of_scan.probability(score),
        )

    def _masks(self) -> NDArray[np.uint8]:
        """Label hemorrhage, (N, H, W); most of a scan cannot be any and is not resampled."""
        low, high = self.spec.thresholds
        shape = self.scan.hu.shape
        boxes = [
            reach(pixels > low if pixels.max() > high else _NONE, affine, shape[1:])
            for pixels, affine in zip(self.log_odds, self.affines)
        ]
        masks = np.zeros(shape, np.uint8)
        mapped = _Mapped(self)
        for index, mask in enumerate(masks):
            box = union([boxes[layer] for layer, _ in self.layers.parts(index)])
            if min(box.shape) > 0:
                mask[box.inside] = hysteresis(mapped(index, box), low, high)
        return masks

    def _log_odds(self) -> NDArray[np.float32]:
        """Resample all log-odds, (N, H, W)."""
        shape = self.scan.hu.shape
        found = np.empty(shape, np.float32)
        mapped, whole = _Mapped(self), Box((0, 0), shape[1:])
        for index in range(len(found)):
            found[index] = mapped(index, whole)
        return found


class _Mapped:
    """Log-odds of slices, of which several in turn are made from the same layers."""

    def __init__(self, aligned: AlignedScan) -> None:
        self._aligned = aligned
        self._kept: dict[tuple[int, Box], NDArray[np.float32]] = {}

    def __call__(self, index: int, box: Box) -> NDArray[np.float32]:
        """Resample those of a slice in a box."""
        (lower, _), *more = self._aligned.layers.parts(index)
        found = self._of(lower, box)
        for upper, share in more:
            found = found + np.float32(share) * (self._of(upper, box) - found)
        return found

    def _of(self, layer: int, box: Box) -> NDArray[np.float32]:
        key = layer, box
        if key not in self._kept:
            if len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            aligned = self._aligned
            self._kept[key] = map_back(aligned.log_odds[layer], aligned.affines[layer], box)
        return self._kept[key]


def _threshold_remarks(point: OperatingPoint) -> list[str]:
    if point.source:
        return []
    return ['The threshold of yes and no was not chosen on other patients: it is a score of 0.']
