import numpy as np
import pytest

from cranium.errors import CraniumError
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.slices import BACKGROUND, MASKED, UNLABELLED
from tests.test_preparation.conftest import DEMOGRAPHICS


def read(raw_tree):
    return read_raw(find_source(raw_tree.root))


def slice_of(raw, name):
    return next(item for item in raw.slices if item.name == name)


def test_a_good_download(raw_tree):
    raw = read(raw_tree)
    assert [item.name for item in raw.slices[:4]] == ['049_001', '049_002', '049_004', '050_001']
    bleeding = slice_of(raw, '049_002')
    assert bleeding.label == MASKED
    assert bleeding.brain == 'Patients_CT/049/brain/2.jpg'
    assert bleeding.bone == 'Patients_CT/049/bone/2.jpg'
    assert bleeding.mask == 'Patients_CT/049/brain/2_HGE_Seg.jpg'
    assert bleeding.types == 'Intraparenchymal+Subdural'
    assert slice_of(raw, '049_001').label == BACKGROUND
    assert [item.notes for item in raw.slices] == [()] * 15
    assert (raw.rows_without_image, raw.unknown_files) == (0, ())


def test_demographics_with_a_line_break_in_the_header(raw_tree):
    assert read(raw_tree).people == {
        '049': (35.0, 'Male'),
        '050': (0.5, 'Female'),
        '051': (pytest.approx(np.nan, nan_ok=True), ''),
    }


def test_demographics_may_be_absent(raw_tree):
    (raw_tree.root / 'patient_demographics.csv').unlink()
    assert read(raw_tree).people == {}


def test_slices_and_patients_in_the_order_of_numbers(raw_tree):
    raw_tree.add(49, 10, bleeds=False)
    raw_tree.add(1000, 1, bleeds=False)
    raw_tree.write_csv()
    names = [item.name for item in read(raw_tree).slices]
    assert names[:4] == ['049_001', '049_002', '049_004', '049_010']
    assert names[-1] == '1000_001'


def test_upper_case_suffixes_and_names(raw_tree):
    folder = raw_tree.root / 'Patients_CT/049/brain'
    (folder / '1.jpg').rename(folder / '1.JPG')
    (folder / '2_HGE_Seg.jpg').rename(folder / '2_HGE_SEG.JPEG')
    raw = read(raw_tree)
    assert slice_of(raw, '049_001').brain.endswith('1.JPG')
    assert slice_of(raw, '049_002').label == MASKED


@pytest.mark.parametrize(
    'name',
    [
        'Patients_CT/.DS_Store',
        'Patients_CT/049/brain/._1.jpg',
        'Patients_CT/049/brain/Thumbs.db',
        'Patients_CT/049/desktop.ini',
        'Patients_CT/__MACOSX/049/brain/1.jpg',
    ],
)
def test_litter_of_macos_and_windows_is_ignored(raw_tree, name):
    raw_tree.write(name, b'litter')
    raw = read(raw_tree)
    assert len(raw.slices) == 15
    assert raw.unknown_files == ()


def test_files_that_are_no_slices_are_reported(raw_tree):
    raw_tree.write('Patients_CT/049/brain/1 (1).jpg', b'x')
    raw_tree.write('Patients_CT/049/bone/7.jpg', b'x')  # no brain window
    unknown = read(raw_tree).unknown_files
    assert unknown == ('Patients_CT/049/bone/7.jpg', 'Patients_CT/049/brain/1 (1).jpg')


def test_a_slice_without_bone(raw_tree):
    (raw_tree.root / 'Patients_CT/053/bone/4.jpg').unlink()
    item = slice_of(read(raw_tree), '053_004')
    assert (item.bone, item.label, item.notes) == (None, BACKGROUND, ('no bone window',))


def test_hemorrhage_without_a_mask_is_not_background(raw_tree):
    (raw_tree.root / 'Patients_CT/049/brain/2_HGE_Seg.jpg').unlink()
    assert slice_of(read(raw_tree), '049_002').label == UNLABELLED


def test_an_image_without_a_row_is_not_background(raw_tree):
    del raw_tree.rows[53, 4], raw_tree.rows[49, 2]
    raw_tree.write_csv()
    raw = read(raw_tree)
    assert slice_of(raw, '053_004').label == UNLABELLED
    assert 'no row in the diagnosis' in slice_of(raw, '053_004').notes
    assert slice_of(raw, '049_002').label == MASKED  # its mask is label enough


def test_a_row_without_an_image(raw_tree):
    raw_tree.rows[60, 1] = '0,0,0,0,0,1,0'
    raw_tree.write_csv()
    assert read(raw_tree).rows_without_image == 1


def test_a_mask_on_a_slice_called_clean(raw_tree):
    raw_tree.rows[49, 2] = '0,0,0,0,0,1,0'
    raw_tree.write_csv()
    item = slice_of(read(raw_tree), '049_002')
    assert item.label == MASKED
    assert item.notes == ('mask on a slice that the diagnosis calls clean',)


