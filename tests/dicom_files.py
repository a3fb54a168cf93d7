"""Writes HU as DICOM CT, as any scanner could have made it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def tilted(degrees: float) -> tuple[float, ...]:
    """Orientation of axial slices whose upper edge leans towards the feet or, < 0, the head."""
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))


def write_series(
    folder: Path,
    hu: NDArray[np.int16],
    *,
    positions: Sequence[Sequence[float]] | None = None,
    distance: float = 5.0,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (0.5, 0.5),
    intercept: float = -1024,
    slope: float = 1,
    signed: bool = False,
    bits: int = 16,
    padding: int | None = None,
    photometric: str = 'MONOCHROME2',
    syntax: str = ExplicitVRLittleEndian,
    series: str = '1.2.3.4',
    **tags: Any,
) -> list[Path]:
    """Write slices, each to a file.

    Args:
        folder (Path): Where to; made if it is not there.
        hu (ndarray): (N, H, W), int16, from the first position to the last.
        positions (sequence, optional): x, y and z of each first pixel. Defaults to None: from the
            origin upwards.
        distance (float): Of slices, along z. Defaults to 5 mm.
        orientation (sequence): ImageOrientationPatient. Defaults to axial.
        spacing (tuple): PixelSpacing, of rows and of columns.
        intercept (float): HU = slope x stored + intercept.
        slope (float): See there.
        signed (bool): Whether stored values are.
        bits (int): BitsStored.
        padding (int, optional): PixelPaddingValue, as stored; it is not put into the pixels.
        photometric (str): PhotometricInterpretation.
        syntax (str): Transfer syntax.
        series (str): SeriesInstanceUID.
        **tags: Any other element by its keyword; None leaves one out.

    Returns:
        list[Path]: The files, ``001.dcm`` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if positions is None:
        positions = [(0.0, 0.0, number * distance) for number in range(len(hu))]
    files = []
    for number, (pixels, position) in enumerate(zip(hu, positions), start=1):
        dataset = _dataset(f'{series}.{number}', CTImageStorage)
        dataset.SeriesInstanceUID = series
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [round(float(x), 6) for x in position]
        dataset.ImageOrientationPatient = [round(float(x), 9) for x in orientation]
        dataset.PixelSpacing = list(spacing)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        _put_pixels(dataset, (pixels - intercept) / slope, signed, bits, padding, photometric)
        for key, value in tags.items():
            _set(dataset, key, value)
        files.append(folder / f'{number:03d}.dcm')
        save(dataset, files[-1], syntax)
    return files


def _dataset(uid: str, sop_class: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = '1.2.3', '1.2.5'
    dataset.ImageType = ['ORIGINAL', 'PRIMARY', 'AXIAL']
    dataset.Modality, dataset.BodyPartExamined = 'CT', 'HEAD'
    dataset.PatientName, dataset.PatientID = 'Doe^Jane', 'JD-1234'
    dataset.PatientBirthDate, dataset.PatientSex = '19500102', 'F'
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = '20200102', '', ''
    dataset.ReferringPhysicianName, dataset.StudyID, dataset.SeriesNumber = '', '', 2
    dataset.Manufacturer, dataset.PatientPosition, dataset.KVP = 'Cranium', 'HFS', 120
    dataset.AcquisitionNumber, dataset.SliceThickness = 1, 77  # nobody should rely on it
    dataset.RescaleType = 'HU'
    return dataset


def _put_pixels(
    dataset: Dataset,
    values: NDArray[np.floating],
    signed: bool,
    bits: int,
    padding: int | None,
    photometric: str,
) -> None:
    stored = np.rint(values).astype('<i2' if signed else '<u2')
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    if padding is not None:
        dataset.add_new('PixelPaddingValue', 'SS' if signed else 'US', padding)
    dataset.PixelData = stored.tobytes()
    dataset['PixelData'].VR = 'OW'


def _set(dataset: Dataset, key: str, value: Any) -> None:
    if value is not None:
        setattr(dataset, key, value)
    elif key in dataset:
        delattr(dataset, key)


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """Write a dataset in a transfer syntax."""
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


__all__ = ['AXIAL', 'generate_uid', 'save', 'tilted', 'write_series']
