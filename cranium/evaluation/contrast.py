"""How much a bleed stands out from what is around it, in Hounsfield units."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cranium.errors import CraniumError
from cranium.evaluation.measures import label_lesions
from cranium.scans.pictures import read_pixels, to_hu

RING_PX = 8
"""Width of the ring around a lesion; 3 mm in ct-ich."""

SOFT_TISSUE_HU = (0, 90)
"""What of the ring counts: neither air and fat nor bone."""


def true_contrasts(truth: NDArray[Any], image_file: str | Path) -> str:
    """Contrast of each true lesion, such as ``23.41 8.06``: a cell of ``slices.csv``.

    Args:
        truth (ndarray): (H, W), 0 background, 1 hemorrhage, 255 unknown.
        image_file (str | Path): The slice as a PNG: 16-bit gray of HU + 32768, or 8-bit gray in the
            brain window.

    Returns:
        str: In HU, ``nan`` for a lesion without soft tissue around it, in the order of
        :func:`~cranium.evaluation.measures.match_lesions`; empty without a lesion, and where there
        is no such image of this size.
    """
    if not (truth == 1).any():
        return ''
    hu = _read_hu(Path(image_file))
    if hu is None or hu.shape != truth.shape:
        return ''
    return ' '.join(f'{contrast:.2f}' for contrast in lesion_contrasts(truth, hu))


def lesion_contrasts(truth: NDArray[Any], hu: NDArray[np.int16]) -> list[float]:
    """Mean HU of each lesion minus that of the ring around it, outside of any other lesion."""
    labels, _ = label_lesions(truth == 1)
    tissue = (truth == 0) & (hu >= SOFT_TISSUE_HU[0]) & (hu <= SOFT_TISSUE_HU[1])
    contrasts = []
    for lesion, box in enumerate(ndimage.find_objects(labels), 1):
        around = tuple(slice(max(0, s.start - RING_PX), s.stop + RING_PX) for s in box)
        inside = labels[around] == lesion
        ring = tissue[around] & (ndimage.distance_transform_edt(~inside) <= RING_PX)
        outside = hu[around][ring].mean() if ring.any() else np.nan
        contrasts.append(float(hu[around][inside].mean() - outside))
    return contrasts


def _read_hu(file: Path) -> NDArray[np.int16] | None:
    """HU of a slice, None where the file does not tell them."""
    try:
        return to_hu(read_pixels(file))
    except (CraniumError, OSError):
        return None
