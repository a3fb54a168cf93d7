import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cranium.errors import CraniumError
from cranium.preparation.splits import AUTHORS_FOLDS, make_splits
from cranium.splits import Case, Splits, count, read_splits


def cases_of(patients: dict[str, str]) -> list[Case]:
    """``{'049': '.x.'}``: three slices of patient 049, the second with hemorrhage."""
    return [
        Case(patient, f'{patient}_{number:03d}', letter == 'x')
        for patient, letters in patients.items()
        for number, letter in enumerate(letters, 1)
    ]


@st.composite
def downloads(draw):
    """Any number of patients and slices, and a number of folds that they can fill."""
    folds = draw(st.integers(2, 6))
    bleeding = draw(st.lists(st.integers(1, 40), min_size=folds, max_size=30))
    clean = draw(st.lists(st.integers(1, 40), max_size=30))
    patients = {}
    for index, slices in enumerate(bleeding + clean):
        first = 'x' if index < len(bleeding) else '.'
        patients[f'{index * 37 % 1009:03d}'] = first + '.' * (slices - 1)
    return cases_of(patients), folds


@settings(max_examples=60, deadline=None)
@given(downloads(), st.integers(0, 2**32 - 1), st.randoms())
def test_patient_folds_are_disjoint_exhaustive_stable_and_bleed(download, seed, random):
    cases, folds = download
    splits = make_splits(cases, 'patient', folds, seed)
    members = [member for fold in splits.folds for member in fold]
    assert sorted(members) == sorted({case.patient for case in cases})
    bleeding = {case.patient for case in cases if case.hemorrhage}
    assert all(bleeding.intersection(fold) for fold in splits.folds)
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert make_splits(shuffled, 'patient', folds, seed) == splits


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_slice_folds_are_disjoint_exhaustive_and_even(slices, folds, seed):
    if slices < folds:
        slices += folds
    cases = cases_of({'049': '.' * slices})
    splits = make_splits(cases, 'slice', folds, seed)
    members = [member for fold in splits.folds for member in fold]
    assert sorted(members) == [case.name for case in cases]
    sizes = [len(fold) for fold in splits.folds]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30, deadline=None)
@given(downloads(), st.integers(0, 2**32 - 1))
def test_no_patient_is_on_both_sides(download, seed):
    cases, folds = download
    splits = make_splits(cases, 'patient', folds, seed)
    for fold in range(folds):
        roles = splits.roles(fold, cases)
        sides = {}
        for case in cases:
            sides.setdefault(case.patient, set()).add(roles[case.name])
        assert all(len(side) == 1 for side in sides.values())
        assert set(roles.values()) == {'train', 'val'}


def test_the_same_seed_gives_the_same_folds_on_every_machine():
    cases = cases_of({f'{n:03d}': 'xx.' if n % 2 else '..' for n in range(49, 61)})
    # Literal: what numpy and scikit-learn must draw wherever this runs.
    expected = (
        ('051', '055', '058', '060'),
        ('050', '052', '053', '057'),
        ('049', '054', '056', '059'),
    )
    assert make_splits(cases, 'patient', 3, seed=0).folds == expected
    assert make_splits(cases, 'patient', 3, seed=1).folds != expected
    seven = cases_of({'049': '.' * 7})
    assert make_splits(seven, 'slice', 2, seed=0).folds == (
        ('049_002', '049_003', '049_004', '049_007'),
        ('049_001', '049_005', '049_006'),
    )


def test_slice_protocol_at_full_size_is_2000_501():
    cases = cases_of({f'{n:03d}': '.' * 30 for n in range(49, 131)})
    cases += cases_of({'999': '.' * 41})
    assert len(cases) == 2501
    roles = list(make_splits(cases, 'slice').roles(0, cases).values())
    assert (roles.count('train'), roles.count('val')) == (2000, 501)


def test_authors_folds_hold_every_patient_once():
    members = [n for fold in AUTHORS_FOLDS for n in fold]
    assert sorted(members) == list(range(82))
    assert [len(fold) for fold in AUTHORS_FOLDS] == [16, 16, 16, 16, 18]


@pytest.fixture
def full_download():
    return cases_of({f'{n:03d}': '.x' for n in range(49, 131)})


def roles_by_patient(splits: Splits, fold: int, cases: list[Case]) -> dict[str, str]:
    roles = splits.roles(fold, cases)
    return {case.patient: roles[case.name] for case in cases}


