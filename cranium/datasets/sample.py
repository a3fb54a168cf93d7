"""What flows from a data set through its transforms to the network: one slice, in a dict."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray


class SliceFiles(NamedTuple):
    """The files of a slice."""

    image: str
    mask: str | None
    """None if the slice is not part of the data set: then its labels must not be used."""


class Sample(TypedDict, total=False):
    """One slice on its way through a pipeline.

    The *whole* slice is as it lies on disk; a *shrunk* one was divided by ``shrink`` when it was
    loaded. Points are (x, y), with pixel centres at whole numbers. What else mmseg keeps here
    (``seg_fields``, ``label_map``, ...) is its own business.
    """

    # By CraniumDataset:
    img_path: str  # for LoadScan; None of an array, by mmseg
    seg_map_path: str  # for LoadMask
    patient: str
    slice: int  # its number; for LoadScan and PasteHemorrhage, as is `scan`
    scan: Mapping[int, SliceFiles]  # the patient's slices in this folder by number, ascending
    pixel_mm: float  # side of a pixel of the whole slice, assumed where unknown; also by LoadScan
    voxel_mm: tuple[float, float, float]  # of slices, rows and columns, where that is measured
    progress: float  # share of the training that is over, 0 to 1; for ProgressiveResizing
    draw_donor: 'Callable[[], Sample]'  # loads a slice with hemorrhage; for PasteHemorrhage
    # By CraniumDataset from the manifest, else by LoadScan; for AlignHead and PasteHemorrhage:
    head_center: tuple[float, float] | None  # in the whole slice; None: no head (until LoadScan)
    head_angle: float  # degrees, clockwise
    # By ProgressiveResizing, for LoadScan and AlignHead:
    coarsening: int  # whole factor by which pixels are larger than the config says
    # By LoadScan, which drops what mmseg's loaders put here but for an array without a path;
    # transforms after it change `img`, and AlignHead `img_shape`:
    img: NDArray[Any]  # (H, W, C) int16 HU: the slice stack as soft tissue, clipped, the lowest
    # neighbour first, then the slice itself over its whole range. By DistortHU float32, by WindowCT
    # the views that the network sees, float32 from 0 to 255
    img_pixel_mm: float  # side of a pixel of `img`, which AlignHead changes
    img_shape: tuple[int, int]  # of `img`; for mmseg
    ori_shape: tuple[int, int]  # of the whole slice; for AlignedEncoderDecoder
    shrink: int  # for PasteHemorrhage and AlignHead
    # By LoadMask; PasteHemorrhage changes it, AlignHead resamples it from the whole slice to `img`:
    gt_seg_map: NDArray[Any]  # (H, W) uint8: 0, 1, or 255 to ignore
    # By AlignHead:
    head_to_slice_affine: NDArray[np.float64]  # (3, 3), from `img` to the whole slice; for
    # AlignedEncoderDecoder


def neighbors(scan: Mapping[int, SliceFiles], number: int, reach: int) -> list[SliceFiles]:
    """Look up a slice and those beside it, by slice number.

    Where a number is missing, at either end of a scan or in a gap, the next slice towards the
    middle stands in for it; another patient's slice is never used.

    Args:
        scan (Mapping): The slices of a scan by number.
        number (int): The slice, which is in the scan.
        reach (int): How many slices on either side.

    Returns:
        list[SliceFiles]: Of length 2 ``reach`` + 1, from the lowest number to the highest.
    """
    found = [scan[number]]
    for step in range(1, reach + 1):
        found.insert(0, scan.get(number - step, found[0]))
        found.append(scan.get(number + step, found[-1]))
    return found
