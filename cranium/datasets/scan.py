"""Loading a slice in Hounsfield units with its neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.scans.pictures import read_pixels, to_hu
from cranium.slices import PIXEL_MM
from cranium.views import ShrunkSlice, scan_angle, stack_planes

from .records import find_record
from .sample import Sample, SliceFiles, neighbors

PREPARE = 'cranium prepare --window hu'


@TRANSFORMS.register_module()
@dataclass(eq=False)
class LoadScan(BaseTransform):
    """Load a slice in HU, the slices beside it, and the pose of the head.

    The slice stack is clipped to soft tissue (-100 to 200 HU) before it is shrunk: the mean of
    brain and bone would be that of blood. After it comes the slice itself over its whole range.

    Writes ``img``, ``img_pixel_mm``, ``shrink``, ``ori_shape`` and ``img_shape`` (see ``Sample``),
    and ``pixel_mm``, ``head_center`` and ``head_angle`` unless the manifest has told them.

    Slices come from a data set, or from mmseg's inference: by path alone, and then all that lies
    beside it in a prepared tree is found (see :func:`~cranium.datasets.records.find_record`), or as
    an array of HU, (H, W), in ``img``. A slice of which nothing is known stands for its own
    neighbours.

    Args:
        neighbors (int): Slices on each side; see :func:`~cranium.datasets.sample.neighbors`.
            Defaults to 1.
        shrink (int): Whole factor by which slices are shrunk. Defaults to 2.
        cache_slices (int): Slices that each process keeps in memory, the last ones that were used:
            0.4 MB each for slices of 650x650 that are shrunk by 2. A few dozen let a test read
            each slice of a scan once; as many as there are slices let a training. Defaults to 64.
        alone (bool): Take each slice for one of which nothing is known but its pixel size, as that
            of a scan of one slice. Defaults to False.
    """

    neighbors: int = 1
    shrink: int = 2
    cache_slices: int = 64
    alone: bool = False
    _slices: dict[tuple[str, int], ShrunkSlice] = field(
        default_factory=dict, init=False, repr=False
    )
    _angles: dict[tuple[str, int], float] = field(default_factory=dict, init=False, repr=False)

    def transform(self, results: Sample) -> Sample:
        """Load the slices.

        Raises:
            FileNotFoundError: A slice cannot be read.
            CraniumError: A slice is not stored in HU, or neighbours differ in size.
        """
        factor = self.shrink * results.get('coarsening', 1)
        if 'scan' not in results and (path := results.get('img_path')):
            results = {**find_record(path), **results}
            for kept in (self._slices, self._angles):
                kept.pop((path, factor), None)  # the file may be another by now
        if self.alone:
            results.pop('scan', None)
            results.pop('head_center', None)
            results.pop('head_angle', None)
        stack, scan = self._load_stack(results, factor)
        this = stack[self.neighbors]
        results['img'] = stack_planes(stack)
        results['shrink'] = factor
        results['ori_shape'] = this.shape
        results['img_shape'] = this.soft.shape
        results['img_pixel_mm'] = factor * results.setdefault('pixel_mm', PIXEL_MM)
        if 'head_angle' not in results:
            results['head_center'] = this.center
            results['head_angle'] = (
                self._angle(scan, factor) if scan else scan_angle(1, lambda _: this)
            )
        if results['head_center'] is None:
            results['head_center'] = this.middle
        return results

    def _load_stack(
        self, results: Sample, factor: int
    ) -> tuple[list[ShrunkSlice], Mapping[int, SliceFiles]]:
        """The slice and its neighbours, the lowest first, and the scan, {} for an array."""
        path = results.get('img_path')
        if path is None:
            lone = ShrunkSlice.of(_check_hu(results['img']), factor)
            return [lone] * (2 * self.neighbors + 1), {}
        number = results.get('slice', 0)
        scan = results.get('scan') or {number: SliceFiles(path, None)}
        files = neighbors(scan, number, self.neighbors)
        stack = [self._read(file.image, factor) for file in files]
        for file, each in zip(files, stack):
            if each.shape != stack[self.neighbors].shape:
                msg = f'{file.image} is of another size than {path}; prepare the slices again'
                raise CraniumError(msg)
        return stack, scan

    def _read(self, path: str, factor: int) -> ShrunkSlice:
        key = path, factor
        found = self._slices.pop(key, None) or ShrunkSlice.of(_read_hu(path), factor)
        self._slices[key] = found  # the last one used comes last
        if len(self._slices) > self.cache_slices:
            del self._slices[next(iter(self._slices))]
        return found

    def _angle(self, scan: Mapping[int, SliceFiles], factor: int) -> float:
        """The angle of a scan, estimated once from slices spread over it."""
        paths = [files.image for files in scan.values()]
        key = paths[0], factor
        if key not in self._angles:
            self._angles[key] = scan_angle(len(paths), lambda i: self._read(paths[i], factor))
        return self._angles[key]


def _read_hu(path: str) -> NDArray[np.int16]:
    try:
        pixels = read_pixels(path)
    except OSError as error:
        msg = f'{path} cannot be read as an image ({error.strerror}); `{PREPARE}` writes it'
        raise FileNotFoundError(msg) from error
    if pixels.dtype != np.uint16:
        msg = f'{path} holds {pixels.dtype}; expected 16-bit gray, HU + 32768:'
        raise CraniumError(f'{msg} `{PREPARE} --overwrite` writes it')
    return to_hu(pixels)


def _check_hu(image: NDArray[Any]) -> NDArray[np.int16]:
    """Take an array of HU as it is, rounded to whole ones; of uint16 as a tree stores it."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim != 2 or image.dtype == np.uint8:
        msg = f'an image has the shape {image.shape} and type {image.dtype}; expected HU, (H, W)'
        raise CraniumError(msg)
    if image.dtype.kind == 'f' and np.isnan(image).any():
        raise CraniumError('an image holds nan; put -1000, air, in its place')
    if image.dtype == np.uint16:
        return to_hu(image)
    limits = np.iinfo(np.int16)
    return np.asarray(np.clip(np.rint(image), limits.min, limits.max), np.int16)
