import os
import pickle
import shutil
import tempfile
import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cranium.errors import CraniumError
from cranium.scans.dicom import read_dicom
from tests.dicom_files import (
    CORONAL,
    LOSSLESS,
    PATIENT,
    SAGITTAL,
    change,
    save,
    tilted,
    write_enhanced,
    write_series,
)

HEAD = os.environ.get('DICOM_HEAD_ROOT')
real_head = pytest.mark.skipif(
    HEAD is None, reason='DICOM_HEAD_ROOT names no folder with the head of neurolabusc/dcm_qa_ct'
)


def some_hu(slices=3, height=6, width=5):
    """Every pixel another, air to bone."""
    count = slices * height * width
    return np.linspace(-1000, 1000, count).astype(np.int16).reshape(slices, height, width)


def test_a_plain_series(tmp_path):
    hu = some_hu()
    files = write_series(tmp_path, hu, distance=4, spacing=(0.75, 0.5))
    scan = read_dicom(files)
    assert scan.hu.dtype == np.int16 and (scan.hu == hu).all()
    assert scan.files == tuple(map(str, files))
    assert scan.geometry.pixel_mm == (0.75, 0.5)
    assert scan.geometry.positions_mm.tolist() == [0, 4, 8]
    assert scan.geometry.thickness_mm.tolist() == [4, 4, 4]  # SliceThickness says 77
    assert scan.remarks == ()


@pytest.mark.parametrize(
    'stored',
    [
        {'signed': True, 'intercept': 0},
        {'signed': True, 'intercept': -1024, 'bits': 12},
        {'signed': False, 'intercept': -1024, 'bits': 12},
        {'signed': False, 'intercept': -8192},
        # The rescaled values are HU however they are to be shown; PS3.3, C.7.6.3.1.2.
        {'photometric': 'MONOCHROME1'},
    ],
    ids=str,
)
def test_stored_values(tmp_path, stored):
    hu = some_hu()
    assert (read_dicom(write_series(tmp_path, hu, **stored)).hu == hu).all()


def test_values_are_rounded(tmp_path):
    (file,) = write_series(tmp_path, np.array([[[-1000, 0, 1000]]]), intercept=-1000, slope=0.25)
    change(file, RescaleSlope='0.2509')  # of 0, 4000 and 8000
    assert read_dicom([file]).hu.tolist() == [[[-1000, 4, 1007]]]  # 3.6 and 1007.2


def test_unused_bits_are_not_read(tmp_path):
    """Of 12 bits, where the others hold an overlay."""
    hu = some_hu(1)
    (file,) = write_series(tmp_path, hu, bits=12)
    dataset = pydicom.dcmread(file)
    dataset.PixelData = (dataset.pixel_array | 0x8000).tobytes()
    dataset.save_as(file)
    assert (read_dicom([file]).hu == hu).all()


def test_each_slice_has_its_own_rescale(tmp_path):
    hu = some_hu(2)
    files = write_series(tmp_path, hu)
    change(files[1], RescaleIntercept=-1000)
    assert (read_dicom(files).hu - hu).tolist() == np.full_like(hu, [[[0]], [[24]]]).tolist()


@pytest.mark.parametrize(
    ('stored', 'padding', 'limit', 'expected'),
    [
        ({'signed': True, 'intercept': 0}, -2000, None, [-1000, -1024, -1000, 40]),
        ({'signed': True, 'intercept': 0}, -2000, -1500, [-1000, -1000, -1000, 40]),
        ({'signed': True, 'intercept': 0}, None, None, [-1024, -1024, -1000, 40]),
        ({'signed': True, 'intercept': 0}, 2000, 4000, [-1024, -1024, -1000, 40]),
        # These cannot be told from tissue.
        ({'signed': True, 'intercept': 0}, -1500, 2000, [-1024, -1024, -1000, 40]),
        ({'signed': True, 'intercept': 0}, 40, None, [-1024, -1024, -1000, 40]),
        ({'signed': False, 'intercept': -8192}, 6192, None, [-1000, -1024, -1000, 40]),
    ],
)
def test_padding_is_air(tmp_path, stored, padding, limit, expected):
    hu = np.array([[[-2000, -1500, -1000, 40]]])
    files = write_series(tmp_path, hu, padding=padding, PixelPaddingRangeLimit=limit, **stored)
    assert read_dicom(files).hu[0, 0].tolist() == expected


