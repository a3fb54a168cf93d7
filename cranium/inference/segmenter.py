"""The way from a scan to what is found in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import head_to_slice_affine, make_warp, warp_hu, whole_to_shrunk_affine
from cranium.inference.arrays import scan_of_array
from cranium.inference.findings import describe_slices, find_lesions, volume_ml
from cranium.inference.grid import hysteresis, map_back
from cranium.inference.layers import Layers, plan_layers
from cranium.inference.network import Network, load_network
from cranium.inference.segmentation import Segmentation
from cranium.inference.sizes import isotropic_affine, pixel_size
from cranium.inference.spec import NetworkSpec
from cranium.scans.scan import Scan
from cranium.slices import SLICE_MM
from cranium.views import ShrunkSlice, scan_angle, show_views, stack_planes
from cranium.windows import BRAIN, Window

Progress = Callable[[int], Any]


class Segmenter:
    """Finds hemorrhage in scans.

    Args:
        network (Network): See :meth:`from_pretrained`.
        batch_size (int): Slices that the network sees at once, also of several scans. The result
            does not depend on it. Defaults to 16.

    Examples:
        >>> segmenter = Segmenter.from_pretrained()
        >>> found = segmenter.segment(np.full((650, 650), -1000, np.int16))
        Traceback (most recent call last):
        cranium.errors.CraniumError: array: no head is seen in it; give axial slices in HU
    """

    def __init__(self, network: Network, batch_size: int = 16) -> None:
        self._network = network
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path | None = None,
        config: str | Path | None = None,
        device: str = 'auto',
    ) -> 'Segmenter':
        """Load a network; see :func:`~cranium.inference.network.load_network`."""
        return cls(load_network(checkpoint, config, device))

    @property
    def network(self) -> NetworkSpec:
        """What the network expects, and what its output means."""
        return self._network.spec

    @property
    def runtime(self) -> str:
        """What runs the network, and where."""
        return self._network.runtime

    def segment(
        self,
        x: Any,
        *,
        spacing: Sequence[float] | None = None,
        window: Window = BRAIN,
        progress: Progress | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Find hemorrhage in whatever holds a scan.

        Args:
            x: Hounsfield units, an array (H, W) or (N, H, W), from the neck to the vertex; or a
                file or folder: DICOM, NIfTI, pictures or a zip of these; or a list of them.
            spacing (Sequence[float], optional): Of an array, in mm: between slices, rows and
                columns; of a lone slice also rows and columns alone. Defaults to None: not known.
            window (Window): That 8-bit pictures are taken for. Defaults to the brain window.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Returns:
            Segmentation | list[Segmentation]: A list for a list, and for a file or folder with
            several scans.

        Raises:
            CraniumError: There is no scan, or one that cannot be used.
            OSError: A file cannot be read.
        """
        several = isinstance(x, (list, tuple))
        with TemporaryDirectory(prefix='cranium-') as work:
            scans = _open_scans(x if several else [x], spacing, window, Path(work))
            found = list(self.segment_scans(scans, progress))
        return found if several or len(found) != 1 else found[0]

    def segment_scan(self, scan: Scan, progress: Progress | None = None) -> Segmentation:
        """Find hemorrhage in a scan.

        Args:
            scan (Scan): The scan.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Raises:
            CraniumError: No head is seen in it.
        """
        return next(self.segment_scans([scan], progress))

    def segment_scans(
        self, scans: Iterable[Scan], progress: Progress | None = None
    ) -> Iterator[Segmentation]:
        """Find hemorrhage in scans, one after the other; lone slices go to the network together.

        Args:
            scans (Iterable[Scan]): Taken one by one, as they are needed.
            progress (Callable, optional): Called with the number of slices done, again and again.

        Raises:
            CraniumError: No head is seen in one of them.
        """
        waiting: list[_Aligned] = []
        for scan in scans:
            waiting.append(_Aligned.of(scan, self.network))
            if sum(len(each.layers) for each in waiting) >= self.batch_size:
                yield from self._finish(waiting, progress)
                waiting = []
        yield from self._finish(waiting, progress)

    def _finish(
        self, scans: Sequence['_Aligned'], progress: Progress | None
    ) -> Iterator[Segmentation]:
        places = [(each, layer) for each in scans for layer in range(len(each.layers))]
        for start in range(0, len(places), self.batch_size):
            batch = places[start : start + self.batch_size]
            views = np.stack([each.views(layer) for each, layer in batch])
            for (each, _), log_odds, score in zip(batch, *self._network(views)):
                done = each.add(log_odds, float(score))
                if progress is not None and done:
                    progress(done)
        for each in scans:
            yield each.describe()


