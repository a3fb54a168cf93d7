"""Tests of what was found, as files."""

import gzip
import io

import nibabel
import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.evaluation.masks import read_mask
from cranium.evaluation.platt import Calibration
from cranium.inference.writers import (
    Origin,
    probabilities,
    save,
    slice_names,
    slice_panel,
    spread,
    verdict,
)
from cranium.scans.scan import Geometry, Orientation, Scan

from .made import axial, found_in, heads, picture_scan

ORIGIN = Origin('weights')


def png(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def nifti(content):
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(content))


@pytest.mark.parametrize(
    ('name', 'stems', 'expected'),
    [
        ('049', ('049_001', '049_021'), ['049_001', '049_021']),
        ('049-2', ('049_001', '049_021'), ['049-2_001', '049-2_002']),
        ('study', ('3', '10'), ['study_003', 'study_010']),
        ('head', ('head',), ['head_001']),
        ('049_021', ('049_021',), ['049_021']),
        ('scan-1a2b', ('049_021',), ['scan-1a2b_001']),
    ],
)
def test_slices_of_pictures_keep_their_names_and_numbers(name, stems, expected):
    assert slice_names(found_in(picture_scan(name, stems))) == expected


def test_slices_of_a_series_are_numbered():
    scan = Scan(heads(2), 'series-1', 's', ('7.dcm', '9.dcm'), axial(2))
    assert slice_names(found_in(scan)) == ['series-1_001', 'series-1_002']


def test_masks_are_0_and_1_on_the_grid_of_each_slice(tmp_path):
    found = found_in(picture_scan())
    files = save(found, 'mask', ORIGIN)
    assert list(files) == ['049_001.png', '049_002.png', '049_003.png']
    for mask, (name, content) in zip(found.masks, files.items()):
        (tmp_path / name).write_bytes(content)
        assert np.array_equal(read_mask(tmp_path / name).labels, mask)  # as evaluate reads it


def test_probabilities_are_multiples_of_what_16_bits_hold():
    found = found_in(picture_scan())
    found.log_odds[0, 0, :3] = -1000, 0, 1000
    shares = probabilities(found)
    assert shares[0, 0, :3].tolist() == [0, pytest.approx(0.5, abs=1e-5), 1]
    assert shares[0, 2, 3] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)
    pixels = png(save(found, 'probability', ORIGIN)['049_001.png'])
    assert pixels.dtype == np.uint16
    assert np.array_equal((pixels / 65535).astype(np.float32), shares[0])


@pytest.mark.parametrize('second', [False, True])
def test_nifti_keeps_where_its_voxels_lie_and_no_text(tmp_path, second):
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    affine = np.array([[-0.4, 0.1, 0, 3], [0, 0.5, 0.2, 4], [0.1, 0, 5, 5], [0, 0, 0, 1]])
    image = kind(np.zeros((12, 10, 3), np.int16), affine)
    image.set_qform(np.diag([0.4, 0.5, 5, 1]), 3)
    image.set_sform(affine, 4)
    image.header.set_xyzt_units('micron', 'sec')
    image.header['descrip'] = b'Doe^Jane'
    image.to_filename(tmp_path / 'ct.nii.gz')
    orientation = Orientation((2, 1, 0), (False, True, True))
    scan = Scan(
        heads(), 'ct', 's', (str(tmp_path / 'ct.nii.gz'),), axial(3), orientation=orientation
    )
    found = found_in(scan)
    files = save(found, 'nifti', ORIGIN)
    assert list(files) == ['ct.nii.gz']
    result = kind.from_bytes(gzip.decompress(files['ct.nii.gz']))
    assert np.array_equal(np.asarray(result.dataobj), orientation.undo(found.masks))
    assert result.get_data_dtype() == np.uint8
    for form in ('qform', 'sform'):
        mine, code = getattr(result, f'get_{form}')(coded=True)
        true, expected = getattr(image, f'get_{form}')(coded=True)
        assert code == expected
        assert np.array_equal(mine, true)
    assert result.header.get_xyzt_units() == ('micron', 'sec')
    assert b'Doe' not in gzip.decompress(files['ct.nii.gz'])
    shares = kind.from_bytes(gzip.decompress(save(found, 'probability', ORIGIN)['ct.nii.gz']))
    assert shares.get_data_dtype() == np.float32
    assert np.array_equal(np.asarray(shares.dataobj), orientation.undo(probabilities(found)))


