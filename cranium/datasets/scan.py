"""Loading a slice with both windows and its neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import ANGLE_SLICES, head_angle, head_center, shrink, shrunk_to_whole_affine

from .sample import Sample, SliceFiles, neighbors

PREPARE = 'cranium prepare --window brain-bone'


@TRANSFORMS.register_module()
@dataclass(eq=False)
class LoadScan(BaseTransform):
    """Load both windows of a slice, the brain windows beside it, and the pose of the head.

    Writes ``img``, ``shrink``, ``ori_shape`` and ``img_shape`` (see ``Sample``), and
    ``head_center`` and ``head_angle`` unless the manifest has told them. A slice that comes without
    ``scan`` stands for its own neighbours.

    Args:
        neighbors (int): Slices on each side; see :func:`~cranium.datasets.sample.neighbors`.
            Defaults to 1.
        shrink (int): Whole factor by which slices are shrunk. Defaults to 2.
        cache_slices (int): Slices that each process keeps in memory, the last ones that were used:
            0.2 MB each for slices of 650x650 that are shrunk by 2. A few dozen let a test read
            each slice of a scan once; as many as there are slices let a training. Defaults to 64.
    """

    neighbors: int = 1
    shrink: int = 2
    cache_slices: int = 64
    _slices: 'dict[tuple[str, int], _Slice]' = field(default_factory=dict, init=False, repr=False)
    _angles: dict[tuple[str, int], float] = field(default_factory=dict, init=False, repr=False)

    def transform(self, results: Sample) -> Sample:
        """Load the slices.

        Raises:
            FileNotFoundError: A slice cannot be read.
            CraniumError: A slice does not hold both windows, or neighbours differ in size.
        """
        path = results['img_path']
        number = results.get('slice', 0)
        scan = results.get('scan') or {number: SliceFiles(path, None)}
        factor = self.shrink * results.get('coarsening', 1)
        this = self._read(path, factor)
        brains = []
        for neighbor in neighbors(scan, number, self.neighbors):
            brain = self._read(neighbor.image, factor).brain
            if brain.shape != this.brain.shape:
                msg = f'{neighbor.image} is of another size than {path}; prepare the slices again'
                raise CraniumError(msg)
            brains.append(brain)
        results['img'] = cv2.merge([*brains, this.bone])
        results['shrink'] = factor
        results['ori_shape'] = this.shape
        results['img_shape'] = this.brain.shape
        if 'head_angle' not in results:
            results['head_center'] = this.center
            results['head_angle'] = self._angle(scan, factor)
        if results['head_center'] is None:
            height, width = this.shape
            results['head_center'] = (width - 1) / 2, (height - 1) / 2
        return results

    def _read(self, path: str, factor: int) -> '_Slice':
        key = path, factor
        found = self._slices.pop(key, None) or _Slice.read(path, factor)
        self._slices[key] = found  # the last one used comes last
        if len(self._slices) > self.cache_slices:
            del self._slices[next(iter(self._slices))]
        return found

    def _angle(self, scan: Mapping[int, SliceFiles], factor: int) -> float:
        """The angle of a scan, estimated once from slices spread over it."""
        paths = [files.image for files in scan.values()]
        key = paths[0], factor
        if key not in self._angles:
            spread = np.unique(np.linspace(0, len(paths) - 1, 2 * ANGLE_SLICES).astype(int))
            means = [self._read(paths[index], factor).mean for index in spread]
            self._angles[key] = head_angle(means)
        return self._angles[key]


@dataclass(frozen=True)
class _Slice:
    """A slice as it is kept.

    Attributes:
        brain (ndarray): (H, W) uint8, shrunk.
        bone (ndarray): (H, W) uint8, shrunk.
        shape (tuple): Height and width of the whole slice.
        factor (int): By which it was shrunk.
    """

    brain: NDArray[Any]
    bone: NDArray[Any]
    shape: tuple[int, int]
    factor: int

    @classmethod
    def read(cls, path: str, factor: int) -> '_Slice':
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        if image is None:
            raise FileNotFoundError(f'{path} cannot be read as an image; `{PREPARE}` writes it')
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            msg = (
                f'{path} has the shape {image.shape} and type {image.dtype}; expected both windows '
                f'in the 8-bit channels brain, bone, brain, as `{PREPARE}` writes them'
            )
            raise CraniumError(msg)
        brain, bone = (shrink(np.ascontiguousarray(image[..., i]), factor) for i in (0, 1))
        return cls(brain, bone, image.shape[:2], factor)

    @cached_property
    def center(self) -> tuple[float, float] | None:
        """The head's (x, y) in pixels of the whole slice."""
        found = head_center(self.brain)
        if found is None:
            return None
        x, y, _ = shrunk_to_whole_affine(self.factor) @ [*found, 1]
        return float(x), float(y)

    @property
    def mean(self) -> NDArray[Any]:
        """(H, W) uint8, of both windows."""
        return cv2.addWeighted(self.brain, 0.5, self.bone, 0.5, 0)
