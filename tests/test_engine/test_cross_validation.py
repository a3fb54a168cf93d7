"""What a fold trains on and tests, how far it is, and that what is called ends with its caller."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from cranium.engine import cross_validation
from cranium.engine.cross_validation import (
    FINISHED,
    INTERRUPTED,
    NEW,
    TRAINED,
    Fold,
    fold_config,
    read_folds,
    run_logged,
)
from cranium.errors import CraniumError
from cranium.manifest import COLUMNS, write_manifest

CONFIG = """
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
train_dataloader = dict(
    dataset=dict(
        type='RepeatDataset', times=2, dataset=dict(type='CraniumDataset', data_root='data')
    )
)
val_dataloader = dict(dataset=dict(type='CraniumDataset', data_root='data'))
test_dataloader = val_dataloader
val_evaluator = dict(type='HemorrhageMetric')
test_evaluator = dict(type='HemorrhageMetric', report=True)
strides = (1, 2)
"""
PIPELINE = "test_dataloader['dataset']['pipeline'] = [dict(type=name) for name in {}]\n"


def write_folds(tree, protocol='patient', folds=(('049', '050'), ('051',), ('052',)), gone=()):
    """The files of a tree that tell its folds; the fold that it holds out does not matter."""
    tree.mkdir(exist_ok=True)
    members = [{'members': list(fold)} for fold in folds]
    (tree / 'splits.json').write_text(json.dumps({'protocol': protocol, 'folds': members}))
    (tree / 'dataset.json').write_text('{}')
    rows = pd.DataFrame({'patient': [p for fold in folds for p in fold if p not in gone]})
    rows = rows.assign(slice=1, hemorrhage_pixels=0, label='background', split='train')
    rows['image'] = 'images/train/' + rows['patient'] + '_001.png'
    write_manifest(rows.reindex(columns=COLUMNS), tree)
    return tree


@pytest.fixture
def tree(tmp_path):
    return write_folds(tmp_path / 'data')


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / 'unet.py'
    file.write_text(CONFIG)
    return file


@pytest.fixture
def make(experiment, tree, tmp_path):
    """Make a fold, as each call of the command does."""

    def make(*options, data=tree, patients=(['051', '052'], ['049']), work='work', **how) -> Fold:
        folder = tmp_path / work / 'fold_2'
        settings = ('train_cfg.max_iters=6', *options)
        return Fold(fold_config(experiment, settings, data, patients, folder), **how)

    return make


@pytest.mark.parametrize(
    ('splits', 'expected'),
    [
        (
            {},
            [
                (['051', '052'], ['049', '050']),
                (['049', '050', '052'], ['051']),
                (['049', '050', '051'], ['052']),
            ],
        ),
        (
            dict(gone=('050', '051')),
            [(['052'], ['049']), (['049', '052'], []), (['049'], ['052'])],
        ),
        # They never test 070.
        (
            dict(protocol='authors', folds=(('049', '070'), ('071',))),
            [(['070', '071'], ['049']), (['049', '070'], ['071'])],
        ),
    ],
)
def test_each_patient_is_tested_once_and_trains_all_other_folds(tmp_path, splits, expected):
    assert read_folds(write_folds(tmp_path / 'data', **splits)) == expected


def test_folds_of_slices_and_no_folds_are_refused(tree, tmp_path):
    write_folds(tree, 'slice')
    with pytest.raises(CraniumError, match=r'split by slices, .* --split authors'):
        read_folds(tree)
    with pytest.raises(CraniumError, match='no prepared tree; make one: cranium prepare --split'):
        read_folds(tmp_path / 'nowhere')


def test_the_config_of_a_fold(make, tree, tmp_path):
    config = make().config
    train, test = config.train_dataloader.dataset.dataset, config.test_dataloader.dataset
    assert train.data_root == test.data_root == str(tree)
    prefix = {'img_path': 'images', 'seg_map_path': 'masks'}
    assert train.data_prefix == test.data_prefix == prefix
    assert train.patients == ['051', '052'] and test.patients == ['049']
    assert 'data_root' not in config.train_dataloader.dataset
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        assert config[name] is None
    assert config.train_cfg.max_iters == 6
    assert config.work_dir == str(tmp_path / 'work/fold_2')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('max_iters', 'max_iters: expected key=value'),
        ('val_cfg=None', 'of a key that the folds do not set'),
        ('test_dataloader.dataset.data_root=x', 'of a key that the folds do not set'),
        ('train_dataloader.dataset.dataset.patients=[49]', 'of a key that the folds do not set'),
        ('x=[1,2', r'do not fit .*Imbalanced brackets'),
        ('test_evaluator.report=False', 'set HemorrhageMetric, report=True'),
        ('train_dataloader.dataset=None', 'train_dataloader has no single data set'),
    ],
)
def test_a_config_that_will_not_do_stops_at_once(make, option, message):
    with pytest.raises(CraniumError, match=message):
        make(option)


def begin(fold):
    """Leave what a fold leaves as it begins."""
    fold.folder.mkdir(parents=True, exist_ok=True)
    fold.config_file.write_text(fold.config.pretty_text)


def save_checkpoint(fold, number):
    """Leave what a training leaves at an iteration."""
    begin(fold)
    (fold.folder / f'iter_{number}.pth').write_bytes(b'weights')
    # mmengine writes the path, whatever becomes of the folder later.
    (fold.folder / 'last_checkpoint').write_text(f'/elsewhere/iter_{number}.pth')


def save_results(fold):
    """Leave what a test leaves."""
    save_checkpoint(fold, 6)
    fold.results.mkdir(parents=True)
    (fold.results / 'summary.json').write_text('{}')


def test_what_is_left_to_do(make, tmp_path):
    fold = make(launcher=('--launcher', 'pytorch', '--gpus', '2'))
    file, folder = tmp_path / 'work/fold_2.py', tmp_path / 'work/fold_2'
    train = f'mim train mmseg {file} --launcher pytorch --gpus 2 --work-dir {folder}'
    test = (
        f'mim test mmseg {file} --launcher pytorch --gpus 2 --work-dir {folder}/test '
        f'--checkpoint {folder}/iter_6.pth'
    )

    def left():
        return fold.state(), [shlex.join(command) for command in fold.commands(fold.state())]

    assert left() == (NEW, [train, test])
    save_checkpoint(fold, 2)
    resume = f'{train} --resume --cfg-options load_from={folder}/iter_2.pth'
    assert left() == (INTERRUPTED, [resume, test])
    save_checkpoint(fold, 6)
    assert left() == (TRAINED, [test])
    # Killed between the removal of the last but one checkpoint and the writing of the next.
    (folder / 'iter_6.pth').unlink()
    assert left() == (NEW, [train, test])
    save_results(fold)
    assert left() == (FINISHED, [])
    # Checkpoints may be removed to save space.
    (folder / 'iter_6.pth').unlink()
    assert left() == (FINISHED, [])


def test_slices_are_tested_alone_beside_the_test_in_their_scans(make, experiment):
    experiment.write_text(CONFIG + PIPELINE.format(['Other', 'LoadScan']))
    save_results(make())
    alone = make(alone=True)
    assert alone.state() == TRAINED and make().state() == FINISHED
    (test,) = alone.commands(TRAINED)
    assert test[test.index('--work-dir') + 1] == f'{alone.folder}/test-alone'
    options = ['test_dataloader.dataset.pipeline.1.alone=True', 'test_evaluator.score_smoothing=0']
    assert test[-4:-1] == ['--cfg-options', *options]
    alone.results.mkdir(parents=True)
    (alone.results / 'summary.json').write_text('{}')
    assert alone.state() == FINISHED


def test_no_other_network_is_trained_for_slices_alone(make, experiment):
    """Checkpoints may be removed to save space."""
    experiment.write_text(CONFIG + PIPELINE.format(['LoadScan']))
    save_results(make())
    (make().folder / 'iter_6.pth').unlink()
    assert make().state() == FINISHED
    with pytest.raises(CraniumError, match=r'fold_2/iter_6\.pth: is gone, .* tested alone'):
        make(alone=True).state()


def test_slices_of_a_wrapped_data_set_are_tested_alone(make, experiment):
    wrapped = "test_dataloader['dataset'] = dict(type='RepeatDataset', times=1, "
    wrapped += "dataset=dict(data_root='data', pipeline=[dict(type='LoadScan')]))\n"
    experiment.write_text(CONFIG + wrapped)
    assert 'test_dataloader.dataset.dataset.pipeline.0.alone=True' in make(alone=True).test_options


@pytest.mark.parametrize('pipeline', ['', PIPELINE.format(['LoadImageFromFile'])])
def test_a_network_that_sees_no_scan_is_not_tested_alone(make, experiment, pipeline):
    experiment.write_text(CONFIG + pipeline)
    with pytest.raises(CraniumError, match=r'--alone is for .* no LoadScan, so leave it out'):
        make(alone=True)


def test_the_end_of_a_schedule_in_epochs(make):
    config = make().config
    config.train_cfg = dict(max_epochs=3)
    assert Fold(config).final_checkpoint.name == 'epoch_3.pth'


@pytest.mark.parametrize(
    ('options', 'changes', 'message'),
    [
        (('train_cfg.max_iters=8',), {}, 'train_cfg.max_iters=6, now it is 8'),
        (('x.y=1',), {}, 'x.y=None, now it is 1'),
        ((), {'patients': (['052'], ['049'])}, r"patients=\['051', '052'\], now it is \['052'\]"),
    ],
)
def test_a_fold_of_other_settings_is_refused(make, options, changes, message):
    begin(make())
    with pytest.raises(CraniumError, match=rf'fold_2: made with .*{message}; use another --work-'):
        make(*options, **changes).state()


def test_an_experiment_that_was_edited_and_other_data_are_refused(make, tree, experiment):
    begin(make())
    experiment.write_text(CONFIG.replace('strides = (1, 2)', 'strides = (2, 2)'))
    with pytest.raises(CraniumError, match=r'made with strides=\(1, 2\), now it is \(2, 2\)'):
        make().state()
    experiment.write_text(CONFIG)
    (tree / 'dataset.json').write_text('{"window": "bone"}')
    with pytest.raises(CraniumError, match=r'made with cross_validation.data_sha256='):
        make().state()


def test_tree_and_work_directory_may_be_moved(make, tree, tmp_path):
    save_checkpoint(make(), 2)
    (tmp_path / 'work').rename(tmp_path / 'moved')
    moved = make(data=tree.rename(tmp_path / 'elsewhere'), work='moved')
    assert moved.state() == INTERRUPTED
    assert f'load_from={tmp_path}/moved/fold_2/iter_2.pth' in moved.commands(INTERRUPTED)[0]


def test_one_run_at_a_time(make):
    fold = make()
    fold.folder.mkdir(parents=True)
    with (
        FileLock(fold.folder / '.lock'),
        pytest.raises(CraniumError, match='fold_2: another run is at work on it'),
    ):
        fold.run()


def test_a_command_that_fails_names_the_log_and_the_remedy(make, monkeypatch):
    monkeypatch.setattr(cross_validation, 'run_logged', lambda command, log: 7)
    expected = r'fold_2: mim train ended with status 7, see .*/fold_2/log; the same command again'
    with pytest.raises(CraniumError, match=expected):
        make().run()


def test_output_goes_to_terminal_and_file(tmp_path, capfd):
    log = tmp_path / 'log'
    log.write_text('before\n')
    assert run_logged(['sh', '-c', 'echo one; echo two >&2; exit 3'], log) == 3
    assert capfd.readouterr().out == 'one\ntwo\n'
    assert log.read_text() == "before\n$ sh -c 'echo one; echo two >&2; exit 3'\none\ntwo\n"
    assert run_logged(['sh', '-c', 'kill -9 $$'], log) == -signal.SIGKILL


# A command with a child, both of which say who they are; the child lives on where only its parent
# is ended.
FAMILY = '{}sleep 60 & echo $$ $!; wait'


@pytest.mark.parametrize(
    ('number', 'stubborn', 'patience'),
    [
        (signal.SIGINT, '', 40),
        (signal.SIGHUP, '', 40),
        (signal.SIGTERM, '', 40),
        (signal.SIGTERM, 'trap "" TERM; ', 0.3),
    ],
)
def test_a_command_ends_with_its_caller(tmp_path, number, stubborn, patience):
    """By force where it does not want to."""
    code = (
        'import sys; from pathlib import Path; from cranium.engine import cross_validation; '
        f'cross_validation._PATIENCE = {patience}; '
        f'cross_validation.run_logged(["sh", "-c", {FAMILY.format(stubborn)!r}], Path(sys.argv[1]))'
    )
    caller = subprocess.Popen(
        [sys.executable, '-c', code, tmp_path / 'log'],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        family = [int(pid) for pid in caller.stdout.readline().split()]
        assert len(family) == 2 and all(map(alive, family))
        caller.send_signal(number)
        # Python itself dies of the signal that Ctrl-C sends; the command makes it 130.
        expected = -number if number == signal.SIGINT else 128 + number
        assert caller.wait(30) == expected
        assert not any(map(alive, family))
    finally:
        caller.kill()
        caller.wait()


def alive(pid):
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    for _ in range(20):  # the kernel needs a moment
        try:
            state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except FileNotFoundError:
            return False
        if state == 'Z':
            return False
        time.sleep(0.01)
    return True