@dataclass(eq=False)
class _Aligned:
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
    def of(cls, scan: Scan, spec: NetworkSpec) -> '_Aligned':
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
        slices = []
        for layer in range(len(layers)):
            hu = layers.hu(scan.hu, layer)
            if hu.shape != size:
                hu = np.asarray(cv2.resize(hu, size[::-1], interpolation=cv2.INTER_LINEAR))
            slices.append(ShrunkSlice.of(hu, spec.shrink))
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
        shrunk = whole_to_shrunk_affine(spec.shrink)
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
        log_odds, masks = self._map_back()
        smoothed = self.layers.smooth(np.array(self.scores), self.spec.score_smoothing)
        scores = self.layers.to_slices(smoothed)
        spec = self.spec
        return Segmentation(
            scan=self.scan,
            masks=masks,
            log_odds=log_odds,
            score=float(scores.max()),
            hemorrhage=bool(scores.max() >= spec.scan_threshold.threshold),
            volume_ml=volume_ml(self.scan, masks),
            slices=describe_slices(self.scan, masks, scores, spec.slice_threshold.threshold),
            lesions=find_lesions(self.scan, masks),
            remarks=(*self.scan.remarks, *self.remarks, *_threshold_remarks(spec)),
        )

    def _map_back(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        shape = self.scan.hu.shape
        log_odds, masks = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        kept: dict[int, NDArray[np.float32]] = {}

        def mapped(layer: int) -> NDArray[np.float32]:
            if layer not in kept:
                while len(kept) > 1:
                    del kept[min(kept)]
                kept[layer] = map_back(self.log_odds[layer], self.affines[layer], shape[1:])
            return kept[layer]

        layers = self.layers
        parts = zip(layers.lower, layers.upper, layers.share)
        for index, (lower, upper, share) in enumerate(parts):
            found = mapped(lower)
            if share:
                found = found + np.float32(share) * (mapped(upper) - found)
            log_odds[index] = found
            masks[index] = hysteresis(found, *self.spec.thresholds)
        return log_odds, masks


def _threshold_remarks(spec: NetworkSpec) -> list[str]:
    if spec.scan_threshold.source or spec.slice_threshold.source:
        return []
    return ['The threshold of yes and no was not chosen on other patients: it is a score of 0.']


def _open_scans(
    inputs: Sequence[Any], spacing: Sequence[float] | None, window: Window, work: Path
) -> Iterator[Scan]:
    for number, each in enumerate(inputs, start=1):
        if isinstance(each, Scan):
            yield each
        elif isinstance(each, (str, Path)):
            if spacing is not None:
                raise CraniumError(f'{each}: a file says its spacing itself; leave spacing out')
            yield from _read_scans(Path(each), window, work / str(number))
        else:
            name = 'array' if len(inputs) == 1 else f'array-{number}'
            yield scan_of_array(each, spacing, name)


def _read_scans(path: Path, window: Window, work: Path) -> Iterator[Scan]:
    from cranium.scans.find import find_scans, read_scan

    work.mkdir()
    found, faults = find_scans([path], work)
    if not found:
        message = faults[0].message if faults else f'{path}: no scan in it'
        raise CraniumError(message)
    for each in found:
        yield read_scan(each, window)
