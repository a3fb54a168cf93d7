"""Where figures come from, and the warnings that follow."""

import hashlib

import pytest

from cranium.evaluation import provenance


@pytest.fixture
def tree(tmp_path):
    (tmp_path / 'splits.json').write_text('{"protocol": "patient"}')
    return tmp_path


def config(tree, test='val'):
    def loader(split):
        where = {'data_root': str(tree), 'data_prefix': {'img_path': f'images/{split}'}}
        return {'dataset': {'type': 'RepeatDataset', 'dataset': where}}

    return {
        'work_dir': 'work_dirs/unet',
        'val_dataloader': loader('val'),
        'test_dataloader': loader(test),
    }


def test_file_hash(tmp_path):
    (tmp_path / 'x').write_bytes(b'abc' * 10**6)
    expected = hashlib.sha256(b'abc' * 10**6).hexdigest()
    assert provenance.describe_file(tmp_path / 'x')['sha256'] == expected


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(provenance, 'PACKAGES', ('numpy', 'surely-not-installed'))
    assert set(provenance.versions()) == {'python', 'numpy'}


def test_unseen_patients(tree):
    about = provenance.describe_run(config(tree), {'051'}, {'training_patients': ['049', '050']})
    assert about['trained_on'] == [] and about['protocol'] == 'patient'
    assert about['data'] == str(tree / 'images/val') and about['experiment']['name'] == 'unet'
    assert provenance.warnings(about) == []


@pytest.mark.parametrize('folder', ['', '/test', '/test-alone'])
def test_a_test_is_called_after_its_training(tree, folder):
    run = config(tree) | {'work_dir': f'work_dirs/unet{folder}'}
    assert provenance.describe_run(run, ())['experiment']['name'] == 'unet'
    assert provenance.describe_run({'work_dir': None}, ())['experiment']['name'] is None


def test_slices_that_were_tested_alone(tree):
    run = config(tree)
    assert provenance.describe_run(run, ())['alone'] is False
    run['test_dataloader']['dataset']['dataset']['pipeline'] = [{'type': 'LoadScan', 'alone': True}]
    about = provenance.describe_run(run, (), {'training_patients': []})
    assert about['alone'] is True
    (warning,) = provenance.warnings(about)
    assert warning.startswith('Each slice was tested as if its scan had no other')


def test_tested_on_training_patients(tree):
    about = provenance.describe_run(config(tree), {'049', '051'}, {'training_patients': ['051']})
    assert about['trained_on'] == ['051']
    assert '1 of the tested patients were also trained on (051)' in provenance.warnings(about)[0]


@pytest.mark.parametrize('training', [None, {'version': '0.1'}])
def test_unknown_is_none_and_not_empty(tree, training):
    about = provenance.describe_run(config(tree), {'051'}, training)
    assert about['trained_on'] is None
    (warning,) = provenance.warnings(about)
    assert 'could not be told: the checkpoint does not name its training patients' in warning


def test_what_the_checkpoint_is_of_is_kept(tree):
    (tree / 'a.pth').write_bytes(b'x')
    made = {'commit': 'abc', 'data_sha256': 'd', 'training_patients': []}
    about = provenance.describe_run({'load_from': str(tree / 'a.pth')}, (), made)
    kept = {key: about['checkpoint'][key] for key in ('commit', 'data_sha256')}
    assert kept == {'commit': 'abc', 'data_sha256': 'd'}


def test_what_a_results_table_says_of_an_experiment():
    config = {
        'work_dir': './work_dirs/unet_1',
        'model': {'backbone': {'type': 'UNet'}},
        'img_scale': (128, 96),
        'optim_wrapper': {'optimizer': {'lr': 0.01}},
    }
    expected = {'name': 'unet_1', 'backbone': 'UNet', 'crop_size': '128x96', 'lr': 0.01}
    assert provenance.describe_run(config, ())['experiment'] == expected
    preprocessor = {'data_preprocessor': {'size': (64, 64)}}
    sized = provenance.describe_run(config | {'model': preprocessor}, ())['experiment']
    assert (sized['backbone'], sized['crop_size']) == (None, '64x64')
    aligned = provenance.describe_run(config | {'align': {'size': (192, 160)}}, ())
    assert aligned['experiment']['crop_size'] == '192x160'


def test_a_checkpoint_chosen_on_the_tested_data(tree):
    best = {'load_from': 'best_dice.pth'}
    on_val = provenance.describe_run(config(tree) | best, ())
    on_test = provenance.describe_run(config(tree, test='test') | best, ())
    last = provenance.describe_run(config(tree) | {'load_from': 'iter_20000.pth'}, ())
    assert [about['chosen_on_test'] for about in (on_val, on_test, last)] == [True, False, False]
    assert 'flatter' in provenance.warnings(on_val)[-1]


@pytest.mark.parametrize('text', [None, '', '[]', '{'])
def test_a_split_that_is_not_known(tree, text):
    (tree / 'splits.json').unlink()
    if text is not None:
        (tree / 'splits.json').write_text(text)
    split = provenance.describe_split(tree)
    assert split['protocol'] is None
    assert 'protocol is not known' in provenance.warnings(split)[0]


def test_slice_split():
    assert 'inflated' in provenance.warnings({'protocol': 'slice'})[0]


def test_without_any_config():
    about = provenance.describe_run({}, {'049'})
    assert about['checkpoint'] is None and about['trained_on'] is None
    assert not about['chosen_on_test']


def test_folders_of_a_prepared_tree(tree):
    about = provenance.describe_folders('predictions', tree / 'masks/val')
    assert about['protocol'] == 'patient' and about['prediction'] == 'predictions'
