"""What flows from a data set through its transforms to the network: one slice, in a dict."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray


class SliceFiles(NamedTuple):
    """The files of a slice.

    Attributes:
        image (str): Path of the image.
        mask (str, optional): Path of the mask; None if the slice is not part of the data set, whose
            labels must not be used, or if the data set has no masks.
    """

    image: str
    mask: str | None


class Sample(TypedDict, total=False):
    """One slice on its way through a pipeline.

    A *whole* slice is as it lies on disk; a *shrunk* one was divided by ``shrink`` when it was
    loaded. Points are (x, y) with pixel centres at whole numbers. The keys that mmseg defines
    (``seg_fields``, ``label_map``, ...) are left to mmseg.

    ========================== ==================== ==============================================
    key                        written by           content; read by
    ========================== ==================== ==============================================
    ``img_path``               CraniumDataset       path of the image; LoadScan
    ``seg_map_path``           CraniumDataset       path of the mask; LoadMask
    ``patient``, ``slice``     CraniumDataset       name and number; LoadScan, PasteHemorrhage
    ``scan``                   CraniumDataset       files of the patient's slices in this folder by
                                                    slice number, ascending; LoadScan,
                                                    PasteHemorrhage
    ``progress``               CraniumDataset       share of the training that is over, 0 to 1;
                                                    ProgressiveResizing
    ``draw_donor``             CraniumDataset       loads a random slice with hemorrhage;
                                                    PasteHemorrhage
    ``coarsening``             ProgressiveResizing  whole factor by which pixels are larger than in
                                                    the config; LoadScan, AlignHead
    ``head_center``            CraniumDataset or    (x, y) in pixels of the whole slice; None from
                               LoadScan             CraniumDataset if no head was found; AlignHead,
                                                    PasteHemorrhage
    ``head_angle``             CraniumDataset or    degrees, clockwise; AlignHead, PasteHemorrhage
                               LoadScan
    ``img``                    LoadScan, changed by (H, W, C) uint8: brain windows from the lowest
                               all after it         neighbour to the highest, then the bone window
    ``img_shape``              LoadScan, AlignHead  (H, W) of ``img``; mmseg
    ``ori_shape``              LoadScan             (H, W) of the whole slice; AlignedEncoderDecoder
    ``shrink``                 LoadScan             whole factor between whole and shrunk slice;
                                                    PasteHemorrhage, AlignHead
    ``gt_seg_map``             LoadMask, changed by (H, W) uint8, 0, 1 or 255 (ignore), of the
                               PasteHemorrhage,     whole slice until AlignHead; mmseg
                               AlignHead
    ``slice_px_per_px``        AlignHead            side of a pixel of ``img`` in pixels of the whole
                                                    slice; DistortWindow
    ``head_to_slice_affine``   AlignHead            (3, 3) float64, from pixels of ``img`` to those
                                                    of the whole slice; AlignedEncoderDecoder
    ========================== ==================== ==============================================
    """

    img_path: str
    seg_map_path: str
    patient: str
    slice: int
    scan: Mapping[int, SliceFiles]
    progress: float
    draw_donor: Callable[[], 'Sample']
    coarsening: int
    head_center: tuple[float, float] | None
    head_angle: float
    img: NDArray[np.uint8]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    shrink: int
    gt_seg_map: NDArray[np.uint8]
    slice_px_per_px: float
    head_to_slice_affine: NDArray[np.float64]


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
