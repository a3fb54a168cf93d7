"""Scans whose windows are wrong, and masks that cannot be hemorrhage, in real slices."""

import json
import shutil

import cv2
import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.manifest import read_manifest
from cranium.preparation.hounsfield import combine
from cranium.preparation.plan import Options, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import read_raw
from cranium.preparation.scans import check_scans
from cranium.preparation.source import find_source
from cranium.windows import BRAIN, Window, decode_hu
from tests.conftest import ROOT

SAMPLE = ROOT / 'data/sample'
OF_050 = (Window(29.6, 72.2), Window(498, 1992))


@pytest.fixture
def sample(tmp_path):
    """A copy of some real scans, to be spoilt."""
    for patient in ('050', '066', '071', '081', '094'):
        folder = f'Patients_CT/{patient}'
        shutil.copytree(SAMPLE / folder, tmp_path / 'raw' / folder)
    shutil.copy(SAMPLE / 'hemorrhage_diagnosis.csv', tmp_path / 'raw')
    return tmp_path / 'raw'


def plan_of(raw, **options):
    return make_plan(read_raw(find_source(raw)), Options(folds=2, **options))


def read(raw, member):
    return cv2.imread(str(raw / 'Patients_CT' / member), cv2.IMREAD_GRAYSCALE)


def written(raw, out, **options):
    """Prepare; return images and notes by (patient, slice)."""
    write_plan(plan_of(raw, **options), out)
    rows = read_manifest(out).set_index(['patient', 'slice'])
    images = {
        key: cv2.imread(str(out / image), cv2.IMREAD_UNCHANGED)
        for key, image in rows['image'].items()
    }
    return images, rows['notes']


def test_errata_in_hu(sample, tmp_path):
    images, notes = written(sample, tmp_path / 'out', window='hu')
    expected = combine(read(sample, '050/brain/15.jpg'), read(sample, '050/bone/15.jpg'), *OF_050)
    assert np.array_equal(decode_hu(images['050', 15]), expected)
    assert notes['050', 15] == 'erratum: windows of -6.5 to 65.7 and -498 to 1494 HU'
    expected = combine(read(sample, '081/brain/15.jpg'), read(sample, '081/bone/17.jpg'))
    assert np.array_equal(decode_hu(images['081', 15]), expected)
    assert notes['081', 15] == 'erratum: bone window of slice n+2'
    expected = combine(read(sample, '081/brain/16.jpg'), None)
    assert np.array_equal(decode_hu(images['081', 16]), expected)
    assert notes['081', 16] == (
        'no bone window: saturated at -20 and 100 HU;erratum: bone window of slice n+2'
    )
    expected = combine(read(sample, '066/brain/14.jpg'), read(sample, '066/bone/14.jpg'))
    assert np.array_equal(decode_hu(images['066', 14]), expected)
    assert notes['066', 14] == ''
    scans = json.loads((tmp_path / 'out/dataset.json').read_text())['scans']
    assert list(scans) == ['050', '081']
    assert scans['050']['bone_gray'] == pytest.approx(66.84, abs=0.3)
    assert scans['081']['bone_offset'] == 2
    assert 'an erratum corrects it: Brain window n is' in scans['081']['remark']


def test_errata_in_the_brain_window(sample, tmp_path):
    images, _ = written(sample, tmp_path / 'out', window='brain')
    brain, bone = read(sample, '050/brain/15.jpg'), read(sample, '050/bone/15.jpg')
    assert np.array_equal(images['050', 15], BRAIN.to_gray(combine(brain, bone, *OF_050)))
    assert np.array_equal(images['081', 15], read(sample, '081/brain/15.jpg'))
    assert np.array_equal(images['066', 14], read(sample, '066/brain/14.jpg'))


