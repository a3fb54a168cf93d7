"""``cranium cross-validate``: its loop with a mim that is replaced, and two tiny folds for real."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cranium.cli.cross_validate import command
from cranium.engine import cross_validation
from cranium.errors import CraniumError
from cranium.evaluation import results
from tests.conftest import TINY_UNET, run_command
from tests.test_engine.test_cross_validation import CONFIG, PIPELINE, write_folds
from tests.test_evaluation.slices import record

from .commands import TOOLS


def call(*arguments):
    """Run the command; what it printed, or the error that it ended with."""
    done = CliRunner().invoke(command, [*map(str, arguments)])
    if isinstance(done.exception, CraniumError):
        return str(done.exception)
    assert done.exception is None or done.exit_code == 2, done.exception
    return done.output


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """An experiment, a tree of two folds with patients, one without, and a mim that is obedient."""
    config, work = tmp_path / 'unet.py', tmp_path / 'work'
    config.write_text(CONFIG)
    tree = write_folds(
        tmp_path / 'data', folds=(('049', '050'), ('051',), ('052',)), gone=('050', '051')
    )

    def mim(arguments, log):
        """Leave what training and test leave."""
        with open(log, 'a') as file:
            file.write(f'{arguments[3]}\n')
        folder = log.parent
        if arguments[3] == 'train':
            (folder / 'iter_4.pth').write_bytes(b'weights')
            (folder / 'last_checkpoint').write_text('iter_4.pth')
            return 0
        patient = {'fold_0': '049', 'fold_2': '052'}[folder.name]
        about = {
            'versions': {},
            'experiment': {},
            'checkpoint': 'iter_4.pth',
            'protocol': 'patient',
            'trained_on': [],
            'chosen_on_test': False,
            'config': '',
        }
        found = results.evaluate([record(patient, 1, 4, 2, 2)], provenance=about, replicates=0)
        place = arguments[arguments.index('--work-dir') + 1]
        results.write_results(found, Path(place, 'evaluation'))
        return 0

    monkeypatch.setattr(cross_validation, 'run_logged', mim)
    return config, '--data', tree, '--work-dir', work


def log_of(arguments, fold):
    return (arguments[-1] / f'fold_{fold}/log').read_text().split()


def test_every_fold_is_trained_tested_and_pooled_once(arguments):
    said = call(*arguments)
    assert 'Fold 1 is skipped' in said and 'fold 0: new\nfold 2: new\n' in said
    assert 'patient/authors_dice' in said
    assert log_of(arguments, 0) == log_of(arguments, 2) == ['train', 'test']
    pooled = results.read_results(arguments[-1] / 'pooled')
    assert pooled.slices['patient'].tolist() == ['049', '052']
    assert pooled.provenance['folds'] == [0, 2]
    assert pooled.provenance['experiment']['name'] == 'unet'
    assert pooled.warnings[0].startswith('Fold 1 is skipped')
    # Again there is nothing left to do.
    again = call(*arguments)
    assert 'fold 0: finished\nfold 2: finished\n' in again
    assert log_of(arguments, 0) == ['train', 'test']


def test_only_the_named_folds_and_no_pool(arguments):
    assert call(*arguments, '--fold', '2').endswith('fold 2: new\n')
    assert not (arguments[-1] / 'fold_0').exists()
    assert not (arguments[-1] / 'pooled').exists()
    said = call(*arguments, '--pool-only')
    assert 'Note: Fold 0 is not finished.' in said and '1 folds pooled' in said
    assert 'choose from 0, 2' in call(*arguments, '--fold', '0', '1')


def test_a_dry_run_says_what_is_left(arguments):
    said = call(*arguments, '--dry-run', '--cfg-options', 'a=1', 'b=2')
    assert 'fold 0: new\n  mim train mmseg' in said and '\n  mim test mmseg' in said
    assert not arguments[-1].exists()


def test_slices_alone_are_pooled_beside_the_scans(arguments):
    with open(arguments[0], 'a') as config:
        config.write(PIPELINE.format(['LoadScan']))
    call(*arguments)
    said = call(*arguments, '--alone')
    assert 'fold 0: trained\nfold 2: trained\n' in said and 'pooled-alone' in said
    assert log_of(arguments, 0) == ['train', 'test', 'test']
    for place in ('pooled', 'pooled-alone'):
        assert len(results.read_results(arguments[-1] / place).slices) == 2


def test_nothing_to_pool(arguments):
    assert 'no fold is finished' in call(*arguments, '--pool-only')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (['--seed', '3'], 'randomness.seed=None, now it is 3'),
        (['--launcher', 'pytorch', '--gpus', '2'], 'processes=1, now it is 2'),
    ],
)
def test_other_settings_are_refused(arguments, change, message):
    call(*arguments)
    for mode in ([], ['--pool-only']):
        refused = call(*arguments, *change, *mode)
        assert 'fold_0: made with ' in refused and message in refused


def test_a_seed_is_passed_on_and_has_its_own_folder(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    call(*arguments[:3], '--seed', '7', '--fold', '2')
    assert 'randomness = dict(seed=7)' in (tmp_path / 'work_dirs/unet/seed_7/fold_2.py').read_text()
    zero = call(*arguments[:3], '--seed', '0', '--dry-run')
    assert '--work-dir work_dirs/unet/fold_0\n' in zero


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (['--fold', '1', '--pool-only'], 'leave out --fold'),
        (['--seed', '-1'], 'not in the range'),
        (['--gpus', '2'], 'are for a --launcher'),
        (['--launcher', 'pytorch'], 'needs --gpus'),
        (['--launcher', 'slurm', '--gpus', '2'], 'needs --partition'),
    ],
)
def test_arguments_that_do_not_go_together(arguments, extra, message):
    assert message in call(*arguments, *extra)


@pytest.mark.parametrize(
    ('extra', 'expected'),
    [
        (['--launcher', 'pytorch', '--gpus', '2'], '--launcher pytorch --gpus 2 '),
        (
            ['--launcher', 'slurm', '--gpus', '8', '--partition', 'p'],
            '--launcher slurm --gpus 8 --gpus-per-node 8 --partition p ',
        ),
        (
            ['--launcher', 'slurm', '--gpus', '8', '--gpus-per-node', '4', '--partition', 'p'],
            '--launcher slurm --gpus 8 --gpus-per-node 4 --partition p ',
        ),
    ],
)
def test_launchers(arguments, extra, expected):
    said = call(*arguments, *extra, '--dry-run', '--fold', '0')
    assert said.count(expected) == 2  # for the training and the test


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

TINY = f"""
_base_ = ['{TINY_UNET}']
custom_imports = dict(imports=[*_base_.custom_imports.imports, 'pause'])
custom_hooks = [*_base_.custom_hooks, dict(type='Pause')]
train_dataloader = dict(batch_size=2, num_workers=0)
test_dataloader = dict(num_workers=0)
train_cfg = dict(max_iters=4)
default_hooks = dict(checkpoint=dict(interval=1))
"""


@pytest.mark.slow
def test_two_folds_interrupted_and_called_again(tmp_path):
    """Each tells its origin, and the pool is one evaluation of all slices."""
    tree, work, pause = tmp_path / 'data', tmp_path / 'work', tmp_path / 'pause'
    prepare = ('--split', 'patient', '--folds', '2', '--out', tree)
    run_command('python', '-m', 'cranium.cli', 'prepare', '--source', 'data/sample', *prepare)
    (tmp_path / 'tiny.py').write_text(TINY)
    (tmp_path / 'pause.py').write_text(PAUSE)
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    environment = os.environ | {'PYTHONPATH': path, 'PAUSE': str(pause)}
    cross_validate = [sys.executable, TOOLS / 'cross_validate.py', tmp_path / 'tiny.py']
    cross_validate += ['--data', tree, '--work-dir', work]

    pause.touch()
    with open(tmp_path / 'output', 'w') as output:
        run = subprocess.Popen(
            cross_validate, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    last = work / 'fold_0/last_checkpoint'
    try:
        while not last.exists() or 'iter_2' not in last.read_text():
            assert run.poll() is None, (tmp_path / 'output').read_text()
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        assert run.wait(120) == 130
    finally:
        pause.unlink()
        run.kill()
        run.wait()
    assert (tmp_path / 'output').read_text().endswith('interrupted\n')

    again = subprocess.run(cross_validate, capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert 'fold 0: interrupted\n' in again.stdout and 'fold 1: new\n' in again.stdout
    assert 'resumed epoch: 0, iter: 2' in again.stdout and 'Iter(val)' not in again.stdout
    tested = []
    for fold in (0, 1):
        found = results.read_results(work / f'fold_{fold}')
        assert found.provenance['protocol'] == 'patient'
        assert found.provenance['trained_on'] == []
        assert found.provenance['checkpoint']['file'].endswith(f'fold_{fold}/iter_4.pth')
        tested.append(found.slices)
    pooled = results.read_results(work)
    folds = json.loads((tree / 'splits.json').read_text())['folds']
    patients = {member for fold in folds for member in fold['members']}
    assert set(pooled.slices['patient']) == patients
    assert len(pooled.slices) == sum(map(len, tested))
    assert not any('trained on' in warning for warning in pooled.warnings)
    at_once = results.evaluate([*tested[0].to_dict('records'), *tested[1].to_dict('records')])
    assert pooled.figures['patient/authors_dice'] == at_once.figures['patient/authors_dice']
