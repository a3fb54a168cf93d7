"""What is called for a fold, how far it is, and that what is called ends with its caller."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cranium.evaluation import cross_validation, results
from cranium.evaluation.cross_validation import (
    FINISHED,
    INTERRUPTED,
    NEW,
    TRAINED,
    FoldRun,
    Launch,
    run_logged,
)
from cranium.evaluation.provenance import describe_file, describe_split

from .test_summary import LITERAL

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
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
strides = (1, 2)
"""


@pytest.fixture
def config_file(tmp_path):
    file = tmp_path / 'unet.py'
    file.write_text(CONFIG)
    return file


@pytest.fixture
def run(config_file, tmp_path):
    folder = tmp_path / 'work' / 'fold_2'
    folder.mkdir(parents=True)
    return FoldRun(config_file, folder, ('train_cfg.max_iters=6',), {'split': 'authors', 'fold': 2})


def again(run, **changes):
    """The same fold in a later call."""
    fields = {name: getattr(run, name) for name in run.__dataclass_fields__}
    return FoldRun(**fields | changes)


def text_of(run, **more):
    """The config as a text; mmengine's own, made beautiful, takes a second."""
    return ''.join(f'{k} = {v!r}\n' for k, v in {**run.config.to_dict(), **more}.items())


def save_checkpoint(run, number):
    """Leave what a training leaves at an iteration."""
    (run.folder / f'iter_{number}.pth').write_bytes(b'weights')
    # mmengine writes the path, whatever becomes of the folder later.
    (run.folder / 'last_checkpoint').write_text(f'/elsewhere/iter_{number}.pth')
    text = text_of(run, work_dir=str(run.folder), launcher='none', resume=False)
    (run.folder / 'unet.py').write_text(text)


def save_results(run, number=6, **provenance):
    """Leave what a test leaves."""
    run.data.mkdir(exist_ok=True)
    (run.data / 'splits.json').write_text('{"protocol": "authors"}')
    save_checkpoint(run, number)
    about = {
        'config': text_of(run, load_from='x', work_dir='y', launcher='none'),
        'checkpoint': describe_file(run.folder / f'iter_{number}.pth'),
        **describe_split(run.data),
    }
    found = results.evaluate(LITERAL, provenance=about | provenance, replicates=0)
    results.write_results(found, run.results)


def test_settings_reach_the_data_sets_and_turn_validation_off(run):
    train = run.config.train_dataloader.dataset.dataset
    test = run.config.test_dataloader.dataset
    assert train.data_root == test.data_root == str(run.folder / 'data')
    assert train.data_prefix == {'img_path': 'images/train', 'seg_map_path': 'masks/train'}
    assert test.data_prefix == {'img_path': 'images/test', 'seg_map_path': 'masks/test'}
    assert 'data_root' not in run.config.train_dataloader.dataset
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        assert run.config[name] is None
    assert run.config.train_cfg.max_iters == 6 and run.final_checkpoint == 'iter_6.pth'
    assert run.config.cross_validation == {'split': 'authors', 'fold': 2, 'processes': 1}


@pytest.mark.parametrize(
    ('settings', 'final'),
    [
        ((), 'iter_4.pth'),
        (('default_hooks.checkpoint.by_epoch=True', 'train_cfg.max_epochs=3'), 'epoch_3.pth'),
        (('default_hooks.checkpoint.by_epoch=True',), None),
        (('default_hooks.checkpoint.filename_tmpl=at_{}.pth',), 'at_4.pth'),
    ],
)
def test_the_name_of_the_final_checkpoint(run, settings, final):
    assert again(run, options=settings).final_checkpoint == final


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (('max_iters',), "'max_iters' is not key=value"),
        (('val_cfg=None',), 'val_cfg is decided by the cross-validation'),
        (('test_dataloader.dataset.data_root=x',), 'test_dataloader.dataset.data_root is decided'),
        (('x=[1,2',), r'do not fit .*Imbalanced brackets'),
        (('test_evaluator.report=False',), 'needs HemorrhageMetric with report=True'),
        (('test_evaluator.results_dir=x',), 'results_dir is decided'),
        (('train_dataloader.dataset.dataset.datasets=[1]',), 'train_dataloader: .* one data set'),
        (('test_dataloader.dataset=None',), 'test_dataloader: .* one data set'),
    ],
)
def test_a_config_that_will_not_do_stops_at_once(run, settings, message):
    with pytest.raises(ValueError, match=message):
        again(run, options=settings).state()


@pytest.mark.parametrize('name', ['two words', 'a,b', "'quoted'"])
def test_a_path_that_mim_would_not_understand_is_refused(run, tmp_path, name):
    with pytest.raises(ValueError, match=r'would read .*; use a --work-dir of plain letters'):
        again(run, folder=Path(name) / 'fold_2' / name).state()


