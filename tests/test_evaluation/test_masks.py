"""Masks on disk: PNG and NIfTI, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.evaluation import masks

from .masks import blobs, perturbed


def save(folder, name, labels):
    folder.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(labels, np.uint8)).save(folder / f'{name}.png')


def save_nifti(folder, name, labels, affine, units='mm', **header):
    nibabel = pytest.importorskip('nibabel')
    folder.mkdir(exist_ok=True)
    if np.ndim(affine) == 1:
        affine = np.diag([*affine, 1.0])
    image = nibabel.Nifti1Image(np.asarray(labels, np.uint8), affine)
    image.header.set_xyzt_units(units)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, folder / name)


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        truth = blobs(rng)
        save(tmp_path / 'truth', f'049_{number:03d}', truth)
        save(tmp_path / 'prediction', f'049_{number:03d}', perturbed(rng, truth))
    return tmp_path


def compare(folder, **options):
    return masks.compare_folders(folder / 'prediction', folder / 'truth', **options)


def test_png(folders):
    slices, warnings = compare(folders)
    assert list(slices.slice) == [1, 2, 3] and set(slices.patient) == {'049'}
    assert ((slices.dice > 0) & (slices.dice < 1)).all()
    assert slices.truth_file[0] == str(folders / 'truth/049_001.png')
    assert slices.unit[0] == 'px' and not warnings


def test_images_are_named_where_they_are(folders):
    save(folders / 'images', '049_002', np.zeros((4, 4)))
    slices, (warning,) = compare(folders, images=folders / 'images')
    assert slices.image_file.tolist() == ['', str(folders / 'images/049_002.png'), '']
    assert warning.startswith('2 slices have no image') and '049_001, 049_003' in warning


def test_an_image_is_named_as_its_mask_is(tmp_path):
    for kind in ('truth', 'prediction', 'images'):
        save(tmp_path / kind, '49_7', np.eye(5))
    slices, _ = compare(tmp_path, images=tmp_path / 'images')
    assert (slices.patient[0], slices.slice[0]) == ('049', 7)
    assert slices.image_file[0].endswith('images/49_7.png')


def test_masks_that_are_ignored_throughout_are_counted(folders):
    save(folders / 'truth', '049_002', np.full((64, 48), 255))
    _, (warning,) = compare(folders)
    assert warning.startswith('1 true masks are 255 throughout') and '049_002' in warning


class TestNifti:
    """Axes, spacing and units come from the affine."""

    MM = (0.5, 0.5, 5.0)

    @pytest.fixture
    def volumes(self, folders):
        """Truth and prediction of three slices, (x, y, z), and their figures as PNG."""
        stacks = {
            kind: np.stack([np.asarray(Image.open(f)) for f in sorted((folders / kind).iterdir())])
            for kind in ('truth', 'prediction')
        }
        return {kind: stack.transpose(2, 1, 0) for kind, stack in stacks.items()}, compare(folders)[
            0
        ]

    @staticmethod
    def measure(folder, volumes, affine, name='049.nii.gz', **header):
        for kind, labels in volumes.items():
            save_nifti(folder / f'{kind}3d', name, labels, affine, **header)
        return masks.compare_folders(folder / 'prediction3d', folder / 'truth3d')[0]

    def test_a_volume_is_evaluated_slice_by_slice(self, tmp_path, volumes):
        labels, flat = volumes
        found = self.measure(tmp_path, labels, self.MM, '49.nii.gz')
        for name in ('patient', 'slice', 'tp', 'fp', 'fn', 'tn'):
            assert found[name].tolist() == flat[name].tolist()
        assert set(found.unit) == {'mm'}
        assert set(found.truth_file) == set(found.true_contrasts) == {''}
        assert found.assd.to_numpy() == pytest.approx(flat.assd.to_numpy() / 2)
        assert found.pixel_volume.to_numpy() == pytest.approx(0.5 * 0.5 * 5 / 1000)

    def test_stored_in_another_order(self, tmp_path, volumes):
        """(z, y, x), with an affine that says so: the same slices, not 48 of 3 x 64 pixels."""
        labels, flat = volumes
        affine = np.array([[0, 0, 0.5, 0], [0, 0.5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1.0]])
        turned = {kind: volume.transpose(2, 1, 0) for kind, volume in labels.items()}
        found = self.measure(tmp_path, turned, affine)
        assert found.tp.tolist() == flat.tp.tolist()
        assert found.assd.to_numpy() == pytest.approx(flat.assd.to_numpy() / 2)

    def test_stored_differently_in_both_folders(self, tmp_path, volumes):
        """Flipped along all axes and transposed, but at the same place."""
        labels, flat = volumes
        shape = np.array(labels['truth'].shape)
        affine = np.diag([*(-np.array(self.MM)), 1.0])
        affine[:3, 3] = self.MM * (shape - 1)
        save_nifti(tmp_path / 'a', '049.nii', labels['truth'], self.MM)
        flipped = labels['prediction'][::-1, ::-1, ::-1]
        save_nifti(tmp_path / 'b', '049.nii', flipped.swapaxes(0, 1), affine[:, [1, 0, 2, 3]])
        found, _ = masks.compare_folders(tmp_path / 'b', tmp_path / 'a')
        assert found.tp.tolist() == flat.tp.tolist()

    def test_slices_are_counted_upwards(self, tmp_path, volumes):
        labels, flat = volumes
        found = self.measure(tmp_path, labels, (0.5, 0.5, -5.0))
        assert found.tp.tolist() == flat.tp.tolist()[::-1]

    @pytest.mark.parametrize(
        ('affine', 'header'),
        [
            ((0.45, 0.9, 5), {'pixdim': [1] * 8}),  # the sform says it
            ((450, 900, 5000), {'units': 'micron'}),
            ((0.00045, 0.0009, 0.005), {'units': 'meter'}),
            ((0.45, 0.9, 5), {'units': 'unknown'}),
            ((0.45, 0.9, 5), {'sform_code': 0, 'qform_code': 1}),
        ],
    )
    def test_spacing_is_that_of_the_affine(self, tmp_path, affine, header):
        point = np.zeros((2, 20, 20, 2), np.uint8)
        point[:, 5, 5], point[1, 5, 5], point[1, 6, 5] = 1, 0, 1
        labels = {'truth': point[0], 'prediction': point[1]}
        found = self.measure(tmp_path, labels, affine, **header)
        assert found.assd.tolist() == pytest.approx([0.45] * 2, rel=1e-5)
        assert found.pixel_volume.to_numpy() == pytest.approx(0.45 * 0.9 * 5 / 1000)

    @pytest.mark.parametrize('shape', [(5, 6), (5, 6, 1), (5, 6, 1, 1)])
    def test_a_slice(self, tmp_path, shape):
        labels = np.eye(5, 6).reshape(shape)
        found = self.measure(
            tmp_path, {'truth': labels, 'prediction': labels}, (2, 2, 1), '049_007.nii'
        )
        assert found[['slice', 'dice', 'tp']].to_numpy().tolist() == [[7, 1, 5]]
        assert np.isnan(found.pixel_volume[0]) == (len(shape) == 2)

    @pytest.mark.parametrize('spacing', [(0.5, 0.5, 4), (0.5, 0.6, 5), (-0.5, 0.5, 5)])
    def test_another_place(self, tmp_path, spacing):
        save_nifti(tmp_path / 'truth', '049.nii.gz', np.ones((3, 3, 2)), self.MM)
        save_nifti(tmp_path / 'prediction', '049.nii.gz', np.ones((3, 3, 2)), spacing)
        with pytest.raises(CraniumError, match=r'prediction/049\.nii\.gz: spacing or orientation'):
            compare(tmp_path)

    def test_turned_by_ten_degrees(self, tmp_path):
        turn = np.eye(4)
        cos, sin = np.cos(np.radians(10)), np.sin(np.radians(10))
        turn[:2, :2] = [[cos, -sin], [sin, cos]]
        save_nifti(tmp_path / 'truth', '049.nii', np.ones((9, 9, 2)), turn)
        save_nifti(tmp_path / 'prediction', '049.nii', np.ones((9, 9, 2)), np.eye(4))
        with pytest.raises(CraniumError, match='spacing or orientation'):
            compare(tmp_path)
        save_nifti(tmp_path / 'prediction', '049.nii', np.ones((9, 9, 2)), turn)
        assert compare(tmp_path)[0].dice.tolist() == [1, 1]

    def test_against_png(self, tmp_path):
        """(x, y) against (y, x): nothing tells whether they are."""
        save(tmp_path / 'truth', '049_007', np.eye(5, 5, 1))
        save_nifti(tmp_path / 'prediction', '049_007.nii.gz', np.eye(5, 5, 1), self.MM)
        with pytest.raises(CraniumError, match=r'NIfTI tells .* PNG does not; save both'):
            compare(tmp_path)

    @pytest.mark.parametrize('row', [[0.0] * 4, [np.nan] * 4])
    def test_an_affine_of_no_use(self, tmp_path, row):
        save_nifti(tmp_path, '049.nii', np.ones((9, 9, 2)), self.MM)
        content = bytearray((tmp_path / '049.nii').read_bytes())
        content[312:328] = np.float32(row).tobytes()  # the third row of the sform
        (tmp_path / '049.nii').write_bytes(content)
        with pytest.raises(CraniumError, match=r'049\.nii: no valid affine'):
            masks.read_mask(tmp_path / '049.nii')

    @pytest.mark.parametrize(
        ('name', 'shape', 'affine', 'header', 'message'),
        [
            ('049.nii', (9, 9, 2), None, {}, 'no valid affine'),
            ('049.nii', (2, 9, 9), np.eye(4), {}, 'axial slices are 2 x 9 mm, which is no head'),
            (
                '049_001.nii',
                (9, 9, 2),
                MM,
                {},
                '2 slices; name a volume <patient>',
            ),
            ('049_001_0000.nii.gz', (9, 9, 1), MM, {}, r'expected a name .* 049_021\.png'),
            ('049_001_0000.nii.gz', (9, 9, 2), MM, {}, r'expected a name .* 049_021\.png'),
            ('049.nii', (9, 9, 2, 2), MM, {}, 'expected is a slice or a volume'),
        ],
    )
    def test_what_is_refused(self, tmp_path, name, shape, affine, header, message):
        labels = dict.fromkeys(('truth', 'prediction'), np.ones(shape))
        with pytest.raises(CraniumError, match=rf'{name}: .*{message}'):
            self.measure(tmp_path, labels, affine, name, **header)


class TestBadInput:
    def test_missing_prediction(self, folders):
        (folders / 'prediction/049_002.png').unlink()
        with pytest.raises(CraniumError, match='no prediction for 1 of 3 true masks'):
            compare(folders)

    def test_missing_truth_is_counted(self, folders):
        (folders / 'truth/049_002.png').unlink()
        slices, (warning,) = compare(folders)
        assert len(slices) == 2
        assert warning == '1 predictions have no true mask and were left out, first 049_002.'

    def test_another_name(self, tmp_path):
        for kind in ('truth', 'prediction'):
            save(tmp_path / kind, '049_001_0000', np.eye(5))
        with pytest.raises(CraniumError, match=r'049_001_0000\.png: expected .* 049_021\.png'):
            compare(tmp_path)

    def test_other_size(self, folders):
        save(folders / 'prediction', '049_002', np.zeros((3, 3)))
        with pytest.raises(CraniumError, match=r'prediction/049_002\.png: .* shape \(3, 3\)'):
            compare(folders)

    def test_prediction_of_0_and_255(self, folders):
        save(folders / 'prediction', '049_002', 255 * np.eye(64, 48))
        with pytest.raises(CraniumError, match=r'prediction/049_002\.png .* labels \[255\]'):
            compare(folders)

    def test_truth_of_0_and_255_is_not_taken_for_ignored(self, folders):
        save(folders / 'truth', '049_002', 255 * np.eye(64, 48))
        with pytest.raises(CraniumError, match=r'truth/049_002\.png: the mask holds 255 but no 1'):
            compare(folders)

    def test_colours(self, folders):
        save(folders / 'prediction', '049_002', np.zeros((64, 48, 3)))
        with pytest.raises(CraniumError, match=r'049_002\.png: a picture in colours'):
            compare(folders)

    def test_not_a_png(self, folders):
        (folders / 'prediction/049_002.png').write_bytes(b'not a picture')
        with pytest.raises(OSError, match=r'049_002\.png: cannot be read as PNG'):
            compare(folders)

    def test_not_a_nifti(self, tmp_path):
        (tmp_path / '049.nii').write_bytes(b'not an image')
        with pytest.raises(CraniumError, match=r'049\.nii: cannot be read as NIfTI'):
            masks.read_mask(tmp_path / '049.nii')

    def test_probabilities_instead_of_labels(self, tmp_path):
        nibabel = pytest.importorskip('nibabel')
        image = nibabel.Nifti1Image(np.full((3, 3), 0.5, np.float32), np.eye(4))
        nibabel.save(image, tmp_path / '049_001.nii')
        with pytest.raises(CraniumError, match='not whole numbers'):
            masks.read_mask(tmp_path / '049_001.nii')

    def test_two_files_of_one_name(self, folders):
        (folders / 'truth/049_001.nii').touch()
        with pytest.raises(CraniumError, match='is there as well'):
            compare(folders)

    def test_no_folder_and_no_masks(self, folders):
        with pytest.raises(FileNotFoundError, match='no such folder'):
            masks.compare_folders(folders / 'prediction', folders / 'nowhere')
        (folders / 'empty').mkdir()
        (folders / 'empty/.DS_Store').touch()
        with pytest.raises(CraniumError, match='no masks in it'):
            masks.compare_folders(folders / 'prediction', folders / 'empty')