def test_padding_of_the_wrong_sign(tmp_path):
    """An unsigned 63536 is a signed -2000."""
    hu = np.array([[[-2000, -1000]]])
    (file,) = write_series(tmp_path, hu, signed=True, intercept=0)
    dataset = pydicom.dcmread(file)
    dataset.add_new('PixelPaddingValue', 'US', 63536)
    dataset.save_as(file)
    assert read_dicom([file]).hu[0, 0].tolist() == [-1000, -1000]


@pytest.mark.parametrize('signed', [False, True])
@pytest.mark.parametrize(
    'syntax',
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGLSNearLossless,  # pydicom writes it without loss
        *LOSSLESS,
    ],
    ids=lambda syntax: syntax.name.split(',')[0],
)
def test_transfer_syntaxes(tmp_path, syntax, signed):
    hu = some_hu(2, 40, 40)
    intercept = 0 if signed else -1024
    files = write_series(tmp_path, hu, syntax=syntax, signed=signed, bits=12, intercept=intercept)
    assert (read_dicom(files).hu == hu).all()


def test_jpeg_of_8_bits(tmp_path):
    """Gray values 0, 4, ... in steps that JPEG keeps but for rounding."""
    gray = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 8)[None].repeat(8, 0)
    (file,) = write_series(tmp_path, gray[None].astype(np.int16))
    Image.fromarray(gray).save(tmp_path / 'x.jpg', quality=100)
    dataset = pydicom.dcmread(file)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([(tmp_path / 'x.jpg').read_bytes()])
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(file)
    assert np.abs(read_dicom([file]).hu + 1024 - gray).max() <= 2


def test_jpeg_of_12_bits(tmp_path):
    """pydicom's only file of it, made a CT; the values are those that its own tests know."""
    dataset = pydicom.dcmread(get_testdata_file('JPGExtended.dcm'))
    (other,) = write_series(tmp_path, some_hu(1, 1024, 256))
    header = pydicom.dcmread(other)
    header.PixelData, header.BitsStored, header.HighBit = dataset.PixelData, 12, 11
    header['PixelData'].VR = 'OB'
    header.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    header.save_as(other)
    hu = read_dicom([other]).hu[0]
    assert [hu[420, 140], hu[230, 120]] == [244 - 1024, 95 - 1024]


def test_an_enhanced_ct(tmp_path):
    """Frames in any order, each with its own rescale."""
    hu = some_hu(4)
    positions = [(0, 0, z) for z in (10, 0, 15, 5)]
    file = write_enhanced(
        tmp_path / 'x.dcm', hu, positions=positions, intercepts=[-1024, -1000, -2000, -1024]
    )
    scan = read_dicom([file])
    assert (scan.hu == hu[[1, 3, 0, 2]]).all()
    assert scan.files == (str(file),) and scan.frames == (1, 3, 0, 2)
    assert scan.geometry.positions_mm.tolist() == [0, 5, 10, 15]
    assert (scan.restore(scan.hu) == hu).all()


def test_an_enhanced_ct_of_several_phases(tmp_path):
    file = write_enhanced(tmp_path / 'x.dcm', some_hu(2), distance=0)
    with pytest.raises(CraniumError, match=r'x.dcm: frames at one position, .*; export each phase'):
        read_dicom([file])


def test_an_enhanced_ct_of_several_stacks(tmp_path):
    file = write_enhanced(tmp_path / 'x.dcm', some_hu(2))
    dataset = pydicom.dcmread(file)
    second = pydicom.Dataset()
    second.ImageOrientationPatient = list(CORONAL)
    dataset.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [second]
    plane = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    dataset.PerFrameFunctionalGroupsSequence[0].PlaneOrientationSequence = plane
    dataset.save_as(file)
    with pytest.raises(CraniumError, match=r'x.dcm: its frames are of several orientations'):
        read_dicom([file])


IN_PLANE = st.sampled_from(
    [(sign_r * np.eye(3)[a], sign_d * np.eye(3)[1 - a]) for a in (0, 1) for sign_r in (1, -1)
     for sign_d in (1, -1)]
)  # fmt: skip