def test_a_type_beats_no_hemorrhage(raw_tree):
    raw_tree.rows[53, 1] = '0,0,0,1,0,1,0'
    raw_tree.write_csv()
    assert slice_of(read(raw_tree), '053_001').label == UNLABELLED


def test_a_mask_of_another_size_is_not_used(raw_tree, encode_jpeg):
    mask = encode_jpeg(np.zeros((8, 12), np.uint8))
    for number in (1, 2):  # the diagnosis calls the first one clean
        raw_tree.write(f'Patients_CT/049/brain/{number}_HGE_Seg.jpg', mask)
        item = slice_of(read(raw_tree), f'049_00{number}')
        assert (item.label, item.mask) == (UNLABELLED, None)
        assert 'mask of 12 x 8 on an image of 16 x 16' in item.notes


def test_two_files_for_one_slice(raw_tree):
    raw_tree.write('Patients_CT/49/brain/1.jpg', b'x')
    with pytest.raises(CraniumError, match=r'the same slice as .*; keep one'):
        read(raw_tree)


def test_no_slices(raw_tree, tmp_path):
    (tmp_path / 'other/Patients_CT').mkdir(parents=True)
    (raw_tree.root / 'hemorrhage_diagnosis.csv').rename(tmp_path / 'other/hemorrhage_diagnosis.csv')
    with pytest.raises(CraniumError, match=r'holds no <patient>/brain/<slice>.jpg'):
        read_raw(find_source(tmp_path / 'other'))


def test_no_diagnosis(raw_tree):
    (raw_tree.root / 'hemorrhage_diagnosis.csv').unlink()
    with pytest.raises(CraniumError, match=r'hemorrhage_diagnosis\.csv is missing; put it beside'):
        read(raw_tree)


def test_a_bad_diagnosis_is_named(raw_tree):
    raw_tree.rows[53, 1] = '0,0,0,2,0,1,0'
    raw_tree.write_csv()
    with pytest.raises(
        CraniumError, match=r"raw/hemorrhage_diagnosis\.csv, line 14: Epidural is '2'"
    ):
        read(raw_tree)


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('x,1,"Male",', ", line 3: Patient Number is 'x', not a number"),
        *(
            (f'50,1,"Male",\n49,{age},"Male",', f", line 4: '{age}' is no age in years; correct it")
            for age in ('old', 'nan', 'inf', '-5', '200', '1e1')
        ),
        ('49,35,"Male",\n50,1,,\n049,3,"Male",', ': lines 3 and 5 differ on one patient; keep one'),
        ('49,35,"Male","a\nb"\n49,35,"Female",', ': lines 3 and 5 differ on one patient'),
    ],
)
def test_bad_demographics(raw_tree, rows, message):
    text = f'"Patient Number","Age\n(years)","Gender","Note"\n{rows}\n'
    raw_tree.write('patient_demographics.csv', text.encode())
    with pytest.raises(CraniumError, match=f'patient_demographics.csv{message}'):
        read(raw_tree)


def test_the_same_row_twice(raw_tree):
    raw_tree.write('patient_demographics.csv', (DEMOGRAPHICS + '49,35,"Male",\n').encode())
    assert read(raw_tree).people['049'] == (35.0, 'Male')


def test_demographics_in_latin_1(raw_tree):
    path = raw_tree.write(
        'patient_demographics.csv', DEMOGRAPHICS.replace('e",', 'é",').encode('latin-1')
    )
    raw = read(raw_tree)
    assert raw.people['049'] == (35.0, 'Malé')
    assert raw.remarks == (f'{path}: not in UTF-8; read as Latin-1',)


@pytest.mark.parametrize(
    ('pattern', 'new'), [('_HGE_Seg.jpg', '_mask.jpg'), ('_HGE_Seg.jpg', '_HGE_Seg.png')]
)
def test_masks_of_unknown_names(raw_tree, pattern, new):
    for path in raw_tree.root.rglob(f'*{pattern}'):
        path.rename(path.with_name(path.name.replace(pattern, new)))
    message = (
        rf'3 slices need a mask, and none has one \(seen, but not understood: '
        rf'Patients_CT/049/brain/2{new}, Patients_CT/050/brain/2{new} and 1 more\); masks are '
        'named as Patients_CT/049/brain/14_HGE_Seg.jpg'
    )
    with pytest.raises(CraniumError, match=message):
        read(raw_tree)


def test_images_of_unknown_names(raw_tree):
    for path in raw_tree.root.rglob('*.jpg'):
        path.rename(path.with_suffix('.png'))
    message = (
        r'no <patient>/brain/<slice>\.jpg .*understood: Patients_CT/049/bone/1\.png, .* 31 more'
    )
    with pytest.raises(CraniumError, match=message):
        read(raw_tree)
