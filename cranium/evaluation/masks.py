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
from cranium.scans.nifti import read_volume
from cranium.scans.scan import Geometry
from cranium.slices import IGNORE_INDEX, parse_slice_name, patient_name, slice_name

SUFFIXES = ('.png', '.nii', '.nii.gz')


class Mask(NamedTuple):
    """A mask as read.

    Attributes:
        labels (ndarray): Integers, of a PNG (H, W), of NIfTI axial slices (N, H, W).
        geometry (Geometry, optional): Where the slices of NIfTI lie.
        slice_mm (float): Distance of the slices; nan where unknown.
    """

    labels: NDArray[Any]
    geometry: Geometry | None = None
    slice_mm: float = np.nan


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
    if (true.geometry is None) != (predicted.geometry is None):
        raise CraniumError(
            f'{prediction_file} against {truth_file}: NIfTI tells how it lies in the head, PNG '
            'does not; save both as one of them'
        )
    if predicted.labels.shape != true.labels.shape:
        raise CraniumError(
            f'{prediction_file}: the mask has the shape {predicted.labels.shape}, the true one '
            f'{true.labels.shape}; save it at the size of the image'
        )
    if not _lie_alike(true.geometry, predicted.geometry):
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
    depth = len(true.labels) if true.geometry else 1
    stem = truth_file.name.split('.')[0]
    is_volume = true.geometry is not None and '_' not in stem
    patient, first = (patient_name(stem), 1) if is_volume else parse_slice_name(truth_file)
    if depth > 1 and not is_volume:
        raise CraniumError(f'{truth_file}: {depth} slices; name a volume <patient>, as 049.nii.gz')
    for number in range(depth):
        about: dict[str, Any] = {}
        name = slice_name(patient, first + number) if is_volume else stem
        if images and (image := Path(images, f'{name}.png')).is_file():
            about['image_file'] = str(image)
        if true.geometry is None:  # only PNG lies like the image
            about |= {'truth_file': str(truth_file), 'prediction_file': str(prediction_file)}
            about['true_contrasts'] = true_contrasts(true.labels, about.get('image_file', ''))
        where = number if true.geometry else ...
        try:
            yield measure_slice(
                true.labels[where],
                predicted.labels[where],
                patient=patient,
                slice=first + number,
                spacing=true.geometry.pixel_mm if true.geometry else None,
                thickness=true.slice_mm,
                **about,
            )
        except CraniumError as error:
            raise CraniumError(f'{prediction_file} against {truth_file}: {error}') from error


def _lie_alike(first: Geometry | None, second: Geometry | None) -> bool:
    if first is None or second is None:
        return True
    one, other = (np.vstack([lies.corners, lies.across, lies.down]) for lies in (first, second))
    return np.allclose(one, other, atol=1e-3)


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
    volume = read_volume(file)
    labels = np.rint(volume.voxels)
    if not np.array_equal(labels, volume.voxels):
        raise CraniumError(f'{file}: the values are not whole numbers; a mask holds 0 and 1')
    slices = volume.orientation.apply(labels.astype(np.int64))
    return Mask(slices, volume.geometry, volume.slice_mm)
