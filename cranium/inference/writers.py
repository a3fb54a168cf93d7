"""What was found in a scan as files: masks, probabilities and pictures of it.

Each function returns the content of its files by name, so that whoever calls it decides where and
how they appear on the disk.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cranium.errors import CraniumError
from cranium.inference.nifti_grid import regular_grid
from cranium.inference.segmentation import Segmentation
from cranium.scans.scan import Scan

if TYPE_CHECKING:
    from cranium.visualization.contact_sheet import Panel

Files = dict[str, bytes]

MASK, NIFTI, DICOM_SEG, OVERLAY = 'mask', 'nifti', 'dicom-seg', 'overlay'
PROBABILITY = 'probability'
DEFAULT = {'pictures': (MASK, OVERLAY), 'nifti': (NIFTI, OVERLAY), 'dicom': (DICOM_SEG, OVERLAY)}
"""What is written of a scan where nothing else is asked for, by its kind."""

# A sheet shows at most so many slices; of more it shows the one with most hemorrhage of each run.
MOST_SLICES = 60
_COLUMNS = 6

# The fields of a NIfTI header that say where its voxels lie. Its texts stay behind: they may tell
# of the patient.
_WHERE = [
    'pixdim',
    'xyzt_units',
    'qform_code',
    'sform_code',
    'quatern_b',
    'quatern_c',
    'quatern_d',
    'qoffset_x',
    'qoffset_y',
    'qoffset_z',
    'srow_x',
    'srow_y',
    'srow_z',
]

_NUMBERED = re.compile(r'.+_\d+', re.ASCII)


@dataclass(frozen=True)
class Origin:
    """Where the files come from, as some of them say.

    Args:
        network (str): Name of the weights.
        anonymize (bool): Whether nothing of the patient is taken over from the scan. Defaults to
            False.
    """

    network: str
    anonymize: bool = False


def save(found: Segmentation, format: str, origin: Origin) -> Files:
    """Turn what was found to the files of a format.

    Args:
        found (Segmentation): What was found.
        format (str): One of ``FORMATS``.
        origin (Origin): Where it comes from.

    Returns:
        dict: Content of the files by name; each name begins with the scan's.

    Raises:
        CraniumError: The format cannot hold such a scan.
    """
    return FORMATS[format](found, origin)


def slice_names(found: Segmentation) -> list[str]:
    """Name the slices ``<scan>_<number>``; pictures of that name, or of a number, keep it."""
    name = found.scan.name
    stems = [Path(part.file).name.partition('.')[0] for part in found.slices]
    if not is_picture(found.scan):
        stems = [''] * len(stems)
    elif len(stems) == 1 and _NUMBERED.fullmatch(name):  # a slice by itself is called by its name
        name = name.rpartition('_')[0]
    return [
        stem
        if stem.rpartition('_')[0] == name and _NUMBERED.fullmatch(stem)
        else f'{name}_{int(stem) if stem.isdecimal() else part.number:03d}'
        for stem, part in zip(stems, found.slices)
    ]


def is_nifti(scan: Scan) -> bool:
    """Whether a scan came from NIfTI."""
    return bool(scan.files) and scan.files[0].lower().endswith(('.nii', '.nii.gz'))


def is_picture(scan: Scan) -> bool:
    """Whether a scan came from pictures: nothing is known of where they lie."""
    return scan.geometry is None and not is_nifti(scan)


def probabilities(found: Segmentation) -> NDArray[np.float32]:
    """Return the probabilities of hemorrhage, (N, H, W), as multiples of 1/65535.

    That is what 16 bits hold, so that all formats say the same, and what is almost nothing becomes
    0, which a file packs well.
    """
    return np.asarray(np.rint(expit(found.log_odds) * 65535) / 65535, np.float32)


def _masks(found: Segmentation, origin: Origin) -> Files:
    """PNG, 0 and 1, of the slices as they are numbered and seen."""
    return _pictures(found, found.masks)


def _pictures(found: Segmentation, slices: NDArray[Any]) -> Files:
    from cranium.preparation.images import encode_png

    return {f'{name}.png': encode_png(pixels) for name, pixels in zip(slice_names(found), slices)}


def _probability(found: Segmentation, origin: Origin) -> Files:
    shares = probabilities(found)
    if is_picture(found.scan):
        return _pictures(found, np.rint(shares * 65535).astype(np.uint16))
    return {f'{found.scan.name}.nii.gz': _nifti(found.scan, shares)}


def _volumes(found: Segmentation, origin: Origin) -> Files:
    """The mask, and beside it the CT on the same grid where the source was no NIfTI."""
    scan = found.scan
    files = {f'{scan.name}.nii.gz': _nifti(scan, found.masks)}
    if not is_nifti(scan):
        files[f'{scan.name}_ct.nii.gz'] = _nifti(scan, scan.hu)
    return files


def _nifti(scan: Scan, slices: NDArray[Any]) -> bytes:
    import deflate

    image = _like_source(scan, slices) if is_nifti(scan) else _on_grid(scan, slices)
    return bytes(deflate.gzip_compress(image.to_bytes(), 1))


def _like_source(scan: Scan, slices: NDArray[Any]) -> Any:
    """A NIfTI with the voxels, and all that says where they lie, of the scan's own."""
    import nibabel

    source: Any = nibabel.load(scan.files[0])
    second = isinstance(source.header, nibabel.Nifti2Header)
    kind: Any = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    header = kind.header_class()
    for field in _WHERE:
        header[field] = source.header[field]
    header.set_data_dtype(slices.dtype)
    return kind(scan.restore(slices), None, header)