def test_nifti_with_a_fourth_axis_keeps_it(tmp_path):
    file = tmp_path / 'ct.nii'
    nibabel.Nifti1Image(np.zeros((3, 10, 12, 1), np.int16), np.eye(4)).to_filename(file)
    scan = Scan(heads(), 'ct', 's', (str(file),), axial(3), shape=(3, 10, 12, 1))
    assert nifti(save(found_in(scan), 'nifti', ORIGIN)['ct.nii.gz']).shape == (3, 10, 12, 1)


def test_a_series_becomes_a_volume_with_its_ct_beside_it():
    tilt = np.radians(18.5)
    corners = np.array([[-10, -20, z] for z in (0, 2, 6)], float)
    down = 0.5 * np.array([0, np.cos(tilt), -np.sin(tilt)])
    geometry = Geometry(corners, np.array([0.4, 0, 0]), down)
    scan = Scan(heads(), 'series-1', 's', ('1.dcm', '2.dcm', '3.dcm'), geometry)
    found = found_in(scan)
    files = save(found, 'nifti', ORIGIN)
    mask, ct = nifti(files['series-1.nii.gz']), nifti(files['series-1_ct.nii.gz'])
    assert mask.shape == ct.shape == (12, 10, 4)
    assert np.array_equal(mask.affine, ct.affine)
    assert np.array_equal(np.asarray(ct.dataobj) > 50, np.asarray(mask.dataobj) == 1)
    # Pixel (row 3, column 4) of the last slice lies where the affine says, in RAS.
    x, y, z = geometry.point(2, 3, 4)
    assert np.allclose(mask.affine @ [4, 3, 3, 1], [-x, -y, z, 1])
    assert mask.header['sform_code'] == mask.header['qform_code'] == 1
    # Programs that know no shear take the qform, and the voxels have the same volume there.
    assert np.prod(mask.header.get_zooms()) == pytest.approx(np.linalg.det(mask.affine))


def test_a_lone_slice_of_a_series_has_no_third_axis():
    scan = Scan(heads(1), 'series-1', 's', ('1.dcm',), axial(1))
    assert nifti(save(found_in(scan), 'nifti', ORIGIN)['series-1.nii.gz']).shape == (12, 10)


@pytest.mark.parametrize('format', ['nifti', 'dicom-seg'])
def test_a_picture_does_not_tell_where_it_lies(format):
    with pytest.raises(CraniumError, match=r'^/scans: .* lie.*; save mask$'):
        save(found_in(picture_scan()), format, ORIGIN)


def test_the_overlay_shows_every_slice_with_its_mask():
    found = found_in(picture_scan())
    sheet = png(save(found, 'overlay', ORIGIN)['049.png']).astype(int)
    orange = (abs(sheet - (240, 165, 0)) < 3).all(axis=2)
    assert orange[60:, 520:].any()  # the last of three panels in a row
    found.masks[:] = 0
    sheet = png(save(found, 'overlay', ORIGIN)['049.png']).astype(int)
    assert not (abs(sheet - (240, 165, 0)) < 3).all(axis=2)[60:].any()


def test_of_many_slices_those_with_most_hemorrhage_are_shown():
    hu = np.full((10, 4, 4), 30, np.int16)
    hu[1, :1] = hu[4, :2] = hu[7, :3] = hu[8, :1] = 70
    found = found_in(Scan(hu, 'x', 's'))
    assert spread(found, 3) == [1, 4, 7]
    assert spread(found, 60) == list(range(10))


def test_the_verdict_says_volume_or_pixels():
    scan = Scan(heads(), 'series-1', 's', ('1.dcm', '2.dcm', '3.dcm'), axial())
    # 27 pixels of 0.5 x 0.4 mm, 5 mm thick.
    assert verdict(found_in(scan)) == 'hemorrhage (score 3.00), 0.0 ml in 1 lesion'
    assert verdict(found_in(picture_scan())) == 'hemorrhage (score 3.00), 27 px in 1 lesion'
    calibrated = found_in(picture_scan(), Calibration(1.0, -2.0))  # 1 / (1 + 1 / e) = 0.73
    assert verdict(calibrated).startswith('hemorrhage (score 3.00, probability 0.73), 27 px')
    assert slice_panel(calibrated, 0).caption == '1: 6 px, score 3.0, probability 0.73'
    nothing = found_in(Scan(np.full((1, 4, 4), 30, np.int16), 'x', 's'))
    assert verdict(nothing) == 'no hemorrhage (score -3.00), nothing outlined'
