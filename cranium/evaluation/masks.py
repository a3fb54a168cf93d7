"""Masks on disk, made by anything: PNG slices, NIfTI slices or NIfTI volumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cranium.errors import CraniumError
from cranium.evaluation.contrast import true_contrasts
from cranium.evaluation.records import measure_slice, slice_table
from cranium.slices import IGNORE_INDEX, parse_slice_name, patient_name, slice_name

SUFFIXES = ('.png', '.nii', '.nii.gz')
MM = {'mm': 1.0, 'micron': 0.001, 'meter': 1000.0, 'unknown': 1.0}
"""Units of a NIfTI header; most programs that leave them out mean mm."""

# A head is some 150 mm wide and 200 mm long.
MOST_LONGER = 3


class Mask(NamedTuple):
    """A mask as read.

    Attributes:
        labels (ndarray): Integers of shape (H, W); of NIfTI (X, Y, slices), with the axes that lie
            closest to right, front and up.
        affine (ndarray, optional): (4, 4), where the voxels of NIfTI lie, in mm.
        spacing (tuple, optional): Size of a voxel along the axes in mm; nan between slices where
            the file has no third axis.
    """

    labels: NDArray[Any]
    affine: NDArray[np.float64] | None = None
    spacing: tuple[float, float, float] | None = None


def compare_folders(
    prediction: str | Path, truth: str | Path, images: str | Path | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Measure the predicted masks of a folder against the true ones of another.

    Slices are ``<patient>_<slice>.png`` (or ``.nii``, ``.nii.gz``), volumes ``<patient>.nii.gz``,
    of which the affine tells the axial slices, counted from 1 upwards. Both folders name their
    files alike.

    Args:
        prediction (str | Path): Folder of predicted masks, 0 and 1.
        truth (str | Path): Folder of true masks, 0, 1, and 255 for pixels not to be counted.
        images (str | Path, optional): Folder of the images, named like the masks, for pictures and
            for contrasts.

    Returns:
        tuple: The table of slices, and what a reader of the figures has to know.
    """
    predictions, truths = _masks_of(prediction), _masks_of(truth)
    if missing := sorted(set(truths) - set(predictions)):
        raise CraniumError(
            f'{prediction}: no prediction for {len(missing)} of {len(truths)} true masks, first '
            f'{", ".join(missing[:3])}; a mask that is missing is not an empty one, so write one '
            'for each'
        )
    rows = [
        row for name, file in truths.items() for row in _compare(file, predictions[name], images)
    ]
    slices = slice_table(rows)
    names = pd.Series([slice_name(*key) for key in zip(slices['patient'], slices['slice'])])
    ignored = slices[['tp', 'fp', 'fn', 'tn']].sum(axis=1) == 0
    unseen = (slices['image_file'] == '') & (images is not None)
    notes = {
        'predictions have no true mask and were left out': sorted(set(predictions) - set(truths)),
        'true masks are 255 throughout, so that no pixel of theirs counts': [*names[ignored]],
        'slices have no image in the folder of images, so none is shown': [*names[unseen]],
    }
    return slices, [
        f'{len(some)} {what}, first {", ".join(some[:3])}.' for what, some in notes.items() if some
    ]


def read_mask(file: str | Path) -> Mask:
    """Read a mask from PNG or, by nibabel, from NIfTI; an error names the file."""
    return _read_png(Path(file)) if Path(file).suffix == '.png' else _read_nifti(Path(file))


