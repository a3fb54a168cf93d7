"""The results of a scan as files in a folder, and as figures for the page."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from cranium.errors import CraniumError
from cranium.inference import output, writers
from cranium.inference.segmentation import Segmentation
from cranium.inference.spec import NetworkSpec
from cranium.scans.scan import Scan

_SLICES = 'slices.npy'
_TABLES = ('lesions.csv', 'slices.csv')
_LABELS = {
    writers.MASK: 'Mask, PNG',
    writers.NIFTI: 'Mask, NIfTI',
    writers.DICOM_SEG: 'Mask, DICOM SEG',
    writers.PROBABILITY: 'Probability',
    'lesions.csv': 'Table of the lesions, CSV',
    'slices.csv': 'Table of the slices, CSV',
}
_VOXEL = np.dtype([('hu', '<i2'), ('mask', 'u1'), ('probability', 'u1')])


def show(found: Segmentation, folder: Path) -> dict[str, Any]:
    """Write what the page draws, so that nothing of a scan stays in memory.

    Args:
        found (Segmentation): Of the scan.
        folder (Path): For its files.

    Returns:
        dict: What the page says of it, fit for JSON.
    """
    _write_slices(found, folder / _SLICES)
    return _figures(found) | {'threshold': found.threshold, 'files': []}


def save(found: Segmentation, folder: Path, network: NetworkSpec) -> Iterator[dict[str, Any]]:
    """Write what a user may save; all of it may take longer than finding it.

    Args:
        found (Segmentation): Of the scan.
        folder (Path): For its files.
        network (NetworkSpec): That found it.

    Yields:
        dict: Name, label and size of a file that was written; or a ``remark``, that such a scan
        does not allow it.
    """
    origin = writers.Origin(network.name)
    first, *others = _formats(found.scan)
    for make in (
        partial(_format, found, first, origin),
        *(partial(_table, found, name) for name in _TABLES),
        *(partial(_format, found, format, origin) for format in others),
    ):
        try:
            file = make()
        except CraniumError as error:
            yield {'remark': str(error)}
            continue
        (folder / file.name).write_bytes(file.content)
        yield {'name': file.name, 'label': file.label, 'bytes': len(file.content)}


def read_slice(folder: Path, number: int) -> bytes:
    """Read a slice as the page draws it.

    Args:
        folder (Path): That :func:`show` has filled.
        number (int): From 0.

    Returns:
        bytes: Of all pixels, row by row: HU as int16 (little-endian), then the mask as uint8, 0 or
        1, then the probability as uint8, 0 to 255.

    Raises:
        IndexError: There is no such slice.
    """
    slices = np.load(folder / _SLICES, mmap_mode='r')
    if not 0 <= number < len(slices):
        raise IndexError(number)
    plane = slices[number]
    return b''.join(plane[name].tobytes() for name in _VOXEL.names or ())


@dataclass(frozen=True)
class _File:
    name: str
    label: str
    content: bytes


def _format(found: Segmentation, format: str, origin: writers.Origin) -> _File:
    """Make the file of a format; several are packed into a zip."""
    stem, label = f'{found.scan.name}_{format}', _LABELS[format]
    content = writers.save(found, format, origin)
    if len(content) == 1:
        ((name, only),) = content.items()
        return _File(stem + name.removeprefix(found.scan.name), label, only)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:  # they are compressed as they are
        for name, part in content.items():
            archive.writestr(name, part)
    return _File(f'{stem}.zip', label, buffer.getvalue())


def _table(found: Segmentation, table: str) -> _File:
    record = output.describe(found, writers.slice_names(found))
    content = output.make_tables([record | {'status': output.DONE, 'refused': {}}])[table]
    return _File(f'{found.scan.name}_{table}', _LABELS[table], content)


def _formats(scan: Scan) -> tuple[str, ...]:
    if writers.is_picture(scan):
        return writers.MASK, writers.PROBABILITY
    if writers.is_nifti(scan):
        return writers.NIFTI, writers.PROBABILITY
    return writers.DICOM_SEG, writers.NIFTI, writers.PROBABILITY


def _write_slices(found: Segmentation, file: Path) -> None:
    hu = found.scan.hu
    stored = np.lib.format.open_memmap(file, mode='w+', dtype=_VOXEL, shape=hu.shape)
    for plane, *layers in zip(stored, hu, found.masks, found.log_odds):
        plane['hu'], plane['mask'] = layers[:2]
        plane['probability'] = np.rint(255 * expit(layers[2]))
    stored.flush()


def _figures(found: Segmentation) -> dict[str, Any]:
    scan = found.scan
    pixel_mm = scan.geometry.pixel_mm if scan.geometry else (scan.pixel_mm,) * 2
    return {
        'shape': list(scan.hu.shape),
        'pixel_mm': list(pixel_mm) if pixel_mm[0] else None,
        'hemorrhage': found.hemorrhage,
        'score': found.score,
        'probability': found.hemorrhage_probability,
        'volume_ml': found.volume_ml,
        'remarks': list(found.remarks),
        'no_volume': _why_no_volume(scan),
        'slices': [
            {
                'hemorrhage': item.hemorrhage,
                'score': item.score,
                'probability': item.hemorrhage_probability,
                'pixels': item.pixels,
                'area_mm2': item.area_mm2,
                'position_mm': item.position_mm,
            }
            for item in found.slices
        ],
        'lesions': [
            {
                'number': item.number,
                'pixels': item.pixels,
                'volume_ml': item.volume_ml,
                'box': item.box,
                'slice': _largest_slice(found, item.box),
            }
            for item in found.lesions
        ],
    }


def _why_no_volume(scan: Scan) -> str:
    if scan.geometry is None:
        return 'the input tells no millimetres'
    return '' if len(scan.hu) > 1 else 'a lone slice has no thickness'


def _largest_slice(found: Segmentation, box: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
    """Find where a lesion is best seen."""
    inside = tuple(map(slice, *box))
    return int(box[0][0] + found.masks[inside].sum((1, 2)).argmax())