def test_errata_ignored(sample, tmp_path):
    images, notes = written(sample, tmp_path / 'out', window='hu', errata='ignore')
    expected = combine(read(sample, '050/brain/15.jpg'), read(sample, '050/bone/15.jpg'))
    assert np.array_equal(decode_hu(images['050', 15]), expected)
    assert set(notes) == {''}
    one, other = [line for line in plan_of(sample, errata='ignore').remarks() if line[0] == '0']
    assert one.startswith('050: ') and 'is 66.83 in the bone window (expected 74.25)' in one
    assert 'left as it is, though an erratum tells how: ' in one
    assert other.startswith('081: ') and 'correlation 0.84 (expected 0.98 or more)' in other


def test_an_erratum_is_for_scans_that_show_the_fault(sample, tmp_path):
    """As in other data of the same layout."""
    for patient, other in (('050', '066'), ('081', '071')):
        folder = sample / 'Patients_CT'
        shutil.rmtree(folder / patient)
        (folder / other).rename(folder / patient)
    images, notes = written(sample, tmp_path / 'out', window='brain')
    assert np.array_equal(images['050', 14], read(sample, '050/brain/14.jpg'))
    assert not notes.str.contains('erratum').any()
    remarks = [line for line in plan_of(sample).remarks() if 'erratum' in line]
    assert remarks == [
        f'{patient}: shows no sign of its erratum, which is not applied'
        for patient in ('050', '081')
    ]


def test_another_fault_than_the_known_one(sample):
    """050 with the windows of 081, and 081 with those of 050: neither erratum helps."""
    folder = sample / 'Patients_CT'
    (folder / '050').rename(folder / 'x')
    (folder / '081').rename(folder / '050')
    (folder / 'x').rename(folder / '081')
    plan = plan_of(sample)
    assert [(scan.patient, scan.shown) for scan in plan.scans if not scan.passed] == [
        ('050', False),
        ('081', False),
    ]
    assert not any(note.startswith('erratum') for item in plan.slices for note in item.notes)
    assert any('n+2 fits brain window n' in line for line in plan.remarks())


def test_wrong_scans_that_nobody_knows(sample):
    folder = sample / 'Patients_CT'
    (folder / '050').rename(folder / '150')
    (folder / '081').rename(folder / '181')
    raw = read_raw(find_source(sample))
    one, other = [check for check in check_scans(raw, 127) if not check.passed]
    assert (one.patient, one.bone_offset, other.patient, other.bone_offset) == (
        '150',
        None,
        '181',
        2,
    )
    assert one.remark(True).endswith('or add its windows to cranium/preparation/errata.yaml')
    assert 'bone window n+2 fits brain window n: rename' in other.remark(True)


MASKS = {
    'stored as 0 and 1': (
        lambda mask, brain: (mask > 127).astype(np.uint8),
        r'highest value of the mask is [12],',
    ),
    'inverted': (lambda mask, brain: 255 - mask, r'covers \d+% of the head'),
    'the image': (lambda mask, brain: brain, 'neither black nor white'),
    'empty': (lambda mask, brain: 0 * mask, 'the mask is empty'),
}


@pytest.mark.parametrize(('spoil', 'message'), MASKS.values(), ids=MASKS)
def test_masks_that_cannot_be_hemorrhage(sample, spoil, message):
    paths = sorted(sample.rglob('*_HGE_Seg.jpg'))
    for path in paths:
        brain = cv2.imread(str(path).replace('_HGE_Seg', ''), cv2.IMREAD_GRAYSCALE)
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), spoil(mask, brain))
    with pytest.raises(CraniumError, match=message) as caught:
        plan_of(sample)
    text = str(caught.value)
    assert text.startswith(f'{len(paths)} masks cannot be hemorrhage: {paths[0]}: ')
    assert [str(path) in text for path in paths[:4]] == [True, True, True, False]


def test_one_such_mask_is_enough(sample):
    path = sample / 'Patients_CT/071/brain/12_HGE_Seg.jpg'
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    with pytest.raises(CraniumError, match=f'^{path}: the mask covers'):
        plan_of(sample)