@settings(max_examples=40)
@given(
    IN_PLANE,
    st.floats(-30, 30),
    st.lists(st.sampled_from([0.625, 2.5, 5, 7]), min_size=2, max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_one_scan_however_it_is_stored(directions, tilt, distances, random, enhanced):
    """Any flip or turn of the pictures, tilt, distances and order of files: the same slices.

    The truth is a function of the place alone: HU rise by 1 from column to column, by 10 from row
    to row and by 100 from slice to slice, whose place is told by this test's own arithmetic.
    """
    height, width, slices = 4, 3, len(distances) + 1
    truth = np.add.outer(
        np.arange(slices) * 100, np.add.outer(np.arange(height) * 10, np.arange(width))
    )
    angle = np.radians(tilt)
    left = np.array([1.0, 0, 0])
    back = np.array([0, np.cos(angle), -np.sin(angle)])  # along a slice of the tilted gantry
    heights = np.cumsum([0, *distances])
    # How the scanner stores it: rows run along `down`, columns along `across`.
    across, down = [d[0] * left + d[1] * back for d in directions]
    turned = abs(directions[0][1]) == 1
    stored = truth.transpose(0, 2, 1) if turned else truth
    first = np.zeros(3)
    for axis, direction, step, count in (
        (2, across, 1.0, stored.shape[2]),
        (1, down, 1.0, stored.shape[1]),
    ):
        if direction @ (left + back) < 0:
            stored = np.flip(stored, axis)
            first = first - (count - 1) * step * direction
    positions = [first + np.array([0, 0, z]) for z in heights]
    with tempfile.TemporaryDirectory() as name:
        orientation = (*across, *down)
        shuffled = random.sample(range(slices), slices)
        options = {
            'positions': [positions[n] for n in shuffled],
            'orientation': orientation,
            'spacing': (1.0, 1.0),
        }
        if enhanced:
            files = [write_enhanced(Path(name, 'x.dcm'), stored[shuffled], **options)]
        else:
            files = write_series(Path(name), stored[shuffled], **options)
        scan = read_dicom(files)
        assert (scan.hu == truth).all()
        assert np.allclose(scan.geometry.across, left, atol=1e-6)
        assert np.allclose(scan.geometry.down, back, atol=1e-6)
        assert np.allclose(scan.geometry.corners, [(0, 0, z) for z in heights], atol=1e-5)
        assert np.allclose(
            np.diff(scan.geometry.positions_mm), np.multiply(distances, np.cos(angle))
        )
        restored = scan.restore(scan.hu)
        if enhanced:
            assert (restored == stored[shuffled]).all()
        else:
            for file, pixels in zip(scan.files, restored):
                assert (pydicom.dcmread(file).pixel_array - 1024 == pixels).all()


@pytest.mark.parametrize('orientation', [CORONAL, SAGITTAL], ids=['coronal', 'sagittal'])
def test_fine_slices_of_another_plane_become_axial(tmp_path, orientation):
    """Three slices of 4 x 2 pixels: four axial ones, from the last row of each to the first."""
    hu = some_hu(3, 4, 2)
    step = np.array([0, 1.5, 0]) if orientation == CORONAL else np.array([1.5, 0, 0])
    files = write_series(
        tmp_path, hu, positions=[step * n for n in range(3)], orientation=orientation
    )
    scan = read_dicom(files[::-1])
    expected = hu[:, ::-1].transpose(1, 0, 2)
    if orientation == SAGITTAL:
        expected = expected.transpose(0, 2, 1)
    assert (scan.hu == expected).all()
    assert scan.geometry.normal.tolist() == [0, 0, 1]
    assert scan.geometry.positions_mm.tolist() == [-1.5, -1, -0.5, 0]
    assert (scan.restore(scan.hu) == hu).all() and scan.files == tuple(map(str, files))


def test_the_order_is_by_position_alone(tmp_path):
    """Neither by the names of files, nor by InstanceNumber or SliceLocation."""
    hu = some_hu(4)
    heights = [9, -3, 4, 30]
    files = write_series(tmp_path, hu, positions=[(0, 0, z) for z in heights])
    scan = read_dicom(files)
    assert (scan.hu == hu[[1, 2, 0, 3]]).all()
    assert scan.files == tuple(str(files[n]) for n in (1, 2, 0, 3))


def test_a_slice_that_is_there_twice_counts_once(tmp_path):
    files = write_series(tmp_path, some_hu(3))
    scan = read_dicom([*files, shutil.copy(files[1], tmp_path / 'copy.dcm')])
    assert (scan.hu == some_hu(3)).all() and len(scan.files) == 3
    assert scan.remarks == ('slices that are there twice and count once: 1',)


def test_two_pictures_of_one_position(tmp_path):
    files = write_series(tmp_path, some_hu(3))
    (other,) = write_series(tmp_path / 'b', some_hu(1) + 1, positions=[(0, 0, 5)])
    message = r'b.001.dcm: at the position of 002.dcm, and another picture.*; put each phase into'
    with pytest.raises(CraniumError, match=message):
        read_dicom([*files, other])


@pytest.mark.parametrize(
    'other',
    [{'orientation': tilted(5)}, {'spacing': (0.5, 0.6)}, {'hu': some_hu(1, 7)}],
    ids=str,
)
def test_slices_of_several_stacks(tmp_path, other):
    files = write_series(tmp_path / 'a', some_hu(2))
    options = {'hu': some_hu(1), 'positions': [(0, 0, 20)], **other}
    (misfit,) = write_series(tmp_path / 'b', **options)
    with pytest.raises(CraniumError, match=r'b.001.dcm: does not lie in one stack with 001.dcm'):
        read_dicom([*files, misfit])


@pytest.mark.parametrize(
    ('heights', 'remarks'),
    [
        (
            [0, 5, 10, 20, 25],
            ('a gap of 10.0 mm between slices 3 and 4, whose neighbours lie 5.0',),
        ),
        ([0, 5, 10, 20], ('a gap of 10.0 mm between slices 3 and 4',)),
        ([0, 4, 8, 12, 19, 26], ()),  # closer below, as of the skull's base
        ([0, 5, 15], ()),  # who knows
    ],
)
def test_gaps(tmp_path, heights, remarks):
    positions = [(0, 0, z) for z in heights]
    scan = read_dicom(write_series(tmp_path, some_hu(len(heights)), positions=positions))
    assert len(scan.remarks) == len(remarks)
    for remark, expected in zip(scan.remarks, remarks):
        assert remark.startswith(expected)


@pytest.mark.parametrize(
    ('tags', 'remark'),
    [
        ({'BodyPartExamined': 'CHEST'}, 'by its header a scan of CHEST, not of the head'),
        ({'BodyPartExamined': 'HEADNECK'}, None),
        ({'BodyPartExamined': None}, None),
        ({'ContrastBolusAgent': 'Iomeron'}, 'with contrast agent, which looks like blood'),
        ({'ContrastBolusAgent': ''}, None),
        ({'RescaleIntercept': None, 'RescaleSlope': None}, 'does not say how its values become HU'),
        ({'RescaleIntercept': 0}, 'hardly any air around the head'),  # values from 24 on
    ],
    ids=str,
)
def test_remarks(tmp_path, tags, remark):
    remarks = read_dicom(write_series(tmp_path, some_hu(2), **tags)).remarks
    assert any(text.startswith(remark) for text in remarks) if remark else not remarks


def test_a_lone_slice(tmp_path):
    scan = read_dicom(write_series(tmp_path, some_hu(1)))
    assert scan.remarks == (
        'one slice alone: no volume without its neighbours; name the folder for the series',
    )


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-20])


