"""Loading a mask, and keeping it."""

import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray


@TRANSFORMS.register_module()
class LoadMask(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which can keep what it has read.

    Decoding a mask takes longer than all else that is done to it. Of a kept one only the box around
    what is not background stays in memory, a few kB.

    Args:
        cache (bool): Whether each process keeps the masks. Defaults to False.
        imdecode_backend (str): Defaults to 'cv2', the fastest.
        **kwargs: Passed to ``LoadAnnotations``.
    """

    def __init__(
        self, cache: bool = False, imdecode_backend: str = 'cv2', **kwargs: object
    ) -> None:
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)
        self.cache = cache
        self._masks: dict[str, tuple[tuple[int, int], tuple[slice, slice], NDArray]] = {}

    def _load_seg_map(self, results: dict) -> None:
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


def _cut(mask: NDArray[np.uint8]) -> tuple[tuple[int, int], tuple[slice, slice], NDArray]:
    """Shape of a mask, the box around all that is not 0, and what lies in it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return mask.shape, (slice(0), slice(0)), mask[:0, :0].copy()
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return mask.shape, box, mask[box].copy()
