"""What a network would have found, without one."""

import dataclasses
from pathlib import Path

import numpy as np

from cranium.inference.findings import describe_slices, find_lesions, volume_ml
from cranium.inference.segmentation import Segmentation
from cranium.inference.spec import NetworkSpec, OperatingPoint
from cranium.scans.scan import Geometry, Scan


def heads(count=3, height=10, width=12):
    """HU of slices with a brain of 30 HU, in which blood of 70 HU grows from slice to slice."""
    hu = np.full((count, height, width), 30, np.int16)
    for index in range(count):
        hu[index, 2 : 4 + index, 3:6] = 70
    return hu


def axial(count=3, distance=5.0, spacing=(0.5, 0.4)):
    corners = np.array([[-10, -20, distance * number] for number in range(count)], float)
    return Geometry(corners, np.array([spacing[1], 0, 0]), np.array([0, spacing[0], 0]))


def found_in(scan, calibration=None):
    """The mask is what lies between 50 HU and bone."""
    masks = ((scan.hu > 50) & (scan.hu < 100)).astype(np.uint8)
    log_odds = np.where(masks, 3, -3).astype(np.float32)
    scores = log_odds.max(axis=(1, 2)).astype(float)
    point = OperatingPoint(calibration=calibration)
    return Segmentation(
        scan,
        masks,
        log_odds,
        float(scores.max()),
        point.threshold,
        volume_ml(scan, masks),
        describe_slices(scan, masks, scores, point),
        find_lesions(scan, masks),
        scan.remarks,
        point.probability(scores.max()),
    )


def picture_scan(name='049', stems=('049_001', '049_002', '049_003')):
    files = tuple(f'/scans/{stem}.png' for stem in stems)
    return Scan(heads(len(stems)), name, '/scans', files)


class ByBrightness:
    """Stands for a network."""

    network = NetworkSpec((192, 160), 1.0, 1, 2, ())

    calibration = None

    def __init__(self, after=lambda scan: None):
        self.after = after
        self.done = []

    def segment_scan(self, scan, progress=lambda slices: None):
        progress(len(scan.hu))
        self.done.append(scan.name)
        self.after(scan)
        return dataclasses.replace(
            found_in(scan, self.calibration), remarks=(*scan.remarks, 'a stand-in')
        )


def names_of(folder: Path) -> list[str]:
    """All files below a folder but what begins with a dot."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob('*')) if path.is_file())
    return [str(path) for path in paths if not str(path).startswith('.')]
