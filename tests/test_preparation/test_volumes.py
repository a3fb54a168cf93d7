"""Scans of one's own as a prepared tree."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from cranium.errors import CraniumError
from cranium.manifest import mask_path, read_manifest
from cranium.preparation.check import check_tree
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.volumes import find_volumes, layers_of, read_volumes
from cranium.scans.find import find_scans
from cranium.scans.pictures import read_pixels
from cranium.scans.scan import Geometry, Scan
from cranium.windows import BRAIN, encode_hu
from tests.conftest import call_cranium
from tests.dicom_files import write_series
from tests.test_scans.test_labels import segment, write_seg

from .volumes import AFFINE, blood, head, save, write_nnunet


@pytest.fixture
def nnunet(tmp_path):
    return write_nnunet(tmp_path / 'Dataset001')


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


def plan(images, labels, **options):
    found = find_volumes(images, labels, images.parent)
    return make_plan(read_volumes(found), Options(**{'folds': 3, 'window': 'hu', **options}))


def prepare(root, out, images='imagesTr', labels='labelsTr', **options):
    """Prepare; return the manifest by patient and slice."""
    write_plan(plan(root / images, root / labels, **options), out)
    rows = read_manifest(out)
    return {(row['patient'], row['slice']): row for row in rows.to_dict('records')}


def test_images_masks_and_records(nnunet, out):
    rows = prepare(nnunet, out)
    assert [*rows] == [(f'ICH-{n}', s) for n in range(1, 6) for s in (1, 2, 3)]
    for (patient, number), row in rows.items():
        seed, bleeds = int(patient[-1]), patient[-1] < '4'
        image, mask = read_pixels(out / row['image']), read_pixels(out / mask_path(row['image']))
        assert image.dtype == np.uint16
        assert np.array_equal(image, encode_hu(head(seed)[number - 1]))
        assert np.array_equal(mask, blood(bleeds)[number - 1])
        assert row['label'] == ('mask' if mask.any() else 'background')
        assert row['hemorrhage_pixels'] == mask.sum()
        assert (row['pixel_mm'], row['slice_mm'], row['notes']) == (0.5, 4, '')
        assert (row['head_x'], row['head_y']) == pytest.approx((11.5, 11.5), abs=1)
    row = rows['ICH-2', 3]
    assert row['sources'] == 'imagesTr/ICH_2_0000.nii.gz;labelsTr/ICH_2.nii.gz'
    digests = [hashlib.sha256((nnunet / name).read_bytes()) for name in row['sources'].split(';')]
    assert row['source_sha256'] == ';'.join(digest.hexdigest() for digest in digests)
    recorded = json.loads((out / 'dataset.json').read_text())
    assert recorded['ct'] == {
        'unit': 'HU',
        'offset': 32768,
        'window': None,
        'pixel_mm': 0.5,
        'pixel_mm_assumed': False,
        'slice_mm': 4,
    }
    assert (recorded['dataset'], recorded['source']) == ('own scans', 'imagesTr')
    assert recorded['splits']['val']['hemorrhage_patients'] == 1
    assert list(check_tree(out)) == []


def test_the_brain_window(nnunet, out):
    row = prepare(nnunet, out, window='brain')['ICH-1', 2]
    assert np.array_equal(read_pixels(out / row['image']), BRAIN.to_gray(head(1)[1]))


def test_it_is_written_again_to_the_same_bytes(nnunet, out, tmp_path):
    prepare(nnunet, out)
    prepare(nnunet, tmp_path / 'again')
    assert (out / 'manifest.csv').read_bytes() == (tmp_path / 'again/manifest.csv').read_bytes()


def test_labels_with_types(nnunet, out):
    names = {'background': 0, 'SDH': 1, 'IVH': 2}
    (nnunet / 'dataset.json').write_text(json.dumps({'labels': names}))
    mask = blood(True)
    mask[1, 8, 10:12] = 2
    save(nnunet / 'labelsTr/ICH_1.nii.gz', mask)
    rows = prepare(nnunet, out)
    types = [rows['ICH-1', number]['types'] for number in (1, 2, 3)]
    assert types == ['', 'Intraventricular+Subdural', 'Subdural']
    # As the first version of nnU-Net wrote it.
    first = {'labels': {str(value): name for name, value in names.items()}}
    (nnunet / 'dataset.json').write_text(json.dumps(first))
    assert find_volumes(nnunet / 'imagesTr', nnunet / 'labelsTr', out).label_names == {
        0: 'background',
        1: 'SDH',
        2: 'IVH',
    }


def test_pixels_to_ignore(nnunet, out):
    names = {'background': 0, 'hemorrhage': 1, 'ignore': 2}
    (nnunet / 'dataset.json').write_text(json.dumps({'labels': names}))
    mask = blood(True)
    mask[0, :3] = 2
    save(nnunet / 'labelsTr/ICH_1.nii.gz', mask)
    row = prepare(nnunet, out)['ICH-1', 1]
    assert (row['label'], row['hemorrhage_pixels']) == ('background', 0)
    assert np.array_equal(
        read_pixels(out / mask_path(row['image'])), np.where(mask[0], np.uint8(255), 0)
    )


@pytest.mark.parametrize(('unlabelled', 'written'), [('drop', 0), ('keep', 3)])
def test_a_scan_without_a_mask(nnunet, out, unlabelled, written):
    (nnunet / 'labelsTr/ICH_5.nii.gz').unlink()
    prepared = plan(nnunet / 'imagesTr', nnunet / 'labelsTr', unlabelled=unlabelled)
    assert 'scans without a mask: 1 of 5' in prepared.remarks()
    rows = prepare(nnunet, out, unlabelled=unlabelled)
    images = [row['image'] for (patient, _), row in rows.items() if patient == 'ICH-5']
    assert len(images) == 3 and sum(image != '' for image in images) == written
    for image in filter(None, images):
        assert (read_pixels(out / mask_path(image)) == 255).all()


class TestDicom:
    def test_series_and_segmentations_in_one_folder(self, tmp_path, out):
        """As an archive hands them out: names tell nothing, and lead to no patient."""
        masks = {}
        for number in range(1, 5):
            series = f'1.2.3.{number}'
            folder = tmp_path / f'all/Doe^Jane {number}'
            options = dict(distance=4, series=series, PatientID=str(number))
            files = write_series(folder, head(number), **options)
            if number < 4:
                file = tmp_path / f'all/{number}.dcm'
                masks[number] = write_seg(file, files, blood(True), [segment(1, 'blood')])
        rows = prepare(tmp_path, out, 'all', 'all')
        assert len(rows) == 12
        assert all(re.fullmatch('series-[0-9a-f]{8}', patient) for patient, _ in rows)
        assert 'Doe' not in (out / 'manifest.csv').read_text()
        stored = {
            encode_hu(head(number)[index]).tobytes(): (number, index)
            for number in range(1, 5)
            for index in range(3)
        }
        for (_, index), row in rows.items():
            if row['image']:
                number, same = stored[read_pixels(out / row['image']).tobytes()]
                mask = read_pixels(out / mask_path(row['image']))
                assert index - 1 == same and np.array_equal(mask, blood(True)[same])
                file = tmp_path / f'all/Doe^Jane {number}/{same + 1:03d}.dcm'
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                assert row['source_sha256'].split(';')[0] == digest
                assert (row['pixel_mm'], row['slice_mm']) == (0.5, 4)
            else:
                assert row['label'] == 'unlabelled'

    def test_distances_that_change(self, tmp_path, out):
        for number in range(1, 4):
            positions = [(0, 0, z) for z in (0, 4, 11)]
            options = dict(series=f'1.2.3.{number}', PatientID=str(number), positions=positions)
            files = write_series(tmp_path / f'ct/{number}', head(number), **options)
            (tmp_path / 'seg').mkdir(exist_ok=True)
            write_seg(tmp_path / f'seg/{number}', files, blood(True), [segment(1, 'blood')])
        rows = prepare(tmp_path, out, 'ct', 'seg')
        assert [row['slice_mm'] for row in rows.values()] == [4, 5.5, 7] * 3
        assert json.loads((out / 'dataset.json').read_text())['ct']['slice_mm'] is None

    def test_series_of_one_person_are_in_one_fold(self, tmp_path):
        """Three persons of two series each: with three folds, each holds a person."""
        for number in range(6):
            options = dict(series=f'1.2.3.{number}', PatientID=f'P{number // 2}')
            files = write_series(tmp_path / f'ct/{number}', head(number), **options)
            write_seg(tmp_path / f'{number}.dcm', files, blood(True), [segment(1, 'blood')])
        prepared = plan(tmp_path / 'ct', tmp_path)
        found, _ = find_scans([tmp_path / 'ct'], tmp_path)
        person = {scan.name: int(scan.files[0].parent.name) // 2 for scan in found}
        folds = [sorted(person[patient] for patient in fold) for fold in prepared.splits.folds]
        assert sorted(folds) == [[0, 0], [1, 1], [2, 2]]
        (remark,) = (each for each in prepared.remarks() if 'another' in each)
        assert remark.startswith('scans of a patient of whom there is another: 3;')
        assert 'P0' not in prepared.splits.to_json([item.case for item in prepared.slices])
        with pytest.raises(CraniumError, match=r'4 folds need 4 patients .*, here are 3'):
            plan(tmp_path / 'ct', tmp_path, folds=4)


class TestThinSlices:
    """Ten slices of 1 mm: layers of the slices 1 to 5 and 6 to 10."""

    @pytest.fixture
    def thin(self, tmp_path):
        thin = AFFINE @ np.diag([1, 1, 0.25, 1])
        for number in range(3):
            hu = (
                np.repeat(head(number)[:1], 10, 0)
                + np.int16([0, 1, 2, 3, 6, 0, 0, 0, 0, 3])[:, None, None]
            )
            mask = np.zeros((10, 24, 24), np.uint8)
            mask[:3, 8, 8], mask[:2, 8, 9], mask[5:7, 9, 9] = 1, 1, 1
            save(tmp_path / f'ct/{number}.nii', hu, thin)
            save(tmp_path / f'seg/{number}.nii', mask, thin)
        return tmp_path

    def prepare(self, thin, out, slice_mm):
        found = find_volumes(thin / 'ct', thin / 'seg', thin, slice_mm)
        made = make_plan(read_volumes(found), Options(folds=3, window='hu', slice_mm=slice_mm))
        write_plan(made, out)
        return read_manifest(out)

    def test_they_are_averaged(self, thin, out):
        rows = self.prepare(thin, out, 5)
        assert rows['slice'].tolist() == [1, 2] * 3 and set(rows['slice_mm']) == {5}
        assert rows['label'].tolist() == ['mask', 'background'] * 3
        first, second = rows['image'][:2]
        # Means of 2.4 and 0.6.
        assert np.array_equal(read_pixels(out / first), encode_hu(head(0)[0] + np.int16(2)))
        assert np.array_equal(read_pixels(out / second), encode_hu(head(0)[0] + np.int16(1)))
        # In three of five slices, and not in two.
        assert np.argwhere(read_pixels(out / mask_path(first))).tolist() == [[8, 8]]
        assert rows['sources'][0] == 'ct/0.nii;seg/0.nii'
        assert json.loads((out / 'dataset.json').read_text())['options']['slice_mm'] == 5
        with pytest.raises(CraniumError, match=r'prepared with slice_mm 5, not None; add --over'):
            self.prepare(thin, out, None)

    @pytest.mark.parametrize('slice_mm', [None, 1.4])
    def test_they_stay(self, thin, out, slice_mm):
        rows = self.prepare(thin, out, slice_mm)
        assert rows['slice'].tolist() == [*range(1, 11)] * 3 and set(rows['slice_mm']) == {1}

    def test_what_is_to_ignore(self, thin, out):
        (thin / 'dataset.json').write_text('{"labels": {"background": 0, "SDH": 1, "ignore": 2}}')
        mask = np.zeros((10, 24, 24), np.uint8)
        mask[:3, 8, 8], mask[4, 8, 8:10] = 1, 2
        save(thin / 'seg/0.nii', mask, AFFINE @ np.diag([1, 1, 0.25, 1]))
        rows = self.prepare(thin, out, 5.0)
        assert read_pixels(out / mask_path(rows['image'][0]))[8, 7:11].tolist() == [0, 1, 255, 0]
        assert rows['types'].tolist()[:2] == ['Subdural', '']

    def test_a_gap_is_in_no_layer(self):
        """1 mm, nothing for 20 mm, and 1 mm again."""
        positions = np.array([0, 1, 2, 3, 4, 25, 26, 27, 28, 29.0])
        corners = positions[:, None] * [0, 0, 1]
        geometry = Geometry(corners, np.array([0.5, 0, 0]), np.array([0, 0.5, 0]))
        scan = Scan(np.zeros((10, 2, 2), np.int16), 'a', 'a', geometry=geometry)
        assert layers_of(scan, 5) == [slice(0, 5), slice(5, 10)]


class TestCtIch:
    """The layout of the release in NIfTI: ct_scans, masks of 0 and 255, and two tables."""

    @pytest.fixture
    def root(self, tmp_path):
        header = (
            'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,'
            'Epidural,Subdural,No_Hemorrhage,Fracture_Yes_No\n'
        )
        # The second of these files is stored from the vertex to the neck.
        downwards = AFFINE @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]]
        for number in (49, 50, 51):
            slices, mask, affine = head(number), blood(True) * np.uint8(255), AFFINE
            if number == 50:
                slices, mask, affine = slices[::-1], mask[::-1], downwards
            save(tmp_path / f'ct_scans/{number:03d}.nii', slices, affine)
            save(tmp_path / f'masks/{number:03d}.nii', mask, affine)
            types = ['0,0,0,0,0,1,0', '0,1,0,0,0,0,0', '0,0,0,0,1,0,0']
            if number == 50:
                types.reverse()
            header += ''.join(f'{number},{i},{row}\n' for i, row in enumerate(types, 1))
        (tmp_path / 'hemorrhage_diagnosis_raw_ct.csv').write_text(header)
        people = '"Patient Number","Age\n(years)","Gender"\n49,35,"Male"\n'
        (tmp_path / 'Patient_demographics.csv').write_text(people)
        return tmp_path

    def test_it_is_prepared(self, root, out):
        rows = prepare(root, out, 'ct_scans', 'masks')
        assert [*rows] == [(f'{n:03d}', s) for n in (49, 50, 51) for s in (1, 2, 3)]
        for (patient, number), row in rows.items():
            image = read_pixels(out / row['image'])
            assert np.array_equal(image, encode_hu(head(int(patient))[number - 1]))
            mask = read_pixels(out / mask_path(row['image']))
            assert np.array_equal(mask, blood(True)[number - 1])
            assert row['types'] == ['', 'Intraparenchymal', 'Subdural'][number - 1]
        assert (rows['049', 1]['age'], rows['049', 1]['sex']) == (35, 'Male')
        assert np.isnan(rows['050', 1]['age'])

    def test_where_mask_and_diagnosis_disagree(self, root):
        save(root / 'masks/049.nii', blood(False))
        found = read_volumes(find_volumes(root / 'ct_scans', root / 'masks', root))
        assert found.remarks == ('049: 2 slices in which mask and diagnosis disagree',)


class TestNames:
    def masks(self, images, labels):
        found = find_volumes(images, labels, images.parent)
        return {patient: case.mask and case.mask.name for patient, case in found.cases.items()}

    def test_of_masks(self, tmp_path):
        for name in ('a', 'b_2', '7'):
            save(tmp_path / f'ct/{name}.nii.gz', head(0))
        for name in ('a_seg', 'b_2-mask'):
            save(tmp_path / f'seg/{name}.nii', blood(True))
        found = self.masks(tmp_path / 'ct', tmp_path / 'seg')
        assert found == {'a': 'a_seg.nii', 'b-2': 'b_2-mask.nii', '007': None}

    def test_of_masks_in_a_folder_among_the_scans(self, tmp_path):
        save(tmp_path / 'a.nii.gz', head(0))
        save(tmp_path / 'masks/a.nii.gz', blood(True))
        assert self.masks(tmp_path, tmp_path / 'masks') == {'a': 'a.nii.gz'}

    def test_of_folders(self, tmp_path):
        for name in 'ab':
            save(tmp_path / f'ct/{name}/head.nii.gz', head(0))
            save(tmp_path / f'seg/{name}/blood.nii.gz', blood(True))
        assert self.masks(tmp_path / 'ct', tmp_path / 'seg') == dict.fromkeys('ab', 'blood.nii.gz')

    def test_two_of_one_name(self, tmp_path):
        for name in ('a_1', 'a-1'):
            save(tmp_path / f'ct/{name}.nii.gz', head(0))
        save(tmp_path / 'seg/a_1.nii.gz', blood(True))
        with pytest.raises(CraniumError, match=r'ct/a_1\.nii\.gz: is called a-1, as .*ct/a-1\.nii'):
            find_volumes(tmp_path / 'ct', tmp_path / 'seg', tmp_path)


class TestBadInput:
    def refused(self, root, message, labels='labelsTr'):
        with pytest.raises(CraniumError, match=message) as caught:
            plan(root / 'imagesTr', root / labels)
        assert '\n' not in str(caught.value)

    def test_folders(self, nnunet, tmp_path):
        self.refused(nnunet, r'nowhere: no such folder; give --labels', 'nowhere')
        (nnunet / 'empty').mkdir()
        self.refused(nnunet, r'empty: no masks in NIfTI or DICOM-SEG', 'empty')
        with pytest.raises(CraniumError, match=r'empty: no scans in DICOM or NIfTI'):
            find_volumes(nnunet / 'empty', nnunet / 'labelsTr', tmp_path)

    def test_a_mask_without_a_scan(self, nnunet):
        (nnunet / 'imagesTr/ICH_2_0000.nii.gz').unlink()
        self.refused(nnunet, r'ICH_2\.nii\.gz: a mask without a scan \(1 of 5 masks\); name it as')

    def test_a_second_mask(self, nnunet):
        shutil.copy(nnunet / 'labelsTr/ICH_2.nii.gz', nnunet / 'labelsTr/ICH_2_seg.nii.gz')
        self.refused(nnunet, r'ICH_2_seg\.nii\.gz: a second mask of ICH_2 beside .*; keep one')

    def test_a_second_channel(self, nnunet):
        save(nnunet / 'imagesTr/ICH_2_0001.nii.gz', head(0))
        self.refused(nnunet, r'ICH_2_0001\.nii\.gz: channel 1, but a CT has only one')

    def test_a_mask_on_another_grid(self, nnunet):
        save(nnunet / 'labelsTr/ICH_2.nii.gz', blood(True), AFFINE @ np.diag([1, 1, 1.5, 1]))
        self.refused(nnunet, r'ICH_2\.nii\.gz: a slice lies 2 mm from any of the scan')

    def test_masks_that_are_no_hemorrhage(self, nnunet):
        for number in (1, 2):
            save(nnunet / f'labelsTr/ICH_{number}.nii.gz', 1 - blood(True))
        self.refused(nnunet, r'^2 masks cannot be .*ICH_1.* the mask covers .* \| .*ICH_2')

    def test_a_scan_that_cannot_be_used(self, nnunet):
        """It matters if it has a mask; else it is left out, and said."""
        save(nnunet / 'imagesTr/ICH_5_0000.nii.gz', np.zeros((3, 24, 24)))
        self.refused(nnunet, r'ICH_5_0000\.nii\.gz: its values are 0 to 0, a mask')
        (nnunet / 'labelsTr/ICH_5.nii.gz').unlink()
        prepared = plan(nnunet / 'imagesTr', nnunet / 'labelsTr')
        assert {item.patient for item in prepared.slices} == {f'ICH-{n}' for n in range(1, 5)}
        (remark,) = (each for each in prepared.remarks() if 'left out, ' in each)
        assert remark.startswith('ICH-5: left out, ') and 'its values are 0 to 0' in remark

    def test_pixels_that_are_not_square(self, nnunet):
        affine = AFFINE @ np.diag([1, 1.2, 1, 1])
        for folder, slices in (('imagesTr/ICH_1_0000', head(1)), ('labelsTr/ICH_1', blood(True))):
            save(nnunet / f'{folder}.nii.gz', slices, affine)
        self.refused(nnunet, r'ICH_1_0000\.nii\.gz: pixels of 0\.5 x 0\.6 mm')

    def test_pictures(self, nnunet):
        for number in range(5):
            Image.new('L', (24, 24)).save(nnunet / f'imagesTr/photo{number}-x.png')
        remarks = plan(nnunet / 'imagesTr', nnunet / 'labelsTr').remarks()
        assert 'photo0-x.png: a picture; left out' in remarks[0] and 'photo2' in remarks[2]
        assert remarks[3:] == ['2 more like these; left out']

    def test_labels_of_dataset_json(self, nnunet):
        (nnunet / 'dataset.json').write_text('{"labels": {"background": 0, "skull": 1}}')
        self.refused(nnunet, r'ICH_1\.nii\.gz: labels of skull; name the one of hemorrhage')
        (nnunet / 'dataset.json').write_text('{"labels": {"background": "zero"}}')
        self.refused(nnunet, r'dataset\.json: labels that are not numbers')


class TestCommand:
    def test_it_prepares(self, nnunet, out):
        options = ['--images', nnunet / 'imagesTr', '--labels', nnunet / 'labelsTr', '--folds', 3]
        result = call_cranium('prepare', *options, '--out', out, '--window', 'hu')
        assert result.exit_code == 0 and '15 slices written' in result.output
        assert (out / 'manifest.csv').is_file()

    def test_one_option_needs_the_other(self, nnunet):
        result = call_cranium('prepare', '--images', nnunet / 'imagesTr')
        assert result.exit_code == 2 and '--images and --labels: give both' in result.output
        result = call_cranium('prepare', '--slice-mm', 5)
        assert result.exit_code == 2 and '--slice-mm: only with --images' in result.output
