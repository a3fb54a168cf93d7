"""Trees of a cross-validation."""

import json
import shutil

import pytest

from cranium.preparation import folds
from cranium.preparation.check import check_tree
from cranium.preparation.errors import DataError
from cranium.preparation.plan import Options
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source
from cranium.preparation.tree import link_file


@pytest.fixture
def raw(raw_tree):
    return read_raw(find_source(raw_tree.root))


@pytest.fixture
def work(raw, tmp_path):
    """A folder with the split file of three folds."""
    work = tmp_path / 'work'
    folds.write_folds(folds.make_folds(raw, 'patient', 3), raw, work / 'splits.json')
    return work


def prepare(raw, work, fold, others=(), **options):
    given = Options(splits_file=work / 'splits.json', fold=fold, **options)
    return folds.prepare_fold(raw, given, work / f'fold_{fold}' / 'data', others)


def patients_in(tree, split):
    return {path.name[:3] for path in (tree / 'images' / split).iterdir()}


def files_in(tree):
    return {(path.parts[-3], path.name): path for path in tree.glob('*/*/*.png')}


def test_each_fold_tests_its_members_and_trains_on_all_others(raw, work):
    content = json.loads((work / 'splits.json').read_text())
    for fold in content['folds']:
        prepare(raw, work, fold['fold'])
        tree = work / f'fold_{fold["fold"]}' / 'data'
        assert patients_in(tree, 'test') == set(fold['members'])
        assert patients_in(tree, 'train') == {'049', '050', '051', '052', '053'} - set(
            fold['members']
        )
        assert not (tree / 'images/val').exists() and not list(check_tree(tree))


def test_images_are_linked_from_another_fold_of_this_or_another_seed(raw, work):
    first, second = work / 'fold_0/data', work / 'fold_1/data'
    assert prepare(raw, work, 0) == {'written': 15}
    assert prepare(raw, work, 1, [first]) == {'linked': 15}
    assert len(files_in(second)) == 30
    assert all(path.samefile(files_in(first)[name]) for name, path in files_in(second).items())
    assert not list(check_tree(first)) and not list(check_tree(second))
    seed = work / 'seed_1'
    seed.mkdir()
    shutil.copy(work / 'splits.json', seed)
    assert prepare(raw, seed, 2, [first, second]) == {'linked': 15}


def test_a_tree_that_does_not_fit_is_not_linked_from(raw, work, tmp_path):
    prepare(raw, work, 0, window='bone')
    assert prepare(raw, work, 1, [work / 'fold_0/data']) == {'written': 15}
    other = tmp_path / 'other'
    folds.write_folds(folds.make_folds(raw, 'patient', 2), raw, other / 'splits.json')
    assert prepare(raw, other, 0, [tmp_path / 'none', work / 'fold_1/data']) == {'written': 15}


def test_a_second_time_nothing_is_done(raw, work):
    prepare(raw, work, 0)
    tree = work / 'fold_0/data'
    before = {path: path.stat().st_mtime_ns for path in tree.rglob('*')}
    assert prepare(raw, work, 0) == {'linked': 15}
    assert {path: path.stat().st_mtime_ns for path in tree.rglob('*')} == before