def test_authors_roles(full_download):
    splits = make_splits(full_download, 'authors')
    roles = roles_by_patient(splits, 2, full_download)
    assert roles['089'] == 'test'  # n = 40 opens the third fold
    assert roles['080'] == 'val'  # n = 31 opens the first
    assert roles['108'] == roles['073'] == roles['084'] == 'train'
    assert list(roles.values()).count('test') == 16
    assert list(roles.values()).count('val') == 15  # without patient 070


@pytest.mark.parametrize('fold', range(5))
def test_patient_070_is_always_trained_on(full_download, fold):
    splits = make_splits(full_download, 'authors')
    assert roles_by_patient(splits, fold, full_download)['070'] == 'train'


def test_authors_test_each_patient_once_but_for_070(full_download):
    splits = make_splits(full_download, 'authors')
    tested = [
        patient
        for fold in range(5)
        for patient, role in roles_by_patient(splits, fold, full_download).items()
        if role == 'test'
    ]
    assert sorted([*tested, '070'], key=int) == [f'{n:03d}' for n in range(49, 131)]


def test_authors_first_fold_validates_on_the_second(full_download):
    roles = roles_by_patient(make_splits(full_download, 'authors'), 0, full_download)
    assert (roles['080'], roles['108'], roles['089']) == ('test', 'val', 'train')


def test_authors_in_a_download_without_their_first_fold(full_download):
    first = {f'{n + 49:03d}' for n in AUTHORS_FOLDS[0]}
    partial = [case for case in full_download if case.patient not in first]
    splits = make_splits(partial, 'authors')
    assert list(splits.missing(partial)) == [0]
    assert len(splits.missing(partial)[0]) == 16
    roles = roles_by_patient(splits, 1, partial)
    assert (roles['108'], roles['089'], roles['073']) == ('test', 'val', 'train')
    with pytest.raises(
        CraniumError, match=r'fold 0 has no slice in this download; choose --fold from 1, 2'
    ):
        splits.roles(0, partial)


def test_too_few_patients_with_hemorrhage():
    with pytest.raises(CraniumError, match=r'5 folds need .* here are 2; use --folds 2'):
        make_splits(cases_of({'1': 'x', '2': 'x', '3': '.', '4': '.'}), 'patient')


def test_count():
    assert count(cases_of({'049': '.xx', '050': '..', '051': 'x'})) == {
        'patients': 3,
        'slices': 6,
        'hemorrhage_patients': 2,
        'hemorrhage_slices': 3,
    }


def test_a_written_file_can_be_edited_and_read(tmp_path):
    cases = cases_of({'049': '.x', '050': 'x', '051': '..', '052': 'x'})
    splits = make_splits(cases, 'patient', 2, seed=3)
    path = tmp_path / 'splits.json'
    path.write_text(splits.to_json(cases))
    assert read_splits(path) == splits
    content = json.loads(path.read_text())
    assert {'protocol', 'seed', 'versions', 'folds'} == set(content)
    assert sum(fold['slices'] for fold in content['folds']) == 6
    small, large = sorted(content['folds'], key=lambda fold: len(fold['members']))
    moved = large['members'].pop()
    small['members'].append(moved)
    path.write_text(json.dumps(content))
    roles = read_splits(path).roles(small['fold'], cases)
    assert {roles[case.name] for case in cases if case.patient == moved} == {'val'}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'not a splits file'),
        ('[]', 'not a splits file'),
        ('{"protocol": "patient"}', 'not a splits file'),
        ('{"protocol": "patient", "folds": [{"members": [49]}, {"members": [[]]}]}', 'not a list'),
        ('{"protocol": "patient", "folds": [{"members": "049"}, {"members": "1"}]}', 'not a list'),
        ('{"protocol": "best", "folds": []}', "no protocol 'best'; choose from patient"),
        ('{"protocol": "patient", "folds": [{"members": ["049"]}]}', '1 fold; at least 2'),
        (
            '{"protocol": "patient", "folds": [{"members": ["049"]}, {"members": ["049"]}]}',
            '049 is in two folds',
        ),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / 'splits.json'
    path.write_text(text)
    with pytest.raises(CraniumError, match=message) as caught:
        read_splits(path)
    assert str(path) in str(caught.value)


def test_a_patient_in_no_fold():
    splits = Splits('patient', (('049',), ('050',)))
    with pytest.raises(CraniumError, match=r'051 is in no fold'):
        splits.roles(0, cases_of({'049': 'x', '050': '.', '051': '.'}))