def without_pixels(file):
    change(file, PixelData=None)


def raw_as_jpeg(file):
    content = file.read_bytes()
    uid = b'1.2.840.10008.1.2.1\0'
    assert uid in content
    file.write_bytes(content.replace(uid, b'1.2.840.10008.1.2.5\0'))  # RLE


def too_short(file):
    change(file, PixelData=pydicom.dcmread(file).PixelData[:-2])


def damaged_inside(file):
    dataset = pydicom.dcmread(file)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.PixelData = encapsulate([b'\x00' * 70])
    dataset.save_as(file)


def lossless_without_its_table(file):
    """On which GDCM ends the process."""
    damage_jpeg(file, b'\xff\xc4', b'\0\xc4')


def lossless_with_a_hole(file):
    """For which GDCM makes up pixels."""
    damage_jpeg(file, b'\xff\xda', b'\xff\xda', hole=50)


def damage_jpeg(file, marker, other, hole=0):
    save(pydicom.dcmread(file), file, JPEGLossless)
    content = file.read_bytes()
    at = content.index(marker, content.index(b'\xff\xd8'))
    after = at + 14  # beyond the header of what the marker begins
    content = content[:at] + other + content[at + 2 : after] + bytes(hole) + content[after + hole :]
    file.write_bytes(content)


def as_text(file):
    file.write_text('Dear colleague, ' * 100)


def empty(file):
    file.write_bytes(b'')