def _masks_of(folder: str | Path) -> dict[str, Path]:
    """The masks of a folder by name, in order."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder; it must hold the masks')
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith('.') or not file.name.endswith(SUFFIXES):
            continue
        name = file.name.split('.')[0]
        if name in found:
            raise CraniumError(f'{file}: {found[name].name} is there as well; keep one of them')
        found[name] = file
    if not found:
        raise CraniumError(f'{folder}: no masks in it; expected are <patient>_<slice>.png or NIfTI')
    return found


def _compare(
    truth_file: Path, prediction_file: Path, images: str | Path | None
) -> Iterator[dict[str, Any]]:
    true, predicted = read_mask(truth_file), read_mask(prediction_file)
    if (true.affine is None) != (predicted.affine is None):
        raise CraniumError(
            f'{prediction_file} against {truth_file}: NIfTI tells how it lies in the head, PNG '
            'does not; save both as one of them'
        )
    if predicted.labels.shape != true.labels.shape:
        raise CraniumError(
            f'{prediction_file}: the mask has the shape {predicted.labels.shape}, the true one '
            f'{true.labels.shape}; save it at the size of the image'
        )
    if not _lie_alike(true.affine, predicted.affine):
        raise CraniumError(
            f'{prediction_file}: spacing or orientation (affine) is not that of {truth_file}; '
            'resample the prediction to the true mask'
        )
    ignored = true.labels == IGNORE_INDEX
    if ignored.any() and not ignored.all() and not (true.labels == 1).any():
        raise CraniumError(
            f'{truth_file}: the mask holds 255 but no 1, and 255 marks pixels that do not count; '
            'write hemorrhage as 1'
        )
    depth = true.labels.shape[2] if true.labels.ndim == 3 else 1
    stem = truth_file.name.split('.')[0]
    is_volume = true.affine is not None and '_' not in stem
    patient, first = (patient_name(stem), 1) if is_volume else parse_slice_name(truth_file)
    if depth > 1 and not is_volume:
        raise CraniumError(f'{truth_file}: {depth} slices; name a volume <patient>, as 049.nii.gz')
    *spacing, thickness = true.spacing or (np.nan,) * 3
    for number in range(depth):
        about: dict[str, Any] = {}
        name = slice_name(patient, first + number) if is_volume else stem
        if images and (image := Path(images, f'{name}.png')).is_file():
            about['image_file'] = str(image)
        if true.affine is None:  # only PNG lies like the image
            about |= {'truth_file': str(truth_file), 'prediction_file': str(prediction_file)}
            about['true_contrasts'] = true_contrasts(true.labels, about.get('image_file', ''))
        where = (..., number) if true.affine is not None else ...
        try:
            yield measure_slice(
                true.labels[where],
                predicted.labels[where],
                patient=patient,
                slice=first + number,
                spacing=spacing if true.spacing else None,
                thickness=thickness,
                **about,
            )
        except CraniumError as error:
            raise CraniumError(f'{prediction_file} against {truth_file}: {error}') from error


def _lie_alike(first: NDArray[np.float64] | None, second: NDArray[np.float64] | None) -> bool:
    return first is None or second is None or np.allclose(first, second, atol=1e-3)


def _read_png(file: Path) -> Mask:
    try:
        with Image.open(file) as image:
            labels = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise OSError(f'{file}: cannot be read as PNG ({error}); write it again') from error
    if labels.ndim != 2:
        raise CraniumError(f'{file}: a picture in colours; a mask has one channel with 0 and 1')
    return Mask(labels.astype(np.uint8) if labels.dtype == bool else labels)


def _read_nifti(file: Path) -> Mask:
    import nibabel

    try:
        image: Any = nibabel.load(file)
        values = np.asarray(image.dataobj)
    except (OSError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise OSError(f'{file}: cannot be read as NIfTI ({error}); write it again') from error
    if values.ndim < 2 or set(values.shape[3:]) - {1}:
        raise CraniumError(f'{file}: the shape is {values.shape}; expected is a slice or a volume')
    labels = np.rint(values).astype(np.int64).reshape(*values.shape[:3], *[1] * (3 - values.ndim))
    if not np.array_equal(labels.ravel(), values.ravel()):
        raise CraniumError(f'{file}: the values are not whole numbers; a mask holds 0 and 1')
    # As `nibabel.as_closest_canonical`, which takes volumes only.
    affine = np.diag([*[MM[image.header.get_xyzt_units()[0]]] * 3, 1.0]) @ image.affine
    coded = image.header['sform_code'] > 0 or image.header['qform_code'] > 0
    if not coded or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-9:
        msg = f'{file}: no valid affine (sform or qform), so which way is up is not known'
        raise CraniumError(f'{msg}; save it with that of the scan')
    orientations: Any = nibabel.orientations
    axes = orientations.io_orientation(affine)
    affine = affine @ orientations.inv_ornt_aff(axes, labels.shape)
    labels = orientations.apply_orientation(labels, axes)
    right, front, up = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    width, length = right * labels.shape[0], front * labels.shape[1]
    if max(width, length) > MOST_LONGER * min(width, length):
        msg = f'{file}: by its affine, axial slices are {width:.0f} x {length:.0f} mm'
        raise CraniumError(f'{msg}, which is no head; save it with the affine of the scan')
    return Mask(labels, affine, (right, front, up if values.ndim > 2 else np.nan))
