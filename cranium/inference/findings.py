"""What masks and scores say of a scan: areas, volumes and lesions."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cranium.inference.segmentation import Lesion, SliceFinding
from cranium.inference.spec import OperatingPoint
from cranium.scans.scan import Geometry, Scan


def pixel_area_mm2(scan: Scan) -> float | None:
    """The area of a pixel; None where its size is not known."""
    if scan.geometry is not None:
        height, width = scan.geometry.pixel_mm
        return height * width
    return None if scan.pixel_mm is None else scan.pixel_mm**2


def pixel_volumes_ml(scan: Scan) -> NDArray[np.float64] | None:
    """What a pixel of each slice stands for, (N,); None where the geometry is not known."""
    if scan.geometry is None or len(scan.hu) < 2:
        return None
    height, width = scan.geometry.pixel_mm
    volumes: NDArray[np.float64] = scan.geometry.thickness_mm * height * width / 1000
    return volumes


def describe_slices(
    scan: Scan,
    masks: NDArray[np.uint8],
    scores: NDArray[np.float64],
    point: OperatingPoint,
) -> tuple[SliceFinding, ...]:
    """Say what was found in each slice.

    Args:
        scan (Scan): The scan.
        masks (ndarray): (N, H, W), 0 or 1.
        scores (ndarray): (N,), log-odds.
        point (OperatingPoint): What the scores mean.
    """
    area = pixel_area_mm2(scan)
    positions = None if scan.geometry is None else scan.geometry.positions_mm
    return tuple(
        SliceFinding(
            number=index + 1,
            file=file,
            position_mm=None if positions is None else float(positions[index]),
            score=float(score),
            hemorrhage=bool(score >= point.threshold),
            pixels=(pixels := _count(mask)),
            area_mm2=None if area is None else pixels * area,
            hemorrhage_probability=point.probability(float(score)),
        )
        for index, (file, mask, score) in enumerate(zip(slice_files(scan), masks, scores))
    )


def slice_files(scan: Scan) -> list[str]:
    """The file of each slice; '' where that cannot be said."""
    count = len(scan.hu)
    if len(scan.files) <= 1:
        return [*scan.files, ''][:1] * count
    if len(scan.files) != count or scan.orientation.axes[0] != 0:
        return [''] * count
    return list(scan.files[::-1] if scan.orientation.reverse[0] else scan.files)


def volume_ml(scan: Scan, masks: NDArray[np.uint8]) -> float | None:
    """The volume of all masks, (N, H, W); None where the geometry is not known."""
    volumes = pixel_volumes_ml(scan)
    return None if volumes is None else float(volumes @ [_count(mask) for mask in masks])


def find_lesions(scan: Scan, masks: NDArray[np.uint8]) -> tuple[Lesion, ...]:
    """Find what touches, by sides, edges or corners, within slices and from slice to slice.

    Args:
        scan (Scan): The scan.
        masks (ndarray): (N, H, W), 0 or 1.

    Returns:
        tuple[Lesion]: The largest first, by volume where that is known; else by pixels.
    """
    filled = [index for index, mask in enumerate(masks) if _count(mask)]
    if not filled:
        return ()
    places = np.argwhere(masks[filled[0] : filled[-1] + 1])  # (P, 3)
    places[:, 0] += filled[0]
    first, last = places.min(axis=0), places.max(axis=0) + 1
    box = tuple(slice(low, high) for low, high in zip(first, last))
    labels, _ = ndimage.label(masks[box], structure=np.ones((3, 3, 3), bool))
    of_place = labels[tuple((places - first).T)]
    volumes = pixel_volumes_ml(scan)
    found = [_measure(places[of_place == n], volumes) for n in range(1, of_place.max() + 1)]
    found.sort(key=lambda each: (-(each[1] or 0.0), -len(each[0]), each[0][0].tolist()))
    return tuple(
        _lesion(number, pixels, volume, scan.geometry)
        for number, (pixels, volume) in enumerate(found, start=1)
    )


def _count(mask: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero(mask.view(bool)))  # as bool it is several times as fast


def _measure(
    places: NDArray[np.int64], volumes: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], float | None]:
    return places, None if volumes is None else float(volumes[places[:, 0]].sum())


def _lesion(
    number: int, places: NDArray[np.int64], volume: float | None, geometry: Geometry | None
) -> Lesion:
    low, high = places.min(axis=0).tolist(), (places.max(axis=0) + 1).tolist()
    slice, row, column = places.mean(axis=0).tolist()
    point = None if geometry is None else geometry.point(slice, row, column).tolist()
    return Lesion(
        number=number,
        pixels=len(places),
        volume_ml=volume,
        box=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        centroid=(slice, row, column),
        centroid_mm=None if point is None else (point[0], point[1], point[2]),
    )