def test_commands(run):
    mim = str(Path(sys.executable).with_name('mim'))
    train, test = run.commands(NEW)
    assert train[:4] == [mim, 'train', 'mmseg', str(run.config_file)]
    assert train[4:6] == ['--work-dir', str(run.folder)] and '--resume' not in train
    assert test[:4] == [mim, 'test', 'mmseg', str(run.config_file)]
    assert test[4:6] == ['--work-dir', str(run.folder / 'test')]
    assert test[6:8] == ['--checkpoint', str(run.folder / 'iter_6.pth')]
    assert train[-len(run.overrides) :] == test[-len(run.overrides) :] == run.overrides
    resumed, _ = run.commands(INTERRUPTED)
    assert resumed[6:8] == ['--resume', '--cfg-options']
    assert run.commands(TRAINED) == [test] and run.commands(FINISHED) == []


@pytest.mark.parametrize(
    ('launch', 'arguments'),
    [
        (Launch(), ''),
        (Launch('pytorch', 2), '--launcher pytorch --gpus 2'),
        (
            Launch('slurm', 8, partition='p'),
            '--launcher slurm --gpus 8 --gpus-per-node 8 --partition p',
        ),
        (
            Launch('slurm', 8, 4, 'p'),
            '--launcher slurm --gpus 8 --gpus-per-node 4 --partition p',
        ),
    ],
)
def test_launchers(run, launch, arguments):
    assert launch.arguments() == arguments.split()
    launched = again(run, launch=launch)
    for command in launched.commands(NEW):
        assert ' '.join([*arguments.split(), '--work-dir']) in ' '.join(command)
    assert launched.config.cross_validation.processes == launch.processes


def test_how_far_a_fold_is(run):
    assert run.state() == NEW
    save_checkpoint(run, 2)
    assert again(run).state() == INTERRUPTED
    save_checkpoint(run, 6)
    assert again(run).state() == TRAINED
    # Killed between the removal of the last but one checkpoint and the writing of the next.
    (run.folder / 'iter_6.pth').unlink()
    assert again(run).state() == NEW
    save_results(run)
    assert again(run).state() == FINISHED
    # Checkpoints may be removed to save space.
    (run.folder / 'iter_6.pth').unlink()
    assert again(run).state() == FINISHED


CHANGES = [
    ({'options': ('train_cfg.max_iters=8',)}, 'train_cfg.max_iters 6, now it is 8'),
    ({'options': ('train_cfg.max_iters=6', 'x.y=1')}, 'x.y None, now it is 1'),
    ({'about': {'split': 'patient', 'fold': 2}}, "split 'authors', now it is 'patient'"),
    ({'launch': Launch('pytorch', 2)}, 'cross_validation.processes 1, now it is 2'),
]


@pytest.mark.parametrize(('change', 'message'), CHANGES)
@pytest.mark.parametrize('leave', [lambda run: save_checkpoint(run, 2), save_results])
def test_another_config_is_refused(run, leave, change, message):
    leave(run)
    expected = rf'fold_2: made with .*{message}; use another --work-dir'
    with pytest.raises(ValueError, match=expected):
        again(run, **change).state()


def test_a_config_that_was_edited_is_refused(run, config_file):
    save_results(run)
    cross_validation._base_config.cache_clear()
    config_file.write_text(CONFIG.replace('strides = (1, 2)', 'strides = (2, 2)'))
    with pytest.raises(ValueError, match=r'made with strides \(1, 2\), now it is \(2, 2\)'):
        again(run).state()


def test_a_fold_that_was_moved_is_the_same(run, tmp_path):
    save_results(run)
    moved = tmp_path / 'elsewhere'
    run.folder.rename(moved)
    assert again(run, folder=moved).state() == FINISHED


def test_results_of_another_checkpoint_or_other_data_are_refused(run):
    save_results(run, number=4)
    with pytest.raises(ValueError, match=r'its results are of iter_4.pth, not of iter_6.pth'):
        run.state()
    save_results(run)
    (run.folder / 'iter_6.pth').write_bytes(b'trained again')
    with pytest.raises(ValueError, match=r'of another iter_6.pth than is there'):
        run.state()
    save_results(run)
    (run.data / 'splits.json').write_text('{"protocol": "patient"}')
    with pytest.raises(ValueError, match='its results are of other data than'):
        run.state()


def test_what_cannot_be_told_is_refused(run):
    save_results(run, config=None)
    with pytest.raises(ValueError, match='do not tell the config'):
        run.state()
    save_results(run, checkpoint='iter_6.pth')
    with pytest.raises(ValueError, match=r'of another iter_6.pth than is there'):
        run.state()
    save_results(run)
    (run.results / 'summary.json').write_text('{}')
    with pytest.raises(ValueError, match='not a summary written by Cranium'):
        run.state()
    (run.results / 'summary.json').unlink()
    (run.folder / 'unet.py').unlink()
    with pytest.raises(ValueError, match='the config of its checkpoint, is gone'):
        run.state()


