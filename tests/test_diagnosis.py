import pytest

from cranium.diagnosis import read_diagnosis, read_table
from cranium.errors import CraniumError

HEADER = (
    'PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,'
    'No_Hemorrhage,Fracture_Yes_No\n'
)
GOOD = HEADER + '49,1,0,0,0,0,0,1,0\n'


def test_a_row_per_slice(tmp_path):
    file = tmp_path / 'hemorrhage_diagnosis.csv'
    rows = (
        '49,1,0,0,0,0,0,1,0\n\n1050, 1000 ,0,1,0,0,1,0,1\n50,3,0,0,0,1,0,1,0\n51,3,0,0,0,0,0,0,0\n'
    )
    file.write_text('\ufeff' + HEADER + rows, encoding='utf-8')
    assert read_diagnosis(file).to_dict('records') == [
        {'patient': '049', 'slice': 1, 'types': '', 'hemorrhage': False, 'fracture': False},
        {
            'patient': '1050',
            'slice': 1000,
            'types': 'Intraparenchymal+Subdural',
            'hemorrhage': True,
            'fracture': True,
        },
        # A type wins over `No_Hemorrhage`.
        {'patient': '050', 'slice': 3, 'types': 'Epidural', 'hemorrhage': True, 'fracture': False},
        {'patient': '051', 'slice': 3, 'types': '', 'hemorrhage': True, 'fracture': False},
    ]
    assert read_diagnosis(file.read_bytes()).equals(read_diagnosis(file))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'x.csv: no rows'),
        (HEADER.encode(), 'x.csv: no rows'),
        (b'\xff\xfe\x00', 'x.csv: not a CSV in UTF-8'),
        (GOOD.encode() + b'"49', 'x.csv: not a CSV in UTF-8'),
        (GOOD.replace('Epidural', 'Extradural').encode(), 'x.csv: no column Epidural'),
        (GOOD.replace(',', ';').encode(), 'x.csv: no column PatientNumber, SliceNumber'),
        (GOOD.replace('49,1,', '49,one,').encode(), "line 2: SliceNumber is 'one', not a number"),
        (GOOD.replace('49,1,', f'49,{9**99},').encode(), 'line 2: SliceNumber is .*, not a number'),
        (GOOD.replace('1,0\n', '2,0\n').encode(), "line 2: No_Hemorrhage is '2', neither 0 nor 1"),
        ((GOOD + '\n049,1,0,0,0,0,0,1,0\n').encode(), 'line 4: a second row for slice 1 of 049'),
        ((GOOD + '49,2,0\n').encode(), "line 3: Intraparenchymal is '', neither 0 nor 1"),
    ],
)
def test_bad_files(content, message):
    with pytest.raises(CraniumError, match=message) as caught:
        read_diagnosis(content, 'x.csv')
    assert '\n' not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(CraniumError, match=r'x\.csv: cannot be read \(No such file'):
        read_diagnosis(tmp_path / 'x.csv')


def test_a_line_break_in_the_header():
    cells = read_table(b'"Patient Number","Age\n(years)"\n49,35\n', 'x.csv', ['Age (years)'])
    assert cells['Age (years)'].to_dict() == {3: '35'}
    cells = read_table(b'a,b\n\n1,"2\n3"\n4,5\n', 'x.csv', ['a'])
    assert cells['a'].to_dict() == {3: '1', 5: '4'}
