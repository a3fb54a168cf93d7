"""Masks of scans: NIfTI and DICOM-SEG on the scan's slices, and what is refused."""

import warnings

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from cranium.errors import CraniumError
from cranium.scans.dicom import read_dicom
from cranium.scans.find import find_scans
from cranium.scans.labels import hemorrhage_labels, read_label, referenced_scan
from cranium.scans.nifti import read_nifti
from tests.dicom_files import tilted, write_series

AFFINE = np.array([[-0.5, 0, 0, 9], [0, -0.5, 0, 9], [0, 0, 5, 0], [0, 0, 0, 1.0]])


@pytest.fixture
def hu():
    return np.random.default_rng(0).integers(-1000, 1000, (4, 8, 9), np.int16)


@pytest.fixture
def blood():
    """(N, H, W), in the two slices in the middle, none like another."""
    mask = np.zeros((4, 8, 9), np.uint8)
    mask[1, 1:3, 2:7], mask[2, 4, 5] = 1, 1
    return mask


def save(path, slices, affine=AFFINE):
    """Save (N, H, W) as NIfTI of (X, Y, Z)."""
    nibabel.save(nibabel.Nifti1Image(slices.transpose(2, 1, 0), affine), path)
    return path


class TestNifti:
    @pytest.fixture
    def scan(self, tmp_path, hu):
        return read_nifti(save(tmp_path / 'scan.nii.gz', hu))

    def test_all_but_zero_is_hemorrhage(self, tmp_path, scan, blood):
        label = read_label(save(tmp_path / 'a.nii', blood * np.uint8(255)), scan)
        assert label.mask.dtype == np.uint8 and np.array_equal(label.mask, blood)
        assert label.types == ('',) * 4

    def test_stored_in_another_order(self, tmp_path, scan, blood):
        turned = nibabel.Nifti1Image(blood.transpose(2, 1, 0), AFFINE).as_reoriented(
            np.array([[2, -1], [0, 1], [1, -1]])
        )
        nibabel.save(turned, tmp_path / 'a.nii')
        assert np.array_equal(read_label(tmp_path / 'a.nii', scan).mask, blood)

    def test_labels_that_have_names(self, tmp_path, scan, blood):
        values = blood.copy()
        values[1, 1, 2], values[1, 1, 3], values[3] = 2, 3, 4
        names = {0: 'background', 1: 'SDH', 2: 'Epidural hematoma', 3: 'edema', 4: 'ignore'}
        label = read_label(save(tmp_path / 'a.nii', values), scan, names)
        blood[1, 1, 3], blood[3] = 0, 255
        assert np.array_equal(label.mask, blood)
        assert label.types == ('', 'Epidural+Subdural', 'Subdural', '')
        with pytest.raises(CraniumError, match=r'a\.nii: holds the label 4, which dataset\.json'):
            read_label(tmp_path / 'a.nii', scan, {0: 'background', 1: 'SDH', 2: 'EDH', 3: 'IPH'})

    def test_types_only_where_every_label_tells_its_own(self, tmp_path, scan, blood):
        blood[1, 1, 2] = 2
        label = read_label(save(tmp_path / 'a.nii', blood), scan, {1: 'SDH', 2: 'hematoma'})
        assert label.types == ('',) * 4

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (dict(affine=AFFINE + np.diag([0, 0, 1, 0.0])), 'a slice lies 1 mm from any'),
            (dict(affine=AFFINE @ np.diag([-1, 1, 1, 1])), 'a slice lies 4 mm from any'),
            (dict(affine=AFFINE @ np.diag([1.1, 1, 1, 1])), r'9 x 8 pixels of 0\.55 x 0\.5 mm'),
            (dict(affine=AFFINE @ np.diag([1, 1.1, 1, 1])), r'9 x 8 pixels of 0\.5 x 0\.55 mm'),
            (dict(slices=np.ones((4, 7, 9))), r'9 x 7 pixels of .*, not the 9 x 8'),
            (dict(slices=np.full((4, 8, 9), 0.5)), 'not whole numbers'),
        ],
    )
    def test_what_is_refused(self, tmp_path, scan, change, message):
        file = save(tmp_path / 'a.nii', change.pop('slices', np.ones((4, 8, 9))), **change)
        with pytest.raises(CraniumError, match=rf'a\.nii: .*{message}') as caught:
            read_label(file, scan)
        assert '\n' not in str(caught.value)


NAMES = [
    ({1: 'hemorrhage', 2: 'ventricles'}, {1: ''}),
    ({1: 'IVH', 2: 'Intra-parenchymal haemorrhage', 3: 'ICH'}, {1: 0, 2: 1, 3: ''}),
    ({1: 'hematoma', 2: 'perihematomal edema', 3: 'ignore'}, {1: ''}),
    ({1: 'Segment_1', 2: 'label 2', 5: 'lesion'}, {1: '', 2: '', 5: ''}),
]


@pytest.mark.parametrize(('names', 'expected'), NAMES)
def test_which_labels_are_hemorrhage(names, expected):
    types = ('Intraventricular', 'Intraparenchymal')
    expected = {value: types[kind] if kind != '' else '' for value, kind in expected.items()}
    assert hemorrhage_labels({0: 'background', **names}, 'x') == expected