def _on_grid(scan: Scan, slices: NDArray[Any]) -> Any:
    """A NIfTI along the slices of a series, (column, row, layer)."""
    import nibabel

    if scan.geometry is None:
        msg = f'{scan.source}: a picture does not tell where it lies, which NIfTI needs'
        raise CraniumError(f'{msg}; save mask')
    grid = regular_grid(scan.geometry, scan.source)
    voxels = slices[grid.slices].transpose(2, 1, 0)
    # A lone slice has no third axis, for nobody knows how thick it is.
    kind: Any = nibabel.Nifti1Image
    image = kind(voxels if len(slices) > 1 else voxels[..., 0], grid.affine)
    # Programs built on ITK know no shear. They take the upright form, whose voxels have the same
    # volume and in which mask and CT lie on each other all the same.
    image.set_qform(grid.upright, 1)
    image.set_sform(grid.affine, 1)
    image.header.set_xyzt_units('mm')
    return image


def _dicom_seg(found: Segmentation, origin: Origin) -> Files:
    from cranium.inference.dicom_seg import encode_seg

    return {f'{found.scan.name}.dcm': encode_seg(found, origin.network, origin.anonymize)}


def _overlay(found: Segmentation, origin: Origin) -> Files:
    import io

    from cranium.visualization.contact_sheet import contact_sheet

    panels = [slice_panel(found, index) for index in spread(found, MOST_SLICES)]
    buffer = io.BytesIO()
    contact_sheet(panels, _COLUMNS, f'{found.scan.name}: {verdict(found)}').save(buffer, 'PNG')
    return {f'{found.scan.name}.png': buffer.getvalue()}


def slice_panel(found: Segmentation, index: int) -> 'Panel':
    """Make the panel of a slice: the brain window, the mask, and a line."""
    from cranium.visualization.contact_sheet import Panel
    from cranium.visualization.overlay import PREDICTION
    from cranium.windows import BRAIN

    part = found.slices[index]
    area = f'{part.pixels} px' if part.area_mm2 is None else f'{part.area_mm2:.0f} sq mm'
    caption = f'{part.number}: {area if part.pixels else "none"}, score {part.score:.1f}'
    caption += _in_words(part.hemorrhage_probability)
    return Panel(BRAIN.to_gray(found.scan.hu[index]), caption, {PREDICTION: found.masks[index] > 0})


def spread(found: Segmentation, most: int) -> list[int]:
    """Choose at most so many slices all over the scan: of each run the one with most hemorrhage."""
    runs = np.array_split(np.arange(len(found.slices)), min(most, len(found.slices)))
    return [max(run.tolist(), key=lambda index: found.slices[index].pixels) for run in runs]


def verdict(found: Segmentation) -> str:
    """Say in a few words what was found."""
    called = 'hemorrhage' if found.hemorrhage else 'no hemorrhage'
    count = len(found.lesions)
    area = f'{sum(part.pixels for part in found.slices)} px'
    size = area if found.volume_ml is None else f'{found.volume_ml:.1f} ml'
    lesions = f'{size} in {count} lesion{"s" * (count != 1)}' if count else 'nothing outlined'
    probability = _in_words(found.hemorrhage_probability)
    return f'{called} (score {found.score:.2f}{probability}), {lesions}'


def _in_words(probability: float | None) -> str:
    return '' if probability is None else f', probability {probability:.2f}'


FORMATS: dict[str, Callable[[Segmentation, Origin], Files]] = {
    MASK: _masks,
    NIFTI: _volumes,
    DICOM_SEG: _dicom_seg,
    OVERLAY: _overlay,
    PROBABILITY: _probability,
}
