"""Masks on disk, made by anything: PNG slices, NIfTI slices or NIfTI volumes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from cranium.errors import CraniumError
from cranium.evaluation.records import measure_slice, slice_table
from cranium.slices import IGNORE_INDEX, parse_slice_name, patient_name, slice_name

Affine = NDArray[np.float64] | None
SUFFIXES = ('.png', '.nii', '.nii.gz')


class Mask(NamedTuple):
    """A mask as read.

    Attributes:
        labels (ndarray): Integers of shape (H, W), or (H, W, slices) for a volume.
        spacing (tuple, optional): Height and width of a pixel in mm, where the file tells.
        thickness (float): Distance between slices in mm; nan where the file does not tell.
        affine (ndarray, optional): (4, 4), where the voxels lie, as a NIfTI file tells.
    """

    labels: NDArray[Any]
    spacing: tuple[float, float] | None = None
    thickness: float = np.nan
    affine: Affine = None


def compare_folders(
    prediction: str | Path, truth: str | Path, images: str | Path | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Measure the predicted masks of a folder against the true ones of another.

    Slices are ``<patient>_<slice>.png`` (or ``.nii``, ``.nii.gz``), volumes ``<patient>.nii.gz``
    with slices along the last axis, counted from 1. Both folders name their files alike.

    Args:
        prediction (str | Path): Folder of predicted masks, 0 and 1.
        truth (str | Path): Folder of true masks, 0, 1, and 255 for pixels not to be counted.
        images (str | Path, optional): Folder of the images, named like the masks, for pictures.

    Returns:
        tuple: The table of slices, and what a reader of the figures has to know.

    Raises:
        OSError: If a folder is missing or a file cannot be read.
        CraniumError: If a true mask has no prediction, or masks are not what they must be.
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
    ignored = [row for row in rows if not any(row[name] for name in ('tp', 'fp', 'fn', 'tn'))]
    unseen = [row for row in rows if images and not row['image_file']]
    notes = {
        'predictions have no true mask and were left out': sorted(set(predictions) - set(truths)),
        'true masks are 255 throughout, so that no pixel of theirs counts': _names(ignored),
        'slices have no image in the folder of images, so none is shown': _names(unseen),
    }
    return slice_table(rows), [
        f'{len(some)} {what}, first {", ".join(some[:3])}.' for what, some in notes.items() if some
    ]


def read_mask(file: str | Path) -> Mask:
    """Read a mask from PNG or, by nibabel, from NIfTI; an error names the file."""
    return _read_png(Path(file)) if Path(file).suffix == '.png' else _read_nifti(Path(file))


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return [slice_name(row['patient'], row['slice']) for row in rows]


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
    stem = truth_file.name.split('.')[0]
    parts: dict[tuple[str, int], tuple[Any, ...]]
    if is_volume := true.labels.ndim == 3:
        numbers = range(1, true.labels.shape[2] + 1)
        parts = {(patient_name(stem), number): (..., number - 1) for number in numbers}
    else:
        parts = {parse_slice_name(truth_file): (...,)}
    for (patient, number), where in parts.items():
        name = slice_name(patient, number) if is_volume else stem
        image = Path(images, f'{name}.png') if images else None
        try:
            yield measure_slice(
                true.labels[where],
                predicted.labels[where],
                patient=patient,
                slice=number,
                spacing=true.spacing,
                thickness=true.thickness,
                image_file=str(image) if image and image.is_file() else '',
                # A volume is no picture of a slice.
                truth_file='' if is_volume else str(truth_file),
                prediction_file='' if is_volume else str(prediction_file),
            )
        except CraniumError as error:
            raise CraniumError(f'{prediction_file} against {truth_file}: {error}') from error


def _lie_alike(first: Affine, second: Affine) -> bool:
    """Whether the pixels of two masks lie at the same places, as far as both files tell."""
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
    try:
        import nibabel
    except ImportError as error:
        raise CraniumError(f'{file}: NIfTI needs nibabel; pip install nibabel') from error
    try:
        image: Any = nibabel.load(file)
        values = np.asarray(image.dataobj)
    except (OSError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise OSError(f'{file}: cannot be read as NIfTI ({error}); write it again') from error
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3):
        raise CraniumError(f'{file}: the shape is {values.shape}; expected is a slice or a volume')
    labels = np.rint(values).astype(np.int64)
    if not np.array_equal(labels, values):
        raise CraniumError(f'{file}: the values are not whole numbers; a mask holds 0 and 1')
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    thickness = zooms[2] if len(zooms) > 2 else np.nan
    return Mask(labels, (zooms[0], zooms[1]), thickness, np.asarray(image.affine))
