"""A mask as DICOM Segmentation (SEG), on the slices of the series that it was found in."""

import io
import warnings
from copy import deepcopy
from typing import Any

import numpy as np

from cranium.errors import CraniumError
from cranium.inference.segmentation import Segmentation
from cranium.version import __version__

# What says where the slices lie and which they are; all that an anonymous file takes over.
_KEPT = [
    'SOPClassUID',
    'SOPInstanceUID',
    'StudyInstanceUID',
    'SeriesInstanceUID',
    'FrameOfReferenceUID',
    'PositionReferenceIndicator',
    'Modality',
    'Rows',
    'Columns',
    'NumberOfFrames',
    'ImageType',
    'PixelSpacing',
    'ImagePositionPatient',
    'ImageOrientationPatient',
    'SliceThickness',
    'SpacingBetweenSlices',
    'SharedFunctionalGroupsSequence',
    'PerFrameFunctionalGroupsSequence',
    'DimensionIndexSequence',
    'DimensionOrganizationSequence',
    'LossyImageCompression',
    'LossyImageCompressionRatio',
    'LossyImageCompressionMethod',
]

# Attributes of patient and study that every SEG has, though possibly empty.
_NEEDED = [
    'PatientID',
    'PatientName',
    'PatientBirthDate',
    'PatientSex',
    'AccessionNumber',
    'StudyID',
    'StudyDate',
    'StudyTime',
    'ReferringPhysicianName',
]

METHOD = 'Attributes of patient and study removed, UIDs kept'


def encode_seg(found: Segmentation, network: str, anonymize: bool = False) -> bytes:
    """Encode a mask as DICOM SEG: binary, one frame for each slice, coded as hemorrhage.

    It refers to every slice of the series, lies in its frame of reference and belongs to its
    patient and study.

    Args:
        found (Segmentation): What was found, in a scan that was read from DICOM.
        network (str): Name of the weights, for the identification of the algorithm.
        anonymize (bool): Take nothing over of the patient and the study but the UIDs, without
            which nothing would tell the slices that it lies on; the scan's pseudonym becomes the
            name. Defaults to False.

    Returns:
        bytes: The file.

    Raises:
        CraniumError: The scan is not from DICOM, or its slices do not tell where they lie.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    scan = found.scan
    if scan.geometry is None or not scan.files:
        msg = f'{scan.source}: no DICOM series that tells where its slices lie'
        raise CraniumError(f'{msg}, which a DICOM SEG needs; save mask')
    with warnings.catch_warnings():  # which quote values, and those may be names
        warnings.simplefilter('ignore')
        try:
            slices = [dcmread(file, stop_before_pixels=True) for file in scan.files]
        except InvalidDicomError as error:
            msg = f'{scan.source}: not DICOM, as a DICOM SEG refers to; save nifti or mask'
            raise CraniumError(msg) from error
        if not all('FrameOfReferenceUID' in part for part in slices):
            msg = f'{scan.source}: no FrameOfReferenceUID, which a DICOM SEG needs'
            raise CraniumError(f'{msg}; save nifti or mask')
        for index, part in enumerate(slices):
            slices[index] = _anonymous(part, scan.name) if anonymize else _complete(part)
        try:
            result = _segmentation(slices, found.mask, network)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Said without the library's own words, which may quote an attribute of the patient.
            msg = f'{scan.source}: attributes that a DICOM SEG needs are missing or wrong'
            raise CraniumError(f'{msg} ({type(error).__name__}); save nifti or mask') from error
        if anonymize:
            result.PatientIdentityRemoved = 'YES'
            result.DeidentificationMethod = METHOD
            result.LongitudinalTemporalInformationModified = 'REMOVED'
        buffer = io.BytesIO()
        result.save_as(buffer)
    return buffer.getvalue()


def _anonymous(part: Any, name: str) -> Any:
    """Only what says where a slice lies and which it is."""
    from pydicom.dataset import Dataset

    kept = Dataset()
    for keyword in _KEPT:
        if keyword in part:
            kept.add(part[keyword])
    kept.PatientID = kept.PatientName = name
    return _complete(kept)


def _complete(part: Any) -> Any:
    """Give a slice the attributes that every SEG has, empty where they are missing or invalid."""
    from pydicom.valuerep import DA

    for keyword in _NEEDED:
        if keyword not in part:
            setattr(part, keyword, '')
    if part.PatientSex not in ('M', 'F', 'O'):
        part.PatientSex = ''
    for keyword in ('PatientBirthDate', 'StudyDate'):
        try:
            DA(part[keyword].value)
        except ValueError:
            setattr(part, keyword, '')
    return part


def _segmentation(slices: list[Any], mask: Any, network: str) -> Any:
    import highdicom
    from highdicom.color import CIELabColor
    from pydicom.sr.codedict import codes

    from cranium.visualization.overlay import COLOURS, PREDICTION

    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label='Intracranial hemorrhage',
        # (49755003, SCT) and (50960005, SCT): context groups 7150 and 7159 of PS3.16.
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Hemorrhage,
        algorithm_type='AUTOMATIC',
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name='Cranium',
            family=codes.DCM.ArtificialIntelligence,
            version=__version__,
            parameters={'weights': network},
        ),
        # (1101003, SCT): epidural and subdural hemorrhage lie outside of the brain.
        anatomic_regions=[codes.SCT.Intracranial],
        display_color=CIELabColor.from_rgb(*COLOURS[PREDICTION]),
    )
    result = highdicom.seg.Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(mask).reshape(-1, *mask.shape[-2:]),
        segmentation_type='BINARY',
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=1000 + int(slices[0].get('SeriesNumber') or 0),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer='Cranium',
        manufacturer_model_name='cranium predict',
        software_versions=__version__,
        device_serial_number=network[:64],
        content_label='HEMORRHAGE',
        content_description='Intracranial hemorrhage, not for medical use',
        series_description=f'Intracranial hemorrhage, Cranium {__version__}',
        # Also the slices without hemorrhage: they were looked at, and none are left out of a stack.
        omit_empty_frames=False,
    )
    _tell_thickness(result, slices)
    return result


def _tell_thickness(result: Any, slices: list[Any]) -> None:
    """Give each frame the thickness of its slice where they differ; highdicom gives all the first.

    It is what the scanner says, and only copied.
    """
    thickness = {part.SOPInstanceUID: part.get('SliceThickness') for part in slices}
    if len(set(thickness.values())) == 1:
        return
    (measures,) = result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    del result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    for group in result.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        own = deepcopy(measures)
        own.SliceThickness = thickness[source]
        group.PixelMeasuresSequence = [own]