def test_one_run_at_a_time(run):
    expected = 'fold_2: another run is at work on it'
    with run.held(), pytest.raises(OSError, match=expected), again(run).held():
        pass
    # Who inherits it holds it, also after the one who took it has gone.
    with run.held() as lock:
        child = subprocess.Popen(['sleep', '60'], pass_fds=[lock])
    try:
        with pytest.raises(OSError, match='another run'), again(run).held():
            pass
    finally:
        child.kill()
        child.wait()
    with run.held():
        pass


def test_output_goes_to_terminal_and_file(tmp_path, capfd):
    log = tmp_path / 'log'
    log.write_text('before\n')
    assert run_logged(['sh', '-c', 'echo one; echo two >&2; exit 3'], log) == 3
    assert capfd.readouterr().out == 'one\ntwo\n'
    assert log.read_text() == "before\n$ sh -c 'echo one; echo two >&2; exit 3'\none\ntwo\n"
    assert run_logged(['sh', '-c', 'kill -9 $$'], log) == -signal.SIGKILL


def test_a_command_finds_the_tools_of_its_environment(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv('PYTHONUNBUFFERED', raising=False)
    run_logged(['sh', '-c', 'command -v python; echo $PYTHONUNBUFFERED'], tmp_path / 'log')
    python = Path(sys.executable).with_name('python')
    assert capfd.readouterr().out == f'{python}\n1\n'


# A command with a child, both of which say who they are; the child lives on where only its parent
# is ended.
FAMILY = '{}sleep 60 & echo $$ $!; wait'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_with_its_caller(tmp_path, number):
    log = tmp_path / 'log'
    code = (
        'import sys; from pathlib import Path; '
        'from cranium.evaluation.cross_validation import run_logged; '
        f'run_logged(["sh", "-c", {FAMILY.format("")!r}], Path(sys.argv[1]))'
    )
    caller = subprocess.Popen(
        [sys.executable, '-c', code, log],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        family = [int(pid) for pid in caller.stdout.readline().split()]
        assert len(family) == 2 and all(map(alive, family))
        caller.send_signal(number)
        # Python itself dies of the signal that Ctrl-C sends; tools/_cli.py makes it 130.
        expected = -number if number == signal.SIGINT else 128 + number
        assert caller.wait(30) == expected
        assert not any(map(alive, family))
    finally:
        caller.kill()
        caller.wait()


def test_a_command_that_does_not_want_to_end_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_validation, '_PATIENCE', 0.3)
    log = tmp_path / 'log'
    started = time.monotonic()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_logged(['sh', '-c', FAMILY.format('trap "" TERM; ')], log)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert time.monotonic() - started < 30  # it would end by itself after 60
    family = log.read_text().splitlines()[-1].split()
    assert len(family) == 2 and not any(alive(int(pid)) for pid in family)


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


def test_signals_are_handled_as_before_afterwards(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    run_logged(['true'], tmp_path / 'log')
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


@pytest.fixture
def fake_mim(tmp_path, monkeypatch):
    """In place of mim, a script of the shell."""

    def install(script):
        file = tmp_path / 'mim'
        file.write_text(f'#!/bin/sh\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setattr(cross_validation, '_mim', lambda: str(file))

    return install


def test_a_training_that_fails_names_the_log_and_the_remedy(run, fake_mim):
    fake_mim('echo out of memory; exit 7')
    expected = r'fold_2: mim train ended with status 7, .*cross_validate.log; .* the same command'
    with pytest.raises(OSError, match=expected):
        run.train(NEW)
    assert 'out of memory' in run.log.read_text()
    with pytest.raises(OSError, match='fold_2: mim test ended with status 7'):
        run.test()


def test_a_training_must_leave_the_checkpoint_of_its_end(run, fake_mim):
    fake_mim('exit 0')
    with pytest.raises(ValueError, match=r'its last checkpoint is None, not iter_6.pth'):
        run.train(NEW)
    save_checkpoint(run, 4)
    with pytest.raises(ValueError, match=r'its last checkpoint is iter_4.pth, not iter_6.pth'):
        run.train(INTERRUPTED)
    save_checkpoint(run, 6)
    run.train(INTERRUPTED)
    with pytest.raises(ValueError, match=r'the test wrote no summary.json'):
        run.test()


def test_a_training_holds_the_fold(run, fake_mim):
    fake_mim(f'ls -l /proc/self/fd > {run.folder}/open; exit 1')
    with run.held() as lock, pytest.raises(OSError, match='ended with status 1'):
        run.train(NEW, [lock])
    assert '.cross_validate.lock' in (run.folder / 'open').read_text()
