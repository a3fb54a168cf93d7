"""Loading masks, checking them, and keeping them."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from cranium.errors import CraniumError

from .sample import Sample

PREPARE = 'cranium prepare'
Box = tuple[slice, slice]  # rows and columns


class CheckLabels(BaseTransform):
    """Refuse a mask that holds anything but the labels of its classes, right after loading it.

    A mask of 0 and 255 is the usual mistake: 255 means *ignore* to mmseg, which would train on
    background alone without a word. So 255 is accepted only where it fills the whole mask, which is
    how a slice without labels is written.

    Args:
        num_classes (int): Number of classes; labels are below it.
        ignore_index (int): The label of pixels that do not count.
    """

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: Sample) -> Sample:
        """Check ``gt_seg_map``; raise CraniumError if it is not 2-D or holds another label."""
        self.check(results['gt_seg_map'], results['seg_map_path'])
        return results

    def check(self, mask: NDArray[Any], path: str) -> None:
        """Check the mask that was read from a path."""
        if mask.ndim != 2:
            msg = f'{path} has the shape {mask.shape}; expected one gray channel'
        elif mask.max() < self.num_classes or (mask == self.ignore_index).all():
            return
        else:
            wrong = next(label for label in np.unique(mask) if label >= self.num_classes)
            valid = ', '.join(map(str, range(self.num_classes)))
            msg = f'{path} holds the value {wrong}; expected only {valid}'
        raise CraniumError(f'{msg}. `{PREPARE} --overwrite` writes the tree again')


@TRANSFORMS.register_module()
class LoadMask(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which can keep what it has read.

    Of a slice without ``seg_map_path`` there is nothing to load: mmseg's inference gives such, and
    takes no step but ``LoadAnnotations`` itself out of a test pipeline.

    Decoding a mask takes longer than all else that is done to it. Of a kept mask only the box
    around what is not background stays in memory, a few kB.

    Args:
        cache (bool): Whether each process keeps the masks. Defaults to False.
        imdecode_backend (str): Defaults to 'cv2', the fastest.
        **kwargs: Passed to ``LoadAnnotations``.
    """

    def __init__(self, cache: bool = False, imdecode_backend: str = 'cv2', **kwargs: Any) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.cache = cache
        self._masks: dict[str, tuple[tuple[int, ...], Box, NDArray[np.uint8]]] = {}

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the mask, if there is one."""
        if 'seg_map_path' not in results:
            return results
        found: dict[str, Any] = super().transform(results)
        return found

    def read(self, path: str) -> NDArray[np.uint8]:
        """Read a mask file, (H, W)."""
        record = {'seg_map_path': path, 'reduce_zero_label': False, 'seg_fields': list[str]()}
        mask: NDArray[np.uint8] = self.transform(record)['gt_seg_map']
        return mask

    def _load_seg_map(self, results: dict[str, Any]) -> None:
        path = results['seg_map_path']
        if path not in self._masks:
            super()._load_seg_map(results)
            if self.cache and results['gt_seg_map'].ndim == 2:
                self._masks[path] = _cut(results['gt_seg_map'])
            return
        shape, box, part = self._masks[path]
        mask = np.zeros(shape, np.uint8)
        mask[box] = part
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')


def _cut(mask: NDArray[np.uint8]) -> tuple[tuple[int, ...], Box, NDArray[np.uint8]]:
    """Shape of a mask, the box around all that is not 0, and what lies in it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return mask.shape, (slice(0), slice(0)), mask[:0, :0].copy()
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return mask.shape, box, mask[box].copy()
