"""What a prepared tree knows of its slices beyond their pixels."""

import os
import os.path as osp
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from math import isnan
from typing import Any, cast

from cranium.errors import CraniumError
from cranium.manifest import MANIFEST, read_manifest
from cranium.slices import PIXEL_MM, parse_slice_name

from .sample import Sample, SliceFiles

_FROM_MANIFEST = (
    'image',
    'patient',
    'slice',
    'hemorrhage_pixels',
    'head_x',
    'head_y',
    'head_angle',
    'pixel_mm',
    'slice_mm',
)


def manifest_records(root: str) -> dict[str, dict[str, Any]]:
    """Read what the manifest of a tree says of each image, by its path in the tree.

    Returns:
        dict: Of records with ``patient``, ``slice``, ``hemorrhage``, ``pixel_mm`` and, where they
        are known, ``head_center``, ``head_angle`` and ``voxel_mm``; {} if there is no manifest.
    """
    file = osp.join(root, MANIFEST)
    return _read(root, os.stat(file).st_mtime_ns) if osp.isfile(file) else {}


@lru_cache(maxsize=2)
def _read(root: str, changed: int) -> dict[str, dict[str, Any]]:
    rows = read_manifest(root)
    rows = rows[rows['image'] != '']
    columns = zip(*(rows[name].tolist() for name in _FROM_MANIFEST))
    return {osp.normpath(image): _record(*values) for image, *values in columns}


def _record(
    patient: str,
    slice: int,
    hemorrhage_pixels: int,
    x: float,
    y: float,
    angle: float,
    pixel_mm: float,
    slice_mm: float,
) -> dict[str, Any]:
    record = dict(patient=patient, slice=slice, hemorrhage=hemorrhage_pixels > 0)
    record['pixel_mm'] = PIXEL_MM if isnan(pixel_mm) else pixel_mm
    if not isnan(slice_mm):  # as then nothing is assumed
        record['voxel_mm'] = slice_mm, pixel_mm, pixel_mm
    if isnan(angle):
        return record
    return record | dict(head_center=None if isnan(x) else (x, y), head_angle=angle)


def list_scans(
    folder: str, names: Iterable[str], masks: Mapping[str, str | None] | None = None
) -> dict[str, dict[int, SliceFiles]]:
    """Sort the images of a folder into scans.

    Args:
        folder (str): The folder.
        names (Iterable[str]): Of its files; those that are no slices are left out.
        masks (Mapping, optional): Masks by path of the image. Defaults to none.

    Returns:
        dict: By patient, the slices by number, ascending.
    """
    scans: dict[str, dict[int, SliceFiles]] = {}
    for name in names:
        with suppress(CraniumError):  # somebody's photo, which is no slice of a scan
            patient, number = parse_slice_name(name)
            path = osp.join(folder, name)
            scans.setdefault(patient, {})[number] = SliceFiles(path, (masks or {}).get(path))
    return {patient: dict(sorted(files.items())) for patient, files in scans.items()}


def find_record(path: str) -> Sample:
    """Look up what a data set would say of an image, which comes by its path alone.

    Returns:
        Sample: Patient and number of the slice, the scan that its neighbours in the folder make,
        and what a manifest two folders above says; empty for an image of another name.
    """
    folder, name = osp.split(path)
    try:
        patient, number = parse_slice_name(name)
    except CraniumError:
        return {}
    root = osp.join(folder or '.', '..', '..')
    known = manifest_records(root).get(osp.relpath(path, root), {})
    # By the beginning of the name first: to parse all names of a data set takes longer.
    beside, suffix = name.split('_')[0] + '_', osp.splitext(name)[1]
    names = [n for n in os.listdir(folder or '.') if n.startswith(beside) and n.endswith(suffix)]
    found = dict(patient=patient, slice=number) | known
    return cast(Sample, found | dict(scan=list_scans(folder, names)[patient]))