BROKEN = {
    cut_off: 'its pixels are cut off, damaged, or not Explicit VR Little Endian; copy',
    without_pixels: 'no pixels, only a header; copy or export it again',
    raw_as_jpeg: 'its pixels are cut off, damaged, or not RLE Lossless',
    too_short: 'its pixels are cut off, damaged, or not Explicit VR Little Endian',
    lossless_without_its_table: 'its pixels are cut off, damaged, or not JPEG Lossless',
    lossless_with_a_hole: 'its pixels are cut off, damaged, or not JPEG Lossless',
    damaged_inside: 'its pixels are cut off, damaged, or not RLE Lossless',
    as_text: 'neither DICOM nor, by its name, NIfTI, PNG or JPEG; replace it',
    empty: 'neither DICOM nor, by its name, NIfTI, PNG or JPEG; replace it',
}


@pytest.mark.parametrize(
    ('damage', 'message'), BROKEN.items(), ids=lambda x: getattr(x, '__name__', '')
)
def test_broken_files(tmp_path, damage, message):
    files = write_series(tmp_path, some_hu(3, 20, 20))
    damage(files[1])
    with pytest.raises(CraniumError, match=f'^{files[1]}: {message}') as error:
        read_dicom(files)
    assert '\n' not in str(error.value)


def test_a_file_cut_off_anywhere(tmp_path):
    (file,) = write_series(tmp_path, some_hu(1))
    content = file.read_bytes()
    for length in range(0, len(content), 29):
        file.write_bytes(content[:length])
        with pytest.raises(CraniumError, match=f'^{file}: ') as error:
            read_dicom([file])
        assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('tags', 'message'),
    [
        ({'ImagePositionPatient': None}, 'no ImagePositionPatient, so where its pixels lie'),
        ({'ImageOrientationPatient': None}, 'no ImageOrientationPatient, so where'),
        ({'PixelSpacing': None}, 'no PixelSpacing, so where its pixels lie is not known; export'),
        ({'PixelSpacing': ''}, 'no PixelSpacing'),
        ({'PixelSpacing': [0.5, 0]}, 'a PixelSpacing of 0; export it again'),
        ({'ImagePositionPatient': [0, 0]}, 'ImagePositionPatient is not 3 numbers'),
        ({'ImageOrientationPatient': [1, 0, 0, 1, 0, 0]}, 'the directions of .* right angles'),
        ({'Rows': None}, 'no Rows, so it has no pixels'),
        ({'Rows': 60000}, '60000 x 5 pixels of 0.5 x 0.5 mm, no CT slice'),
        ({'RescaleSlope': 0}, 'HU of 0 x stored value [+] -1024; export it again'),
        ({'RescaleType': 'MGML'}, 'values of MGML, not HU; name a series in Hounsfield units'),
        ({'NumberOfFrames': 3}, '3 frames, of which 0 say where they lie'),
        ({'SOPClassUID': '1.2.840.10008.5.1.4.1.1.7'}, 'Secondary Capture Image Storage, not a CT'),
        ({'SOPClassUID': '1.2.840.10008.5.1.4.1.1.4'}, 'MR Image Storage, not a CT slice'),
        ({'SOPClassUID': '1.3.12.2.1107.5.9.1'}, '.*, not a CT slice'),
        ({'SOPClassUID': None, 'Modality': 'MR'}, 'DICOM of the modality MR, not a CT slice'),
        ({'ImageType': ['ORIGINAL', 'PRIMARY', 'LOCALIZER']}, 'a localizer, not a CT slice'),
        ({'PhotometricInterpretation': 'RGB'}, 'a colour picture, not a CT slice'),
    ],
    ids=str,
)
def test_headers_that_are_no_use(tmp_path, tags, message):
    (file,) = write_series(tmp_path, some_hu(1))
    change(file, **tags)
    with pytest.raises(CraniumError, match=f'^{file}: {message}') as error:
        read_dicom([file])
    assert '\n' not in str(error.value)
    assert not any(tag in str(error.value) for tag in PATIENT)
    again = pickle.loads(pickle.dumps(error.value))  # as from a worker
    assert type(again) is type(error.value) and str(again) == str(error.value)


def test_a_number_that_is_none_is_not_shown(tmp_path):
    """What is typed into a header may be anything."""
    (file,) = write_series(tmp_path, some_hu(1))
    content = file.read_bytes().replace(
        b'0.5000000000\\0.5000000000', b'Doe^Jane    \\Doe^Jane    '
    )
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # nor in a warning
        with pytest.raises(CraniumError, match='its header cannot be understood') as error:
            read_dicom([file])
    assert 'Doe' not in str(error.value)


