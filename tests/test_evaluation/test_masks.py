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


def save_nifti(folder, name, labels, spacing):
    nibabel = pytest.importorskip('nibabel')
    folder.mkdir(exist_ok=True)
    affine = np.diag([*spacing, *[1.0] * (4 - len(spacing))])
    nibabel.save(nibabel.Nifti1Image(np.asarray(labels, np.uint8), affine), folder / name)


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


def test_a_volume_is_evaluated_slice_by_slice(folders):
    flat, _ = compare(folders)
    for kind in ('truth', 'prediction'):
        slices = [np.asarray(Image.open(file)) for file in sorted((folders / kind).iterdir())]
        volume = np.stack(slices, axis=-1)
        save_nifti(folders / f'{kind}3d', '49.nii.gz', volume, (0.5, 0.5, 5.0))
    found, _ = masks.compare_folders(folders / 'prediction3d', folders / 'truth3d')
    for name in ('patient', 'slice', 'tp', 'fp', 'true_lesions'):
        assert found[name].tolist() == flat[name].tolist()
    assert set(found.unit) == {'mm'} and set(found.truth_file) == {''}
    assert found.assd.to_numpy() == pytest.approx(flat.assd.to_numpy() / 2)
    assert found.pixel_volume.to_numpy() == pytest.approx(0.5 * 0.5 * 5 / 1000)


def test_a_nifti_slice(tmp_path):
    for kind in ('truth', 'prediction'):
        save_nifti(tmp_path / kind, '049_007.nii', np.eye(5)[..., None], (2.0, 2.0, 1.0))
    slices, _ = compare(tmp_path)
    assert slices[['slice', 'dice']].to_numpy().tolist() == [[7, 1]]


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

    def test_other_spacing_or_orientation(self, tmp_path):
        for name, spacing in {
            'truth': (0.5, 0.5, 5),
            'a': (0.5, 0.5, 4),
            'b': (-0.5, 0.5, 5),
        }.items():
            save_nifti(tmp_path / name, '049.nii.gz', np.ones((3, 3, 2)), spacing)
        for name in ('a', 'b'):
            with pytest.raises(CraniumError, match=r'049\.nii\.gz: spacing or orientation'):
                masks.compare_folders(tmp_path / name, tmp_path / 'truth')

    def test_colours(self, folders):
        save(folders / 'prediction', '049_002', np.zeros((64, 48, 3)))
        with pytest.raises(CraniumError, match=r'049_002\.png: a picture in colours'):
            compare(folders)

    def test_not_a_png(self, folders):
        (folders / 'prediction/049_002.png').write_bytes(b'not a picture')
        with pytest.raises(OSError, match=r'049_002\.png: cannot be read as PNG'):
            compare(folders)

    def test_not_a_nifti(self, tmp_path):
        pytest.importorskip('nibabel')
        (tmp_path / '049.nii').write_bytes(b'not an image')
        with pytest.raises(OSError, match=r'049\.nii: cannot be read as NIfTI'):
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
