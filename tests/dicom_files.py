"""Writes HU as DICOM CT, as any scanner could have made it."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

PATIENT = ('Doe^Jane', 'JD-1234', '19500102', '1.2.3')  # name, id, birth date, a UID's beginning

_OF_GDCM = (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)  # pydicom has no encoder for them

LOSSLESS = (RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLossless, JPEGLosslessSV1)
"""Compressed transfer syntaxes that :func:`write_series` knows, all of 16 bits."""


def tilted(degrees: float) -> tuple[float, ...]:
    """Orientation of axial slices of a tilted gantry: their lower edge lies further down."""
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))


def write_series(
    folder: Path,
    hu: NDArray[np.integer],
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
        hu (ndarray): (N, H, W), from the first position to the last.
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
    files = []
    for number, pixels in enumerate(hu):
        dataset = _dataset(f'{series}.{number + 1}', CTImageStorage, series)
        dataset.InstanceNumber = number + 1
        position = (0, 0, number * distance) if positions is None else positions[number]
        dataset.ImagePositionPatient = _decimals(position)
        dataset.ImageOrientationPatient = _decimals(orientation)
        dataset.PixelSpacing = _decimals(spacing)
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        dataset.RescaleType = 'HU'
        _put_pixels(dataset, (pixels - intercept) / slope, signed, bits)
        if padding is not None:
            dataset.add_new('PixelPaddingValue', 'SS' if signed else 'US', padding)
        dataset.PhotometricInterpretation = photometric
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of values that are meant to be wrong
            for key, value in tags.items():
                put(dataset, key, value)
        files.append(folder / f'{number + 1:03d}.dcm')
        save(dataset, files[-1], syntax)
    return files


def write_enhanced(
    path: Path,
    hu: NDArray[np.integer],
    *,
    distance: float = 5.0,
    positions: Sequence[Sequence[float]] | None = None,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (0.5, 0.5),
    intercepts: Sequence[float] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    series: str = '1.2.3.4',
) -> Path:
    """Write slices as one enhanced CT; arguments as of :func:`write_series`.

    Args:
        path (Path): The file.
        intercepts (sequence, optional): Of each frame. Defaults to None: -1024.
    """
    dataset = _dataset(f'{series}.1', EnhancedCTImageStorage, series)
    intercepts = [-1024] * len(hu) if intercepts is None else intercepts
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, plane.ImageOrientationPatient = (
        _decimals(spacing),
        _decimals(orientation),
    )
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = (
        Items([measures]),
        Items([plane]),
    )
    frames = []
    for number, intercept in enumerate(intercepts):
        frame, place, rescale = Dataset(), Dataset(), Dataset()
        position = (0, 0, number * distance) if positions is None else positions[number]
        place.ImagePositionPatient = _decimals(position)
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, intercept, 'HU'
        frame.PlanePositionSequence = Items([place])
        frame.PixelValueTransformationSequence = Items([rescale])
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    dataset.PerFrameFunctionalGroupsSequence = Items(frames)
    dataset.NumberOfFrames = len(hu)
    _put_pixels(dataset, hu - np.reshape(intercepts, (-1, 1, 1)), signed=False, bits=16)
    save(dataset, path, syntax)
    return path


def _decimals(numbers: Sequence[float]) -> list[str]:
    return [f'{float(number):.10f}'[:16] for number in numbers]


def _dataset(uid: str, sop_class: str, series: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset('', {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = '1.2.3', series
    dataset.FrameOfReferenceUID = '1.2.5'
    dataset.ImageType = ['ORIGINAL', 'PRIMARY', 'AXIAL']
    dataset.Modality, dataset.BodyPartExamined = 'CT', 'HEAD'
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, _ = PATIENT
    dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = 'F', '20200102', ''
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = '', '', ''
    dataset.SeriesNumber, dataset.AcquisitionNumber = 2, 1
    dataset.Manufacturer, dataset.PatientPosition, dataset.KVP = 'Cranium', 'HFS', 120
    dataset.SliceThickness, dataset.SliceLocation = 77, 0  # nobody may rely on these
    return dataset


def _put_pixels(dataset: Dataset, values: NDArray[Any], signed: bool, bits: int) -> None:
    stored = np.rint(values).astype('<i2' if signed else '<u2')
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, 'MONOCHROME2'
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = stored.tobytes()
    dataset['PixelData'].VR = 'OW'


def put(dataset: Dataset, key: str, value: Any) -> None:
    """Set an element by its keyword; None removes it."""
    if value is not None:
        setattr(dataset, key, value)
    elif key in dataset:
        delattr(dataset, key)


def change(path: Path, **tags: Any) -> None:
    """Change elements of a file; see :func:`put`."""
    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of values that are meant to be wrong
        for key, value in tags.items():
            put(dataset, key, value)
        dataset.save_as(path)


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    """Write a dataset of explicit VR, little endian, in another transfer syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax in _OF_GDCM:
        dataset.save_as(path, enforce_file_format=True)
        _transcode(path, syntax)
    elif UID(syntax).is_compressed and UID(syntax) != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, '<u2').astype('>u2').tobytes()
            pydicom.dcmwrite(
                path, dataset, little_endian=False, implicit_vr=False, force_encoding=True
            )
        else:
            dataset.save_as(path, enforce_file_format=True)


def _transcode(path: Path, syntax: str) -> None:
    """Compress a file by GDCM."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
