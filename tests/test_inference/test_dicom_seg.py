"""Tests of the mask as DICOM SEG: read back by pydicom alone."""

import io
import os
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from cranium.errors import CraniumError
from cranium.inference.dicom_seg import METHOD, encode_seg
from cranium.scans.find import find_scans, read_scan
from tests.dicom_files import AXIAL, tilted, write_series

from .made import found_in

HEAD = os.environ.get('DICOM_HEAD_ROOT')


def seg_of(found, **options):
    return pydicom.dcmread(io.BytesIO(encode_seg(found, 'weights-1234', **options)))


def series(folder, orientation=AXIAL, **options):
    """A head of air, skull and brain, with a bright spot that grows from slice to slice."""
    hu = np.full((4, 64, 64), -1000, np.int16)
    y, x = np.mgrid[:64, :64] - 31.5
    hu[:, (x / 22) ** 2 + (y / 27) ** 2 < 1] = 1000
    hu[:, (x / 20) ** 2 + (y / 25) ** 2 < 1] = 30
    for index in range(4):
        hu[index, 30 : 30 + index, 20:25] = 70
    write_series(folder, hu, orientation=orientation, spacing=(3.0, 3.0), **options)
    return scan_in(folder)


def scan_in(folder):
    scans, faults = find_scans([folder], folder)
    assert not faults
    return found_in(read_scan(scans[0]))


def by_position(seg):
    """Frames by the z of their first pixel, from the foot up, without highdicom."""
    frames = zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence)
    return sorted(frames, key=lambda each: position_of(each[1])[2])


def position_of(group):
    return [float(x) for x in group.PlanePositionSequence[0].ImagePositionPatient]


def source_of(group):
    return group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID


def check_lies_on(seg, folder):
    """Each frame has plane, position and reference of the slice whose file says so itself."""
    slices = {}
    for file in folder.glob('*.dcm'):
        part = pydicom.dcmread(file, stop_before_pixels=True)
        slices[part.SOPInstanceUID] = part
    listed = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {each.ReferencedSOPInstanceUID for each in listed} == set(slices)
    shared = seg.SharedFunctionalGroupsSequence[0]
    for _, group in by_position(seg):
        part = slices.pop(source_of(group))
        assert position_of(group) == [float(x) for x in part.ImagePositionPatient]
        assert seg.FrameOfReferenceUID == part.FrameOfReferenceUID
        assert seg.StudyInstanceUID == part.StudyInstanceUID
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == part.SeriesInstanceUID
        plane = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        assert np.allclose(plane, part.ImageOrientationPatient)
        (measures,) = (shared if 'PixelMeasuresSequence' in shared else group).PixelMeasuresSequence
        assert measures.PixelSpacing == part.PixelSpacing
        assert measures.SliceThickness == part.SliceThickness
    assert not slices  # every slice has its frame