def test_no_label_is_hemorrhage():
    with pytest.raises(CraniumError, match=r'^x: labels of brain, skull; name the one'):
        hemorrhage_labels({0: 'background', 1: 'skull', 2: 'brain'}, 'x')


def segment(number, label, kind=codes.SCT.Hemorrhage):
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=kind,
        algorithm_type='MANUAL',
    )


def write_seg(path, files, pixels, segments, kind='BINARY', **options):
    """Write a segmentation; ``pixels`` in the order of the files."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        highdicom.seg.Segmentation(
            source_images=[pydicom.dcmread(file) for file in files],
            pixel_array=pixels,
            segmentation_type=kind,
            segment_descriptions=segments,
            series_instance_uid='1.2.9',
            series_number=9,
            sop_instance_uid='1.2.9.1',
            instance_number=1,
            manufacturer='Cranium',
            manufacturer_model_name='Cranium',
            software_versions='1',
            device_serial_number='1',
            **options,
        ).save_as(path)
    return path


class TestSeg:
    # Tilted, and with the front at the bottom: the slices of the scan are turned.
    @pytest.fixture(params=['axial', 'tilted', 'turned'])
    def files(self, request, tmp_path, hu):
        options = dict(
            axial={},
            tilted=dict(orientation=tilted(18), spacing=(0.4, 0.5)),
            turned=dict(orientation=(-1, 0, 0, 0, -1, 0)),
        )[request.param]
        return write_series(tmp_path / 'ct', hu, **options)

    def test_every_slice_is_found(self, tmp_path, files, blood):
        """Frames of empty slices are left out, and files are named in any order."""
        file = write_seg(tmp_path / 'a.dcm', files[::-1], blood[::-1], [segment(1, 'a')])
        assert pydicom.dcmread(file).NumberOfFrames == 2
        scan = read_dicom(files)
        label = read_label(file, scan)
        assert np.array_equal(scan.restore(label.mask), blood)
        (found,), _ = find_scans([tmp_path / 'ct'], tmp_path)
        assert referenced_scan(file) == found.name

    def test_several_segments(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        values = blood.copy()
        values[1, 1, 2:4], values[1, 1, 4], values[3] = 2, 3, 3
        segments = [
            segment(1, 'Subdural hematoma'),
            segment(2, 'SAH'),
            segment(3, 'Edema', codes.SCT.Edema),
        ]
        label = read_label(
            write_seg(tmp_path / 'a.dcm', files, values, segments), read_dicom(files)
        )
        blood[1, 1, 4] = 0
        assert np.array_equal(label.mask, blood)
        assert label.types == ('', 'Subarachnoid+Subdural', 'Subdural', '')

    def test_a_segment_of_the_brain_hides_no_blood(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        values = np.stack([blood, np.ones_like(blood)], axis=-1)
        segments = [segment(1, 'a'), segment(2, 'Brain', codes.SCT.Brain)]
        file = write_seg(tmp_path / 'a.dcm', files, values, segments)
        assert np.array_equal(read_label(file, read_dicom(files)).mask, blood)

    def test_fractions_from_a_half_upwards(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        values = 0.6 * blood
        values[1, 1, 2] = 0.4
        options = dict(kind='FRACTIONAL', max_fractional_value=100)
        file = write_seg(tmp_path / 'a.dcm', files, values, [segment(1, 'a')], **options)
        blood[1, 1, 2] = 0
        assert np.array_equal(read_label(file, read_dicom(files)).mask, blood)

    def test_label_map(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        segments = [segment(1, 'a'), segment(2, 'Edema', codes.SCT.Edema)]
        values = blood.copy()
        values[2] = 2
        file = write_seg(tmp_path / 'a.dcm', files, values, segments, 'LABELMAP')
        blood[2] = 0
        assert np.array_equal(read_label(file, read_dicom(files)).mask, blood)

    def test_on_the_nifti_of_the_series(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        affine = np.diag([-0.5, -0.5, 5, 1.0])  # LPS to RAS
        scan = read_nifti(save(tmp_path / 'scan.nii', hu, affine))
        file = write_seg(tmp_path / 'a.dcm', files, blood, [segment(1, 'a')])
        assert np.array_equal(read_label(file, scan).mask, blood)

    def test_what_is_refused(self, tmp_path, hu, blood):
        files = write_series(tmp_path / 'ct', hu)
        other = read_dicom(write_series(tmp_path / 'b', hu, FrameOfReferenceUID='1.2.77'))
        shifted = [(0, 0.5, 5 * number) for number in range(4)]
        moved = read_dicom(write_series(tmp_path / 'c', hu, positions=shifted))
        file = write_seg(tmp_path / 'a.dcm', files, blood, [segment(1, 'a')])
        with pytest.raises(CraniumError, match=r'a\.dcm: another frame of reference'):
            read_label(file, other)
        with pytest.raises(CraniumError, match=r'a\.dcm: a slice lies 0\.5 mm from any'):
            read_label(file, moved)
        with pytest.raises(CraniumError, match=r'001\.dcm: DICOM, but no segmentation'):
            read_label(files[0], moved)
        brain = write_seg(tmp_path / 'd.dcm', files, blood, [segment(1, 'Brain', codes.SCT.Brain)])
        with pytest.raises(CraniumError, match=r'd\.dcm: labels of Brain Brain; name the one'):
            read_label(brain, read_dicom(files))
        assert referenced_scan(files[0]) is None
