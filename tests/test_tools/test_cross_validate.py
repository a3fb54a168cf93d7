"""tools/cross_validate.py as typed: two tiny folds trained, interrupted, resumed and pooled."""

import csv
import fcntl
import json
import runpy
import shutil
import signal
import subprocess
import sys
import time

import pytest

from cranium.evaluation import cross_validation, results
from tests.conftest import QUICKSTART, ROOT
from tests.test_preparation.conftest import RawTree

from .commands import TOOLS, call

# It trains slowly where it is told to, so that there is time to interrupt it.
PAUSE = """
import os
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class Pause(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        while runner.iter == 2 and Path(os.environ['PAUSE']).exists():
            time.sleep(0.05)
"""

CONFIG = f"""
_base_ = ['{QUICKSTART}']
custom_imports = dict(imports=[*_base_.custom_imports.imports, 'pause'])
custom_hooks = [dict(type='Pause')]
model = dict(backbone=dict(base_channels=2), decode_head=dict(in_channels=2, channels=2))
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
train_cfg = dict(max_iters=4)
default_hooks = dict(checkpoint=dict(interval=1))
"""


class Setting:
    """Folders and arguments of a cross-validation."""

    def __init__(self, root):
        self.root = root
        self.config = root / 'tiny.py'
        self.work = root / 'work'
        self.pause = root / 'pause'

    @property
    def arguments(self):
        source = ('--source', self.root / 'raw', '--split', 'patient', '--folds', '2')
        return [*map(str, (self.config, *source, '--work-dir', self.work))]


def interrupt(setting):
    """Send Ctrl-C to a run when its first fold has saved two iterations."""
    setting.pause.touch()
    last = setting.work / 'fold_0/last_checkpoint'
    with open(setting.root / 'interrupted', 'w') as output:
        run = subprocess.Popen(
            [sys.executable, TOOLS / 'cross_validate.py', *setting.arguments],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 600
        while not last.exists() or 'iter_2' not in last.read_text():
            assert time.monotonic() < deadline and run.poll() is None, output.name
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        status = run.wait(120)
    finally:
        setting.pause.unlink()
        run.terminate()
        run.wait()
    return status


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """A cross-validation that was interrupted and called again; what it then said."""
    setting = Setting(tmp_path_factory.mktemp('cross'))
    RawTree(setting.root / 'raw')
    setting.config.write_text(CONFIG)
    (setting.root / 'pause.py').write_text(PAUSE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(setting.root))
        patch.setenv('PAUSE', str(setting.pause))
        setting.status = interrupt(setting)
        with open(setting.work / 'fold_0/.cross_validate.lock') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody is at work any more
        again = call('cross_validate', *setting.arguments)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    setting.said = again.stdout
    return setting


@pytest.fixture
def here(monkeypatch, capfd):
    """Run the command in this process, which is faster, and in which mim can be replaced."""

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, 'argv', ['cross_validate.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOLS / 'cross_validate.py'), run_name='__main__')
        said = capfd.readouterr()
        assert ended.value.code == status, said.err
        return said.err if status else said.out

    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    return run


@pytest.fixture
def copy(done, tmp_path):
    """The same, to break."""
    setting = Setting(tmp_path)
    setting.config = done.config
    (tmp_path / 'raw').symlink_to(done.root / 'raw')
    shutil.copytree(done.work, setting.work)
    return setting


def summary_of(folder):
    return json.loads((folder / 'summary.json').read_text())


def commands_in(log):
    """What mim was told, a line each."""
    return [line for line in log.read_text().splitlines() if line.startswith('$ ')]


@pytest.mark.slow
def test_an_interrupted_fold_goes_on_where_it_was(done):
    assert done.status == 130
    assert (done.root / 'interrupted').read_text().endswith('cross_validate.py: interrupted\n')
    assert 'fold 0 (1 of 2): training, from ' in done.said
    assert 'resumed epoch: 0, iter: 2' in done.said
    assert 'fold 1 (2 of 2): training, from scratch' in done.said
    first, second, test = commands_in(done.work / 'fold_0/cross_validate.log')
    assert 'mim train' in first and '--resume' not in first
    assert 'mim train' in second and '--resume' in second
    assert 'mim test' in test and 'iter_4.pth' in test


@pytest.mark.slow
def test_folds_share_their_images_and_validate_nothing(done):
    trees = [done.work / f'fold_{fold}/data' for fold in (0, 1)]
    for tree in trees:
        assert sorted(path.name for path in (tree / 'images').iterdir()) == ['test', 'train']
    first, second = ({p.name: p for p in tree.glob('images/*/*')} for tree in trees)
    assert len(first) == 15 and all(path.samefile(second[name]) for name, path in first.items())
    assert not list(done.work.glob('fold_*/best_*'))
    assert 'Iter(val)' not in done.said


@pytest.mark.slow
def test_each_fold_tells_its_origin(done):
    tested = []
    for fold in (0, 1):
        about = summary_of(done.work / f'fold_{fold}/test/evaluation')
        assert about['provenance']['protocol'] == 'patient'
        assert about['provenance']['trained_on'] == []
        assert about['provenance']['chosen_on_test'] is False
        assert about['provenance']['checkpoint']['file'].endswith(f'fold_{fold}/iter_4.pth')
        for unwanted in ('chosen as the best', 'trained on', 'protocol'):
            assert not any(unwanted in warning for warning in about['warnings'])
        records = results.read_results(done.work / f'fold_{fold}/test/evaluation').records
        tested += sorted({record.patient for record in records})
    assert sorted(tested) == ['049', '050', '051', '052', '053']


@pytest.mark.slow
def test_the_pool_is_one_evaluation_of_all_slices(done):
    folders = [done.work / f'fold_{fold}/test/evaluation' for fold in (0, 1)]
    records = [r for folder in folders for r in results.read_results(folder).records]
    pooled = results.read_results(done.work / 'pooled')
    assert repr(pooled.figures) == repr(results.evaluate(records).figures)
    assert pooled.cases['patients'] == 5 and pooled.cases['slices'] == 15
    assert pooled.provenance['folds'] == [0, 1] and pooled.provenance['missing_folds'] == []
    assert pooled.provenance['experiment']['name'] == 'tiny'
    assert not any('folds' in warning for warning in pooled.warnings)
    with open(done.work / 'pooled/patients.csv', newline='') as file:
        patients = [row['patient'] for row in csv.DictReader(file)]
    assert patients == ['049', '050', '051', '052', '053']
    assert results.format_table(pooled.figures) in done.said


@pytest.mark.slow
def test_finished_folds_are_skipped(copy, here):
    said = here(*copy.arguments)
    assert said.startswith('fold 0 (1 of 2): finished\nfold 1 (2 of 2): finished\nfigure')
    assert len(commands_in(copy.work / 'fold_0/cross_validate.log')) == 3


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (['--cfg-options', 'optim_wrapper.optimizer.lr=0.5'], 'lr 0.0035, now it is 0.5'),
        (['--window', 'bone'], "window 'brain', now it is 'bone'"),
        (['--seed', '3'], 'randomness.seed 0, now it is 3'),
        (['--launcher', 'pytorch', '--gpus', '2'], 'processes 1, now it is 2'),
    ],
)
@pytest.mark.slow
def test_a_changed_config_is_refused(done, here, change, message):
    for mode in ([], ['--pool-only']):
        refused = here(*done.arguments, *change, *mode, status=1)
        assert 'fold_0: made with ' in refused and message in refused
        assert 'use another --work-dir' in refused and refused.count('\n') == 1