@pytest.mark.parametrize('moment', ['links', 'all linked'])
def test_a_run_killed_while_it_linked_is_done_again(raw, work, monkeypatch, moment):
    prepare(raw, work, 0)
    first, second = work / 'fold_0/data', work / 'fold_1/data'
    linked = []

    def killed(*paths, **kwargs):
        if moment == 'all linked' or len(linked) == 3:
            raise KeyboardInterrupt
        linked.append(paths)
        link_file(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(folds, 'link_file' if moment == 'links' else 'write_plan', killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(raw, work, 1, [first])
    assert prepare(raw, work, 1, [first]) == {'linked': 15}
    members = json.loads((work / 'splits.json').read_text())['folds'][1]['members']
    assert patients_in(second, 'test') == set(members)
    assert not list(check_tree(second)) and not list(check_tree(first))
    assert [path.name for path in (work / 'fold_1').iterdir()] == ['data']


def test_a_tree_that_moves_while_it_is_linked_is_not_needed(raw, work):
    prepare(raw, work, 0)
    next((work / 'fold_0/data').glob('images/*/*')).unlink()
    assert prepare(raw, work, 1, [work / 'fold_0/data']) == {'written': 15}


def test_other_images_or_folds_in_the_place_are_refused(raw, work):
    prepare(raw, work, 0)
    with pytest.raises(DataError, match=r'fold_0/data: prepared with another window or other fol'):
        prepare(raw, work, 0, window='bone')
    with pytest.raises(DataError, match='other folds, made with another --split or --folds'):
        folds.write_folds(folds.make_folds(raw, 'patient', 2), raw, work / 'splits.json')


def test_the_same_folds_by_other_versions_are_the_same(raw, work):
    file = work / 'splits.json'
    content = json.loads(file.read_text())
    prepare(raw, work, 0)
    file.write_text(json.dumps(content | {'versions': {'numpy': '9'}}))
    folds.write_folds(folds.make_folds(raw, 'patient', 3), raw, file)
    assert json.loads(file.read_text())['versions'] == {'numpy': '9'}  # it stays as it is
    assert folds.same_folds(work / 'fold_0/data', file)
    content['folds'][0]['members'].append('099')
    file.write_text(json.dumps(content))
    assert not folds.same_folds(work / 'fold_0/data', file)


def test_authors_folds_of_a_partial_download(raw_tree, tmp_path):
    # Patients 49 to 53 are n = 0 to 4; 70 is the one that the authors never test.
    raw_tree.add(70, 1, bleeds=True)
    raw_tree.write_csv()
    raw = read_raw(find_source(raw_tree.root))
    splits = folds.make_folds(raw, 'authors')
    # n = 0 is in the fourth fold, 2 in the first, 4 in the third, 1 and 3 in the last; 70 (n = 21)
    # is in the first.
    assert folds.present_folds(splits, raw) == [0, 2, 3, 4]
    folds.write_folds(splits, raw, tmp_path / 'splits.json')
    prepare(raw, tmp_path, 0)
    assert patients_in(tmp_path / 'fold_0/data', 'test') == {'051'}
    assert '070' in patients_in(tmp_path / 'fold_0/data', 'train')
    everyone = folds.read_folds(tmp_path / 'splits.json')
    assert [fold.present for fold in everyone] == [2, 0, 1, 1, 2]
    assert folds.describe_gaps(everyone) == [
        '76 of the 82 patients of the folds are not in the download.'
    ]
    with pytest.raises(DataError, match='fold 1 has no slice in this download'):
        prepare(raw, tmp_path, 1)


def test_a_fold_that_holds_only_patient_070_has_nobody_to_test(raw_tree, tmp_path):
    shutil.rmtree(raw_tree.root / 'Patients_CT/051')
    raw_tree.add(70, 1, bleeds=True)
    raw_tree.write_csv()
    raw = read_raw(find_source(raw_tree.root))
    splits = folds.make_folds(raw, 'authors')
    assert folds.present_folds(splits, raw) == [2, 3, 4]
    folds.write_folds(splits, raw, tmp_path / 'splits.json')
    with pytest.raises(DataError, match='fold 0: no slice to test with'):
        prepare(raw, tmp_path, 0)


def test_no_gaps_in_folds_that_were_drawn(raw, work):
    assert folds.describe_gaps(folds.read_folds(work / 'splits.json')) == []


def test_a_file_that_is_none_of_a_cross_validation(tmp_path):
    file = tmp_path / 'splits.json'
    file.write_text('{"protocol": "patient", "folds": [{"members": ["1"]}, {"members": ["2"]}]}')
    with pytest.raises(DataError, match='not the split file of a cross-validation'):
        folds.read_folds(file)
