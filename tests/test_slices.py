import pytest

from cranium.errors import CraniumError
from cranium.slices import (
    join_types,
    parse_slice_name,
    patient_name,
    slice_name,
    split_types,
)


@pytest.mark.parametrize(
    ('patient', 'name'), [(49, '049'), ('49', '049'), (1050, '1050'), ('A-7', 'A-7'), ('²', '²')]
)
def test_patients(patient, name):
    assert patient_name(patient) == name


@pytest.mark.parametrize(
    ('file', 'parts'),
    [
        ('049_021.png', ('049', 21)),
        ('images/val/49_21.nii.gz', ('049', 21)),
        ('1050_1000', ('1050', 1000)),
        ('A-7_003.png', ('A-7', 3)),
    ],
)
def test_what_is_written_is_read(file, parts):
    assert parse_slice_name(file) == parts
    assert parse_slice_name(slice_name(*parts)) == parts


@pytest.mark.parametrize('file', ['049.png', '049_a.png', '049_001_0000.png', '_1.png', '049_²'])
def test_other_names(file):
    with pytest.raises(CraniumError, match=f'{file}: expected a name of the form'):
        parse_slice_name(file)


def test_types():
    assert join_types(['Epidural', 'Subdural']) == 'Epidural+Subdural'
    assert split_types('Epidural+Subdural') == ('Epidural', 'Subdural')
    assert split_types(join_types([])) == ()