@pytest.mark.slow
def test_a_fold_that_is_not_tested_is_missing_and_would_only_be_tested(copy, here):
    shutil.rmtree(copy.work / 'fold_1/test')
    plan = here(*copy.arguments, '--dry-run')
    assert 'fold 0 (1 of 2): finished\nfold 1 (2 of 2): trained\n' in plan
    assert 'mim test' in plan and 'mim train' not in plan
    pooled = here(*copy.arguments, '--pool-only')
    assert 'Note: Not all folds are in these figures, only 0. Missing: 1 (not finished)' in pooled
    assert summary_of(copy.work / 'pooled')['provenance']['missing_folds'] == [1]


@pytest.mark.slow
def test_a_patient_in_two_folds_is_refused(copy, here):
    files = [copy.work / f'fold_{fold}/test/evaluation/slices.csv' for fold in (0, 1)]
    with open(files[1], 'a') as file:
        file.write(files[0].read_text().splitlines()[-1] + '\n')
    refused = here(*copy.arguments, '--pool-only', status=1)
    assert 'was tested in fold 0 and in fold 1' in refused
    # What was pooled before stands, since nothing took its place.
    assert (copy.work / 'pooled/summary.json').exists()


@pytest.mark.slow
def test_a_finished_fold_of_other_folds_is_refused(copy, here):
    file = copy.work / 'fold_1/data/splits.json'
    text = file.read_text().replace('"seed": 0', '"seed": 1')
    (copy.work / 'splits.json').write_text(text)
    refused = here(*copy.arguments, '--pool-only', status=1)
    assert 'fold_0/data: of other folds than' in refused