def test_bytes_that_only_begin_as_dicom(tmp_path):
    """Group 8, and a first element that is longer than any."""
    (tmp_path / 'x').write_bytes(b'\x08\0\x05\0\xff\xff\xff\0' + bytes(200))
    with pytest.raises(CraniumError, match='x: neither DICOM nor'):
        read_dicom([tmp_path / 'x'])


def test_directions_of_another_length_than_1(tmp_path):
    (file,) = write_series(tmp_path, some_hu(1), orientation=(1.004, 0, 0, 0, 0.996, 0))
    assert read_dicom([file]).geometry.pixel_mm == (0.5, 0.5)


def test_without_the_preamble(tmp_path):
    """As old archives write it: the data set alone, of either kind."""
    for syntax in (ImplicitVRLittleEndian, '1.2.840.10008.1.2.1'):
        (file,) = write_series(tmp_path, some_hu(1), syntax=syntax)
        dataset = pydicom.dcmread(file)
        del dataset.file_meta
        dataset.preamble = None
        implicit = syntax == ImplicitVRLittleEndian
        pydicom.dcmwrite(file, dataset, implicit_vr=implicit, little_endian=True)
        assert file.read_bytes()[128:132] != b'DICM'
        assert (read_dicom([file]).hu == some_hu(1)).all()


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (file,) = write_series(tmp_path, some_hu(1))

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, 'Permission denied', str(path))

    monkeypatch.setattr('builtins.open', refuse)
    with pytest.raises(PermissionError):
        read_dicom([file])


def test_reading_is_what_joblib_is_told_to(tmp_path):
    from joblib import parallel_config

    files = write_series(tmp_path, some_hu(4))
    with parallel_config(backend='threading', n_jobs=2):
        assert (read_dicom(files).hu == some_hu(4)).all()


@real_head
def test_a_real_head():
    """What `dcmdump` says of its files; the HU that a brain has."""
    scan = read_dicom(sorted(Path(HEAD).glob('*.dcm')))
    assert scan.hu.shape == (28, 512, 512)
    assert [Path(file).name for file in scan.files] == [f'{n:02d}.dcm' for n in range(1, 29)]
    geometry = scan.geometry
    assert geometry.pixel_mm == pytest.approx((0.4882812, 0.4882812))
    assert np.degrees(np.arctan2(geometry.normal[1], geometry.normal[2])) == pytest.approx(18.5)
    # 4.22 and 7.38 mm along z, of which the cosine of the tilt is left; and one odd distance.
    distances = np.diff(geometry.positions_mm)
    assert distances[:13] == pytest.approx(4.002, abs=1e-3)
    assert distances[13] == pytest.approx(1.081, abs=1e-3)
    assert distances[14:] == pytest.approx(6.999, abs=1e-3)
    assert geometry.thickness_mm[[0, 13, 14, 27]] == pytest.approx(
        [4.002, 2.542, 4.04, 6.999], abs=1e-3
    )
    assert scan.hu.min() == -1023 and (scan.hu[:, 0, 0] == -1000).all()  # padding was -1500
    soft = scan.hu[18][(scan.hu[18] > 0) & (scan.hu[18] < 80)]
    assert soft.size > 30_000 and 20 < np.median(soft) < 45
    assert scan.remarks == ()


@pytest.mark.parametrize('orientation', [tilted(20), CORONAL, SAGITTAL], ids=str)
def test_as_highdicom_reads_it(tmp_path, orientation):
    """Every pixel of the scan has the value that highdicom has at its place in the patient."""
    hu = some_hu(4, 6, 5)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.array([-3.0, 7, 20]) + 1.5 * number * normal for number in range(4)]
    options = {'orientation': orientation, 'spacing': (0.75, 0.5)}
    files = write_series(tmp_path, hu, positions=positions, **options)
    volume = highdicom.get_volume_from_series([pydicom.dcmread(file) for file in files])
    scan = read_dicom(files[::-1])
    indices = np.array(list(np.ndindex(scan.hu.shape)))
    points = np.array([scan.geometry.point(*index) for index in indices])
    places = volume.map_reference_to_indices(points)
    assert np.allclose(places, np.rint(places), atol=1e-4)
    theirs = volume.array[tuple(np.rint(places).astype(int).T)]
    assert (scan.hu.ravel() == theirs).all()