@pytest.mark.parametrize('syntax', [None, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize('orientation', [AXIAL, tilted(18.5)])
def test_the_mask_lies_on_its_slices(tmp_path, syntax, orientation):
    found = series(tmp_path, orientation, **({'syntax': syntax} if syntax else {}))
    seg = seg_of(found)
    check_lies_on(seg, tmp_path)
    assert np.array_equal([frame for frame, _ in by_position(seg)], found.masks)
    assert [frame.sum() for frame, _ in by_position(seg)] == [0, 5, 10, 15]


def test_the_slices_may_be_stored_from_the_vertex_down(tmp_path):
    found = series(tmp_path, positions=[(0, 0, -5 * number) for number in range(4)])
    seg = seg_of(found)
    check_lies_on(seg, tmp_path)
    assert [frame.sum() for frame, _ in by_position(seg)] == [15, 10, 5, 0]


def test_the_mask_lies_on_the_pixels_as_they_are_stored(tmp_path):
    # Stored with the patient's left on the left and the back at the top; seen the other way round.
    found = series(tmp_path, orientation=(-1, 0, 0, 0, -1, 0))
    sources = {part.SOPInstanceUID: part for part in map(pydicom.dcmread, found.scan.files)}
    for frame, group in by_position(seg_of(found)):
        part = sources[source_of(group)]
        hu = part.pixel_array * part.RescaleSlope + part.RescaleIntercept
        assert np.array_equal(frame == 1, hu == 70)


def test_slices_may_differ_in_thickness(tmp_path):
    found = series(tmp_path)
    for file, thickness in zip(found.scan.files, (4, 4, 7, 7)):
        part = pydicom.dcmread(file)
        part.SliceThickness = thickness
        part.save_as(file)
    content = encode_seg(found, 'weights')
    check_lies_on(pydicom.dcmread(io.BytesIO(content)), tmp_path)
    again = highdicom.seg.segread(io.BytesIO(content))
    sources = [pydicom.dcmread(file).SOPInstanceUID for file in found.scan.files]
    masks = again.get_pixels_by_source_instance(sources, combine_segments=True)
    assert np.array_equal(masks, found.mask)


def test_it_is_coded_as_intracranial_hemorrhage(tmp_path):
    seg = seg_of(series(tmp_path))
    assert seg.SOPClassUID == '1.2.840.10008.5.1.4.1.1.66.4'
    assert seg.SegmentationType == 'BINARY'
    (segment,) = seg.SegmentSequence
    codes = (
        segment.SegmentedPropertyCategoryCodeSequence,
        segment.SegmentedPropertyTypeCodeSequence,
        segment.AnatomicRegionSequence,
    )
    assert [(code[0].CodeValue, code[0].CodingSchemeDesignator) for code in codes] == [
        ('49755003', 'SCT'),
        ('50960005', 'SCT'),
        ('1101003', 'SCT'),
    ]
    assert segment.SegmentAlgorithmType == 'AUTOMATIC'
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == 'Cranium'
    assert 'weights-1234' in algorithm.AlgorithmParameters


def test_it_belongs_to_its_patient_and_study(tmp_path):
    seg = seg_of(series(tmp_path, PatientName='Müller^Jörg', SpecificCharacterSet='ISO_IR 100'))
    assert seg.PatientName == 'Müller^Jörg'
    assert (seg.PatientID, seg.PatientBirthDate, seg.PatientSex) == ('JD-1234', '19500102', 'F')
    assert (seg.StudyDate, seg.Modality, seg.SeriesNumber) == ('20200102', 'SEG', 1002)
    assert seg.SeriesInstanceUID != '1.2.3.4'


def test_what_a_scanner_left_out_or_wrote_wrongly_is_empty(tmp_path):
    found = series(tmp_path, PatientBirthDate=None, AccessionNumber=None, StudyID=None)
    for file in found.scan.files:
        part = pydicom.dcmread(file)
        part.PatientSex = 'unknown'
        part.save_as(file)
    seg = seg_of(found)
    assert (seg.PatientBirthDate, seg.PatientSex, seg.AccessionNumber) == ('', '', '')
    assert seg.PatientName == 'Doe^Jane'


def test_an_anonymous_one_tells_nothing_but_where_it_lies(tmp_path):
    secrets = {
        'PatientComments': 'Secret-1',
        'OtherPatientIDs': 'Secret-2',
        'InstitutionName': 'Secret-3',
        'DeviceSerialNumber': 'Secret-4',
        'StudyDescription': 'Secret-5',
        'ReferringPhysicianName': 'Secret-6',
        'PatientAddress': 'Secret-7',
        'AccessionNumber': 'Secret-8',
        'StationName': 'Secret-9',
    }
    found = series(tmp_path, **secrets)
    content = encode_seg(found, 'weights', anonymize=True)
    for secret in (b'Secret', b'Doe', b'Jane', b'JD-1234', b'19500102', b'20200102'):
        assert secret not in content
    seg = pydicom.dcmread(io.BytesIO(content))
    check_lies_on(seg, tmp_path)
    assert seg.PatientID == str(seg.PatientName) == found.scan.name
    assert (seg.PatientIdentityRemoved, seg.DeidentificationMethod) == ('YES', METHOD)
    assert (seg.PatientBirthDate, seg.PatientSex, seg.StudyDate) == ('', '', '')
    # While the other one carries all of the patient and the study.
    assert b'Secret-5' in encode_seg(found, 'weights')


def test_nothing_found_is_a_whole_file_of_empty_frames(tmp_path):
    found = series(tmp_path)
    found.masks[:] = 0
    seg = seg_of(found)
    check_lies_on(seg, tmp_path)
    assert seg.NumberOfFrames == 4
    assert not seg.pixel_array.any()


def test_without_a_frame_of_reference_there_is_none(tmp_path):
    found = series(tmp_path, FrameOfReferenceUID=None)
    with pytest.raises(CraniumError, match=r'no FrameOfReferenceUID, which .*; save nifti or mask'):
        encode_seg(found, 'weights')


def test_attributes_that_it_cannot_do_without_are_said_without_their_values(tmp_path):
    found = series(tmp_path)
    for file in found.scan.files:
        part = pydicom.dcmread(file)
        del part.StudyInstanceUID
        part.save_as(file)
    with pytest.raises(CraniumError, match=r'missing or wrong \(AttributeError\); save nifti or'):
        encode_seg(found, 'weights')


def test_nothing_of_the_patient_is_logged(tmp_path, caplog, capfd, recwarn):
    found = series(tmp_path, PatientName='Doe')  # which highdicom takes for incomplete
    for file in found.scan.files:
        Path(file).write_bytes(Path(file).read_bytes().replace(b'19500102', b'Doe-1950'))
    encode_seg(found, 'weights')
    assert 'Doe' not in caplog.text + ''.join(capfd.readouterr())
    assert not [warning for warning in recwarn if 'Doe' in str(warning.message)]


@pytest.mark.skipif(not HEAD, reason='DICOM_HEAD_ROOT is not set to a real series')
def test_a_real_tilted_series(tmp_path):
    scans, _ = find_scans([Path(HEAD)], tmp_path)
    found = found_in(read_scan(scans[0]))
    seg = seg_of(found)
    check_lies_on(seg, Path(HEAD))
    assert np.array_equal([frame for frame, _ in by_position(seg)], found.masks)


def enhanced(folder):
    """The slices of a folder as one file of enhanced CT."""
    parts = [pydicom.dcmread(file) for file in sorted(folder.glob('*.dcm'))]
    whole = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        parts, highdicom.UID(), 3, highdicom.UID(), 1
    )
    other = folder / 'enhanced'
    other.mkdir()
    whole.save_as(other / 'ct.dcm')
    return other


@pytest.mark.parametrize('anonymize', [False, True])
def test_of_an_enhanced_ct_every_frame_is_referred_to(tmp_path, anonymize):
    masks = series(tmp_path, tilted(10), PatientComments='Secret-1').masks
    found = scan_in(enhanced(tmp_path))
    content = encode_seg(found, 'weights', anonymize)
    seg = pydicom.dcmread(io.BytesIO(content))
    assert np.array_equal([frame for frame, _ in by_position(seg)], masks)
    source = pydicom.dcmread(found.scan.files[0], stop_before_pixels=True)
    for _, group in by_position(seg):
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
        frame = source.PerFrameFunctionalGroupsSequence[item.ReferencedFrameNumber - 1]
        assert position_of(frame) == position_of(group)
    assert (b'Doe' in content) is not anonymize
    assert (b'JD-1234' in content) is not anonymize
