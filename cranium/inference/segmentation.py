"""What was found in a scan: masks and probabilities, scores, volumes and lesions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cranium.scans.scan import Scan


@dataclass(frozen=True)
class Lesion:
    """Hemorrhage pixels that touch, over all slices of a scan.

    Args:
        number (int): From 1, the largest lesion first.
        pixels (int): In all slices.
        volume_ml (float, optional): None where the geometry is not known.
        box (tuple): First slice, row and column, and the ones after the last, in the scan's own
            numbering from 0.
        centroid (tuple): Slice, row and column.
        centroid_mm (tuple, optional): x, y and z in DICOM's coordinates (LPS); None likewise.
    """

    number: int
    pixels: int
    volume_ml: float | None
    box: tuple[tuple[int, int, int], tuple[int, int, int]]
    centroid: tuple[float, float, float]
    centroid_mm: tuple[float, float, float] | None


@dataclass(frozen=True)
class SliceFinding:
    """What was found in a slice.

    Args:
        number (int): From 1, from the neck to the vertex.
        file (str): That it was read from; empty for an array.
        position_mm (float, optional): Along the normal; None where the geometry is not known.
        score (float): Log-odds of hemorrhage.
        hemorrhage (bool): Whether the score reaches the threshold of the network.
        pixels (int): Of hemorrhage.
        area_mm2 (float, optional): None where the size of a pixel is not known.
        hemorrhage_probability (float, optional): That there is hemorrhage in the slice. Defaults to
            None: the network is not calibrated.
    """

    number: int
    file: str
    position_mm: float | None
    score: float
    hemorrhage: bool
    pixels: int
    area_mm2: float | None
    hemorrhage_probability: float | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found in a scan.

    Args:
        scan (Scan): The scan.
        masks (ndarray): (N, H, W), uint8, 0 or 1, on the slices of ``scan.hu``.
        pixels (ndarray | Callable): ``log_odds``, or what makes it once it is asked for.
        score (float): Log-odds of hemorrhage in the scan.
        threshold (float): Of the score, from which on it means hemorrhage.
        volume_ml (float, optional): None where the geometry is not known.
        slices (tuple[SliceFinding, ...]): One for each slice.
        lesions (tuple[Lesion, ...]): The largest first.
        remarks (tuple[str, ...]): What a user should know, one line each; begins with the scan's.
        hemorrhage_probability (float, optional): That there is hemorrhage in the scan. Defaults to
            None: the network is not calibrated.
    """

    scan: Scan
    masks: NDArray[np.uint8]
    pixels: NDArray[np.float32] | Callable[[], NDArray[np.float32]]
    score: float
    threshold: float
    volume_ml: float | None
    slices: tuple[SliceFinding, ...]
    lesions: tuple[Lesion, ...]
    remarks: tuple[str, ...] = ()
    hemorrhage_probability: float | None = None

    @property
    def hemorrhage(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score >= self.threshold

    @cached_property
    def log_odds(self) -> NDArray[np.float32]:
        """The log-odds of hemorrhage, (N, H, W), float32, on the slices of ``scan.hu``."""
        return self.pixels() if callable(self.pixels) else self.pixels

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The mask on the input's own grid; see :meth:`~cranium.scans.scan.Scan.restore`."""
        return self.scan.restore(self.masks)

    @property
    def probability(self) -> NDArray[np.float32]:
        """The probability of hemorrhage in each pixel, float32, on the input's own grid."""
        return self.scan.restore(expit(self.log_odds))
