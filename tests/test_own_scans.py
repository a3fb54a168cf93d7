"""A hospital's own scans: prepared, trained on, and measured in mm and ml."""

import json
import warnings

import nibabel
import numpy as np
import pandas as pd
import pytest

from cranium.manifest import mask_path, read_manifest
from cranium.scans.find import find_scans
from cranium.scans.pictures import read_pixels, to_hu
from tests.conftest import ROOT, call_cranium, run_command
from tests.dicom_files import write_series
from tests.test_scans.test_labels import segment, write_seg

pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs/unet-cranium_small_1xb8-300i_cranium-sample-96x80.py'
SPACING, DISTANCE = 0.36, 5.0


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    """HU and masks of data/sample by patient, (N, H, W)."""
    tree = tmp_path_factory.mktemp('sample')
    prepare(tree, '--source', ROOT / 'data/sample')
    return scans_of(tree)


def prepare(tree, *options):
    result = call_cranium('prepare', *options, '--window', 'hu', '--out', tree)
    assert result.exit_code == 0, result.output
    return tree


def scans_of(tree):
    rows = read_manifest(tree)
    return {
        patient: (
            np.stack([to_hu(read_pixels(tree / image)) for image in scan['image']]),
            np.stack([read_pixels(tree / mask_path(image)) for image in scan['image']]),
        )
        for patient, scan in rows.groupby('patient')
    }


def write_nifti(folder, sample):
    affine = np.diag([-SPACING, -SPACING, DISTANCE, 1])
    for kind, slices_of in zip(('images', 'labels'), zip(*sample.values())):
        (folder / kind).mkdir()
        for patient, slices in zip(sample, slices_of):
            image = nibabel.Nifti1Image(slices.transpose(2, 1, 0), affine)
            nibabel.save(image, folder / kind / f'case_{patient}.nii.gz')


def write_dicom(folder, sample):
    (folder / 'labels').mkdir()
    for patient, (hu, mask) in sample.items():
        options = dict(distance=DISTANCE, spacing=(SPACING, SPACING), series=f'1.2.{int(patient)}')
        options['PatientID'] = patient
        files = write_series(folder / 'images' / patient, hu, **options)
        if mask.any():
            warnings.simplefilter('ignore')
            write_seg(folder / f'labels/{patient}.dcm', files, mask, [segment(1, 'blood')])


@pytest.fixture(scope='module')
def trees(sample, tmp_path_factory):
    """The sample, prepared from NIfTI and from DICOM with segmentations."""
    trees = {}
    for kind, write in (('nifti', write_nifti), ('dicom', write_dicom)):
        folder = tmp_path_factory.mktemp(kind)
        write(folder, sample)
        options = ['--images', folder / 'images', '--labels', folder / 'labels']
        trees[kind] = prepare(folder / 'tree', *options, '--folds', 3, '--unlabelled', 'keep')
    return trees


@pytest.mark.parametrize('kind', ['nifti', 'dicom'])
def test_images_and_masks_are_those_of_the_sample(sample, trees, kind):
    rows = read_manifest(trees[kind])
    assert (rows['pixel_mm'] == SPACING).all() and (rows['slice_mm'] == DISTANCE).all()
    names = {f'case-{patient}': patient for patient in sample}
    if kind == 'dicom':
        found, _ = find_scans([trees[kind].parent / 'images'], trees[kind].parent)
        names = {scan.name: scan.files[0].parent.name for scan in found}
    for name, (hu, mask) in scans_of(trees[kind]).items():
        true_hu, true_mask = sample[names[name]]
        assert np.array_equal(hu, true_hu)
        # A series without a segmentation is unlabelled, not clean.
        assert np.array_equal(mask, true_mask if true_mask.any() or kind == 'nifti' else mask | 255)


def test_it_is_trained_on_and_measured_in_mm_and_ml(trees, tmp_path):
    tree = trees['nifti']
    options = [f'{part}_dataloader.dataset.data_root={tree}' for part in ('train', 'val', 'test')]
    options += ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    options += ['default_hooks.checkpoint.interval=2']
    train = ['mim', 'train', 'mmseg', CONFIG, '--work-dir', tmp_path, '--cfg-options', *options]
    run_command(*train)
    test = ['mim', 'test', 'mmseg', CONFIG, '--checkpoint', tmp_path / 'iter_2.pth']
    run_command(*test, '--work-dir', tmp_path, '--cfg-options', *options)
    slices = pd.read_csv(tmp_path / 'evaluation/slices.csv')
    assert set(slices['unit']) == {'mm'}
    assert slices['pixel_volume'].to_numpy() == pytest.approx(SPACING**2 * DISTANCE / 1000)
    summary = json.loads((tmp_path / 'evaluation/summary.json').read_text())
    assert summary['options']['distance_unit'] == 'mm'
    errors = ((slices['fp'] - slices['fn']) * slices['pixel_volume']).groupby(slices['patient'])
    found = summary['figures']['patient/volume_error_ml']
    assert (found['value'], found['unit']) == (pytest.approx(errors.sum().mean()), 'ml')
