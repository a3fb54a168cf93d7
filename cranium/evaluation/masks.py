"""Masks on disk, made by anything: PNG slices, NIfTI slices or NIfTI volumes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cranium.evaluation.records import SliceRecord, measure_slice, parse_name

SUFFIXES = ('.png', '.nii', '.nii.gz')


class Mask(NamedTuple):
    """A mask as read.

    Attributes:
        labels (ndarray): Integers of shape (H, W), or (H, W, slices) for a volume.
        spacing (tuple, optional): Height and width of a pixel in mm, where the file tells.
        thickness (float): Distance between slices in mm; nan where the file does not tell.
        affine (ndarray, optional): (4, 4), where the voxels lie, as a NIfTI file tells.
    """

    labels: NDArray
    spacing: tuple[float, float] | None
    thickness: float
    affine: NDArray | None = None


class Comparison(NamedTuple):
    """What came of comparing two folders.

    Attributes:
        records (list): Records of the slices.
        without_truth (list): Names of predictions that have no truth; they were left out.
        all_ignored (list): Names of true masks that are 255 throughout.
        without_image (list): Names of slices that have no image in the folder of images.
    """

    records: list[SliceRecord]
    without_truth: list[str]
    all_ignored: list[str]
    without_image: list[str]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the figures has to know."""
        found = {
            'predictions have no true mask and were left out': self.without_truth,
            'true masks are 255 throughout, so that no pixel of theirs counts': self.all_ignored,
            'slices have no image in the folder of images, so none is shown': self.without_image,
        }
        return [
            f'{len(names)} {what}, first {", ".join(names[:3])}.'
            for what, names in found.items()
            if names
        ]


def compare_folders(
    prediction: str | Path, truth: str | Path, images: str | Path | None = None
) -> Comparison:
    """Measure the predicted masks of a folder against the true ones of another.

    Slices are ``<patient>_<slice>.png`` (or ``.nii``, ``.nii.gz``), volumes ``<patient>.nii.gz``
    with slices along the last axis, counted from 1. Both folders name their files alike.

    Args:
        prediction (str | Path): Folder of predicted masks, 0 and 1.
        truth (str | Path): Folder of true masks, 0, 1, and 255 for pixels not to be counted.
        images (str | Path, optional): Folder of the images, named like the masks, for pictures.

    Returns:
        Comparison: Records, and the names of what a reader has to know of.

    Raises:
        OSError: If a folder is missing or a file cannot be read.
        ValueError: If a true mask has no prediction, or masks are not what they must be; the
            message names the file.
    """
    predictions, truths = _masks_of(prediction), _masks_of(truth)
    if missing := sorted(set(truths) - set(predictions)):
        raise ValueError(
            f'{prediction}: no prediction for {len(missing)} of {len(truths)} true masks, first '
            f'{", ".join(missing[:3])}; a mask that is missing is not an empty one, so write one '
            'for each'
        )
    records, all_ignored = [], []
    for name, file in truths.items():
        true = read_mask(file)
        if _is_all_ignored(true.labels, file):
            all_ignored.append(name)
        records += _compare(true, file, predictions[name])
    without_image = []
    if images is not None:
        records = [_with_image(record, Path(images)) for record in records]
        without_image = [record.name for record in records if not record.image_file]
    without_truth = sorted(set(predictions) - set(truths))
    return Comparison(records, without_truth, all_ignored, without_image)


def read_mask(file: str | Path) -> Mask:
    """Read a mask.

    Args:
        file (str | Path): PNG, or NIfTI (which needs nibabel).

    Returns:
        Mask: Its labels, and the spacing where a NIfTI file tells it.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no mask, or nibabel is missing; the message names the file.
    """
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
            raise ValueError(f'{file}: {found[name].name} is there as well; keep one of them')
        found[name] = file
    if not found:
        raise ValueError(f'{folder}: no masks in it; expected are <patient>_<slice>.png or NIfTI')
    return found


def _compare(true: Mask, truth_file: Path, prediction_file: Path) -> Iterator[SliceRecord]:
    predicted = read_mask(prediction_file)
    if predicted.labels.shape != true.labels.shape:
        raise ValueError(
            f'{prediction_file}: the mask has the shape {predicted.labels.shape}, the true one '
            f'{true.labels.shape}; save it at the size of the image'
        )
    if not _lie_alike(true, predicted):
        raise ValueError(
            f'{prediction_file}: spacing or orientation (affine) is not that of {truth_file}; '
            'resample the prediction to the true mask'
        )
    if true.labels.ndim == 3:
        patient = truth_file.name.split('.')[0]
        slices = [
            (patient, number, (..., number - 1)) for number in range(1, true.labels.shape[2] + 1)
        ]
        files = {}  # a volume is no picture of a slice
    else:
        slices = [(*parse_name(truth_file), ...)]
        files = {'truth_file': str(truth_file), 'prediction_file': str(prediction_file)}
    for patient, number, where in slices:
        try:
            yield measure_slice(
                true.labels[where],
                predicted.labels[where],
                patient=patient,
                slice=number,
                spacing=true.spacing,
                thickness=true.thickness,
                **files,
            )
        except ValueError as error:
            raise ValueError(f'{prediction_file} against {truth_file}: {error}') from None


def _lie_alike(first: Mask, second: Mask) -> bool:
    """Whether the pixels of two masks lie at the same places, as far as both files tell."""
    if first.affine is None or second.affine is None:
        return True
    return np.allclose(first.affine, second.affine, atol=1e-3)


def _is_all_ignored(labels: NDArray, file: Path) -> bool:
    """Whether a true mask is 255 throughout; 255 beside nothing but 0 is refused."""
    ignored = labels == 255
    if not ignored.any():
        return False
    if not ignored.all() and not (labels == 1).any():
        raise ValueError(
            f'{file}: the mask holds 255 but no 1, and 255 marks pixels that do not count; write '
            'hemorrhage as 1'
        )
    return bool(ignored.all())


def _with_image(record: SliceRecord, folder: Path) -> SliceRecord:
    # The image is named as the mask is, 049_1 or 049_001; slices of a volume as records are.
    name = Path(record.truth_file).name.split('.')[0] or record.name
    file = folder / f'{name}.png'
    return replace(record, image_file=str(file)) if file.is_file() else record


def _read_png(file: Path) -> Mask:
    try:
        with Image.open(file) as image:
            labels = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise OSError(f'{file}: cannot be read as PNG ({error}); write it again') from None
    if labels.ndim != 2:
        raise ValueError(f'{file}: a picture in colours; a mask has one channel with 0 and 1')
    return Mask(labels.astype(np.uint8) if labels.dtype == bool else labels, None, np.nan)


def _read_nifti(file: Path) -> Mask:
    try:
        import nibabel
    except ImportError:
        raise ValueError(f'{file}: NIfTI needs nibabel; pip install nibabel') from None
    try:
        image = nibabel.load(file)
        values = np.asarray(image.dataobj)
    except (OSError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise OSError(f'{file}: cannot be read as NIfTI ({error}); write it again') from None
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3):
        raise ValueError(f'{file}: the shape is {values.shape}; expected is a slice or a volume')
    labels = np.rint(values).astype(np.int64)
    if not np.array_equal(labels, values):
        raise ValueError(f'{file}: the values are not whole numbers; a mask holds 0 and 1')
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    thickness = zooms[2] if len(zooms) > 2 else np.nan
    return Mask(labels, (zooms[0], zooms[1]), thickness, np.asarray(image.affine))
