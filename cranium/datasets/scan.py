"""Loading a slice with both windows and its neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.head import ANGLE_SLICES, head_angle, head_center, shrink

PREPARE = 'python tools/prepare_dataset.py --window brain-bone'


@TRANSFORMS.register_module()
class LoadScan(BaseTransform):
    """Load both windows of a slice, the brain windows beside it, and the pose of the head.

    At either end of a scan the edge slice is repeated; another patient's slice is never used. A
    slice that comes alone, as an array or without a scan, stands for its own neighbours.

    Required keys: ``img_path`` and, if there are neighbours, ``scan`` (the paths of the patient's
    slices in order); or ``img``, (H, W, 3) of brain, bone, brain. Optionally ``coarse`` (see
    ``CoarseFirst``), by which slices are shrunk more.

    Added keys: ``img`` ((H, W, C) uint8: the brain windows from the lowest neighbour to the
    highest, then the bone window; shrunk), ``shrink``, ``ori_shape``, ``img_shape``,
    ``head_center`` (x and y in pixels of ``img``), ``head_angle`` (degrees).

    Args:
        neighbors (int): Slices on each side. Defaults to 1.
        shrink (int): Whole factor by which slices are shrunk. Defaults to 2.
        cache_slices (int): Slices that each process keeps in memory: 0.2 MB each for slices of
            650x650 that are shrunk by 2, 0.05 MB by 4. Defaults to 0.
    """

    def __init__(self, neighbors: int = 1, shrink: int = 2, cache_slices: int = 0) -> None:
        self.neighbors = neighbors
        self.shrink = shrink
        self.cache_slices = cache_slices
        # Of one factor at a time.
        self._factor = shrink
        self._slices: dict[str, _Slice] = {}
        self._angles: dict[str, float] = {}

    def transform(self, results: dict) -> dict:
        """Load the slices.

        Args:
            results (dict): See the class.

        Returns:
            dict: The same with the added keys.

        Raises:
            FileNotFoundError: If a slice cannot be read.
            ValueError: If a slice does not hold both windows, or neighbours differ in size.
        """
        path = results.get('img_path') or 'the image'
        factor = self.shrink * results.get('coarse', 1)
        if factor != self._factor:
            self._slices.clear()
            self._angles.clear()
            self._factor = factor
        if results.get('img') is not None:  # mmseg's inference on an array
            alone = _Slice.of(results['img'], path, factor)
            scan, index, read = [path], 0, lambda _: alone
        else:
            scan = results.get('scan') or [path]
            index, read = scan.index(path), self._read
        this = read(path)
        brains = []
        for offset in range(-self.neighbors, self.neighbors + 1):
            neighbor = scan[min(max(index + offset, 0), len(scan) - 1)]
            brain = read(neighbor).brain
            if brain.shape != this.brain.shape:
                msg = f'{neighbor} is of another size than {path}; prepare the slices again'
                raise ValueError(msg)
            brains.append(brain)
        results['img'] = cv2.merge([*brains, this.bone])
        results['shrink'] = factor
        results['ori_shape'] = this.shape
        results['img_shape'] = this.brain.shape
        results['head_center'] = this.center
        results['head_angle'] = self._angle(scan, read)
        return results

    def _read(self, path: str) -> '_Slice':
        if path in self._slices:
            return self._slices[path]
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        if image is None:
            raise FileNotFoundError(f'{path} cannot be read as an image; `{PREPARE}` writes it')
        found = _Slice.of(image, path, self._factor)
        # Slices come at random, so keeping some for good saves as much as keeping the latest.
        if len(self._slices) < self.cache_slices:
            self._slices[path] = found
        return found

    def _angle(self, scan: Sequence[str], read: Callable[[str], '_Slice']) -> float:
        """The angle of a scan, from slices spread over it; estimated once for slices on disk."""
        on_disk = read == self._read
        if on_disk and scan[0] in self._angles:
            return self._angles[scan[0]]
        chosen = np.unique(np.linspace(0, len(scan) - 1, 2 * ANGLE_SLICES).astype(int))
        angle = head_angle([read(scan[i]).mean for i in chosen])
        if on_disk:
            self._angles[scan[0]] = angle
        return angle


@dataclass(frozen=True)
class _Slice:
    """A slice as it is kept.

    Attributes:
        brain (ndarray): (H, W), shrunk.
        bone (ndarray): (H, W), shrunk.
        shape (tuple): Height and width before.
        center (tuple): x and y of the head's centre in the shrunk slice, or of the slice's own.
    """

    brain: NDArray[np.uint8]
    bone: NDArray[np.uint8]
    shape: tuple[int, int]
    center: tuple[float, float]

    @classmethod
    def of(cls, image: NDArray, path: str, factor: int) -> '_Slice':
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            msg = (
                f'{path} has the shape {image.shape} and type {image.dtype}; expected both windows '
                f'in the 8-bit channels brain, bone, brain, as `{PREPARE}` writes them'
            )
            raise ValueError(msg)
        brain, bone = (shrink(np.ascontiguousarray(image[..., i]), factor) for i in (0, 1))
        center = head_center(brain) or ((brain.shape[1] - 1) / 2, (brain.shape[0] - 1) / 2)
        return cls(brain, bone, image.shape[:2], center)

    @property
    def mean(self) -> NDArray[np.uint8]:
        """(H, W), of both windows."""
        return cv2.addWeighted(self.brain, 0.5, self.bone, 0.5, 0)
