import hashlib
import json
import logging
import math
import re
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cranium.engine import hooks
from cranium.engine.hooks import StopOnInvalidLossHook, ThreadsHook
from cranium.engine.publishing import publish_checkpoint
from cranium.errors import CraniumError
from cranium.version import __version__
from tests.conftest import TINY_UNET, run_command
from tests.test_engine.training import AUGMENT, Watch, tiny_config, train

NAN, INF = float('nan'), float('inf')


class Poison(Watch):
    """Make the weights nan: before an iteration, or after it, when its loss was still finite."""

    def __init__(self, before=None, after=None):
        super().__init__()
        self.before, self.after = before, after

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.before:
            poison(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.after:
            assert math.isfinite(outputs['loss'])
            poison(runner)


def poison(runner):
    with torch.no_grad():
        next(runner.model.parameters()).fill_(NAN)


def checkpoints(work_dir):
    """Names of the checkpoints, all of which must be good."""
    for path in work_dir.glob('*.pth'):
        for tensor in torch.load(path, weights_only=False)['state_dict'].values():
            assert torch.isfinite(tensor).all(), path
    return sorted(path.name for path in work_dir.glob('*.pth'))


def test_nan_where_a_checkpoint_is_due_leaves_the_last_good_one(tree, tmp_path):
    """The only one that is kept, and the best one, which the validation would have replaced."""
    options = {'default_hooks.checkpoint.max_keep_ckpts': 1, 'train_cfg.val_interval': 3}
    with pytest.raises(FloatingPointError) as error:
        train(tiny_config(tree, tmp_path, **options), Poison(before=6))
    assert str(error.value) == (
        'Training stopped, for at iteration 6 decode.loss_ce is nan; the last good checkpoint is '
        f'{tmp_path}/iter_3.pth; go on from it by `--resume --cfg-options '
        'optim_wrapper.optimizer.lr=0.00035` (a lower learning rate).'
    )
    assert checkpoints(tmp_path) == ['best_patient_authors_dice_iter_3.pth', 'iter_3.pth']
    # No nan among the curves.
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    assert [json.loads(line)['step'] for line in scalars.read_text().split('\n')[:-1]][-1] == 5


def test_weights_of_nan_are_not_saved_after_a_finite_loss(tree, tmp_path):
    with pytest.raises(FloatingPointError, match='iteration 3 the weights hold nan') as error:
        train(tiny_config(tree, tmp_path), Poison(after=3))
    assert 'no checkpoint has been saved; begin again by `--cfg-options' in str(error.value)
    assert checkpoints(tmp_path) == []


def test_weights_of_nan_do_not_replace_the_best(tree, tmp_path):
    """Here no checkpoint but a validation is due."""
    options = {'train_cfg.val_interval': 2}
    with pytest.raises(FloatingPointError, match='iteration 4 the weights hold nan'):
        train(tiny_config(tree, tmp_path, **options), Poison(after=4))
    assert checkpoints(tmp_path) == ['best_patient_authors_dice_iter_2.pth', 'iter_3.pth']


def look(weight=0.0, **outputs):
    """Show the hook an iteration."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.02)
    runner = SimpleNamespace(
        iter=6,
        work_dir='nowhere',
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
        model=SimpleNamespace(
            state_dict=lambda: {'w': torch.tensor([1.0, weight]), 'steps': torch.tensor(7)}
        ),
    )
    StopOnInvalidLossHook().after_train_iter(runner, 0, outputs=outputs)


@pytest.mark.parametrize(
    'outputs, what',
    [
        (dict(loss=NAN, loss_dice=NAN, loss_ce=1.0), 'loss_dice is nan'),
        (dict(loss=torch.tensor(-INF), loss_ce=torch.tensor(-INF)), 'loss_ce is -inf'),
        (dict(loss=INF, loss_ce=1e38, loss_dice=3e38), 'loss is inf'),
        (dict(loss=1.0, weight=-INF), 'the weights hold nan or infinity'),
    ],
)
def test_it_names_what_is_not_finite(outputs, what):
    with pytest.raises(FloatingPointError, match=rf'at iteration 7 {what}; .*\blr=0.002`'):
        look(**outputs)


def test_what_is_no_loss_may_be_nan():
    look(loss=1.0, acc=NAN)


def test_mim_ends_with_the_message(tree, tmp_path):
    data = [f'{part}_dataloader.dataset.data_root={tree}' for part in ('train', 'val', 'test')]
    options = ['--cfg-options', *data, 'optim_wrapper.optimizer.lr=1e30', 'train_cfg.max_iters=4']
    train_command = ['mim', 'train', 'mmseg', TINY_UNET, '--work-dir', tmp_path]
    output = run_command(*train_command, *options, status=1)
    # What follows is mim's own, which has started the training.
    training, _, _ = output.rpartition('Traceback')
    assert re.fullmatch(
        r'FloatingPointError: Training stopped, for at iteration [234] .*(nan|infinity); '
        r'no checkpoint .* `--cfg-options optim_wrapper\.optimizer\.lr=1e\+29` .*',
        training.strip().split('\n')[-1],
    )


def record_of(checkpoint):
    return torch.load(checkpoint, weights_only=True)['meta']['cranium']


def test_each_checkpoint_tells_its_origin(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, '_commit', lambda: 'v1-3-gabc')
    train(tiny_config(tree, tmp_path / 'first'))
    assert record_of(tmp_path / 'first/iter_3.pth') == {
        'version': __version__,
        'commit': 'v1-3-gabc',
        'training_patients': ['049'],
        'data_sha256': None,
    }
    # Another training starts from it, on another patient.
    (tree / 'dataset.json').write_text('{}')
    options = {
        'load_from': str(tmp_path / 'first/iter_3.pth'),
        'train_dataloader.dataset': dict(
            type='RepeatDataset',
            times=3,
            dataset=tiny_config(tree, tmp_path).val_dataloader.dataset | {'pipeline': AUGMENT},
            _delete_=True,
        ),
        'train_dataloader.sampler': dict(type='InfiniteSampler', _delete_=True),
    }
    train(tiny_config(tree, tmp_path / 'second', **options))
    record = record_of(tmp_path / 'second/iter_6.pth')
    assert record['training_patients'] == ['049', '071']
    assert record['data_sha256'] == hashlib.sha256(b'{}').hexdigest()


def test_the_commit_is_that_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, '__file__', str(tmp_path / 'cranium/engine/hooks.py'))
    assert hooks._commit() is None
    git = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c', 'user.email=a@b']
    subprocess.run([*git, 'init', '--quiet'], check=True)
    assert hooks._commit() is None  # nothing is committed yet
    subprocess.run([*git, 'commit', '--quiet', '--allow-empty', '-m', 'a'], check=True)
    assert re.fullmatch('[0-9a-f]{7,}', hooks._commit())


@pytest.mark.parametrize(('variable', 'threads'), [(None, 1), ('3', 2)])
def test_one_thread_unless_the_user_says_otherwise(variable, threads, monkeypatch, caplog):
    """PyTorch itself has read the variable as it was started."""
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if variable:
        monkeypatch.setenv('OMP_NUM_THREADS', variable)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with caplog.at_level(logging.INFO):
            ThreadsHook().before_run(SimpleNamespace(logger=logging.getLogger()))
        assert torch.get_num_threads() == threads
        assert f'on the CPU: {threads}.' in caplog.text and 'OMP_NUM_THREADS' in caplog.text
    finally:
        torch.set_num_threads(before)


def test_channels_last_in_a_new_training_and_in_a_resumed_one(tree, tmp_path):
    last, losses = torch.channels_last, []
    for hook in ([], [dict(type='ChannelsLastHook')]):
        watch, work_dir = Watch(), tmp_path / f'{len(hook)}'
        config = tiny_config(tree, work_dir, **{'train_cfg.max_iters': 3})
        config.custom_hooks = [*config.custom_hooks, *hook]
        train(config, watch)
        losses.append([loss['loss'] for loss in watch.losses.values()])
        config = tiny_config(tree, work_dir, resume=True)
        config.custom_hooks = [*config.custom_hooks, *hook]
        runner = train(config, watch := Layout())
        assert watch.layouts == [bool(hook)] * 3
        assert runner.model.backbone.encoder[1][1].convs[0].conv.weight.is_contiguous(
            memory_format=last
        ) == bool(hook)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


class Layout(Watch):
    """Note for each iteration whether what the network computes lies with channels last."""

    def __init__(self):
        super().__init__()
        self.layouts = []

    def before_train(self, runner):
        def note(module, inputs, output):
            if module.training:
                self.layouts.append(output.is_contiguous(memory_format=torch.channels_last))

        runner.model.backbone.encoder[1][1].convs[1].conv.register_forward_hook(note)


class Rates(Watch):
    """Note the learning rate of each iteration."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.param_groups[0]['lr'])


WARMUP = dict(type='LinearLR', start_factor=0.1, begin=0, end=2, by_epoch=False)
POLY = dict(type='PolyLR', eta_min=1e-4, power=1.0, begin=2, end=6, by_epoch=False)
SCHEDULE = {'param_scheduler': [WARMUP, POLY], 'optim_wrapper.optimizer.lr': 0.01}


def test_a_lower_learning_rate_takes_effect_on_resume(tree, tmp_path):
    """As if it had been there from the start: after a warm-up, from 0.004 in 3 steps to 0.0001."""
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(tree, tmp_path, **SCHEDULE), Watch(die_before=4))
    rates = Rates()
    options = SCHEDULE | {'optim_wrapper.optimizer.lr': 0.004}
    train(tiny_config(tree, tmp_path, **options, resume=True), rates)
    expected = [0.004 - 0.0039 * part / 3 for part in (1, 2, 3)]
    np.testing.assert_allclose(rates.rates, expected, rtol=1e-6)


def test_resume_from_weights_alone(tree, tmp_path):
    options = {'train_cfg.max_iters': 1, 'default_hooks.checkpoint.interval': 1}
    train(tiny_config(tree, tmp_path / 'first', **options))
    options['load_from'] = str(tmp_path / 'weights.pth')
    publish_checkpoint(tmp_path / 'first/iter_1.pth', tmp_path / 'weights.pth')
    with pytest.raises(CraniumError, match=r'leave out --resume .* load_from=.*weights\.pth'):
        train(tiny_config(tree, tmp_path / 'second', **options, resume=True))
    train(tiny_config(tree, tmp_path / 'second', **options))