@pytest.mark.slow
def test_other_commands_read_the_pool(done, tmp_path):
    pooled = done.work / 'pooled'
    report = call('report', pooled, '--out', tmp_path / 'report.html')
    assert report.returncode == 0, report.stderr
    page = (tmp_path / 'report.html').read_text()
    assert page.count('data:image') >= 15 and 'fold_1' in page
    table = call('results_table', pooled)
    assert table.returncode == 0 and '| 5 / 15 | patient | tiny |' in table.stdout
    compared = call('compare', pooled, done.work / 'pooled')
    assert compared.returncode == 0 and '3 patients with hemorrhage' in compared.stdout


SAMPLE = (QUICKSTART, '--source', ROOT / 'data/sample')


def test_authors_folds_without_patients_are_skipped(here, tmp_path):
    work_dir = tmp_path / 'never-written'
    plan = here(*SAMPLE, '--work-dir', work_dir, '--dry-run')
    assert plan.startswith('fold 0: skipped, as it has nobody to test in this download\n')
    for count, fold in enumerate((1, 2, 3, 4), 1):
        assert f'fold {fold} ({count} of 4): new\n' in plan
    refused = here(*SAMPLE, '--work-dir', work_dir, '--fold', '2', '0', status=1)
    assert 'fold 0 has nobody to test' in refused and 'choose from 1, 2, 3, 4' in refused
    assert not work_dir.exists()


def test_a_seed_is_passed_on_and_has_its_own_folder(here):
    seeded = here(*SAMPLE, '--dry-run', '--seed', '7', '--fold', '3')
    assert f'work_dirs/{QUICKSTART.stem}/seed_7/fold_3' in seeded
    assert 'randomness.seed=7' in seeded
    zero = here(*SAMPLE, '--dry-run', '--seed', '0', '--fold', '3')
    assert f'work_dirs/{QUICKSTART.stem}/fold_3' in zero and 'randomness.seed=0' in zero


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--folds', '4'], 'the authors made 5'),
        (['--folds', '1', '--split', 'patient'], 'at least 2'),
        (['--fold', '1', '--pool-only'], 'leave out --fold'),
        (['--seed', '-1'], 'choose from 0'),
        (['--seed', '1', '--cfg-options', 'randomness.seed=2'], 'not beside'),
        (['--gpus', '2'], 'are for a --launcher'),
        (['--launcher', 'pytorch'], 'needs --gpus'),
        (['--launcher', 'slurm', '--gpus', '2'], 'needs --partition'),
    ],
)
def test_arguments_that_do_not_go_together(here, arguments, message):
    assert message in here(QUICKSTART, *arguments, status=2)


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A cross-validation whose mim fails."""
    RawTree(tmp_path / 'raw')
    mim = tmp_path / 'mim'
    mim.write_text('#!/bin/sh\necho no memory is left\nexit 5\n')
    mim.chmod(0o755)
    monkeypatch.setattr(cross_validation, '_mim', lambda: str(mim))
    setting = Setting(tmp_path)
    setting.config = QUICKSTART
    return setting


def test_a_failing_fold_stops_with_one_line(failing, here):
    log = failing.work / 'fold_0/cross_validate.log'
    assert here(*failing.arguments, status=1) == (
        'cross_validate.py: error: fold_0: mim train ended with status 5, and why is in '
        f'{log}; mend it and run the same command again, which goes on from there\n'
    )
    assert 'no memory is left' in log.read_text()
    assert not (failing.work / 'fold_1').exists()


def test_only_the_named_folds(failing, here):
    here(*failing.arguments, '--fold', '1', status=1)
    assert (failing.work / 'fold_1').exists() and not (failing.work / 'fold_0').exists()


@pytest.mark.slow
def test_folds_are_pooled_unless_some_are_named(copy, here):
    shutil.rmtree(copy.work / 'pooled')
    here(*copy.arguments, '--fold', '0')
    assert not (copy.work / 'pooled').exists()


def test_other_folds_in_the_place_are_refused(failing, here):
    here(*failing.arguments, '--fold', '1', status=1)
    refused = here(*failing.arguments, '--folds', '3', status=1)
    assert 'other folds, made with another --split or --folds' in refused
    refused = here(*failing.arguments, '--window', 'bone', '--fold', '1', status=1)
    assert 'prepared with another window' in refused


def test_nothing_to_pool(failing, here):
    refused = here(*failing.arguments, '--pool-only', status=1)
    assert 'splits.json: cannot be read' in refused
    here(*failing.arguments, status=1)
    assert 'no fold is finished' in here(*failing.arguments, '--pool-only', status=1)
