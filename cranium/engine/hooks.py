"""What happens around a training: its origin is recorded, a lost one stops, a resumed one obeys."""

import copy
import hashlib
import math
import os
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg.registry import HOOKS

from cranium.errors import CraniumError
from cranium.version import __version__


@HOOKS.register_module()
class ThreadsHook(Hook):
    """Compute on the CPU in one thread, or in as many as ``OMP_NUM_THREADS`` says.

    OpenMP's threads spin while they wait for each other, which is fast on idle cores and dear on
    others. A step of unet-cranium_small at 96x80 took 0.07 s with two threads on two idle cores,
    but 1.0 s beside one busy process and 2.8 s beside two; with one thread 0.11, 0.22 and 0.45 s.
    """

    def before_run(self, runner: Runner) -> None:
        """Set the number of threads, and say so."""
        if 'OMP_NUM_THREADS' not in os.environ:
            torch.set_num_threads(1)
        runner.logger.info(
            f'Threads of PyTorch on the CPU: {torch.get_num_threads()}. On a machine with idle '
            'cores set the environment variable OMP_NUM_THREADS to their number.'
        )


@HOOKS.register_module()
class RecordTrainingHook(Hook):
    """Write into each checkpoint what its weights were made from, as ``meta['cranium']``.

    ===================== ==========================================================================
    ``version``           of Cranium
    ``commit``            ``git describe`` of the checkout; None where there is none
    ``training_patients`` their names, ascending, and of a checkpoint that the training started from
                          its own; not there where the data set does not name its patients
    ``data_sha256``       SHA-256 of the prepared tree's ``dataset.json``; None where there is none
    ===================== ==========================================================================
    """

    def __init__(self) -> None:
        self._seen_before: list[str] = []
        self._record: dict[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note whom the weights have seen before this training."""
        record = checkpoint.get('meta', {}).get('cranium') or {}
        self._seen_before = record.get('training_patients') or []

    def before_train(self, runner: Runner) -> None:
        """Collect what is to be recorded."""
        dataset = runner.train_dataloader.dataset
        while hasattr(dataset, 'dataset'):  # RepeatDataset and the like
            dataset = dataset.dataset
        patients = {dataset.get_data_info(index).get('patient') for index in range(len(dataset))}
        self._record = {
            'version': __version__,
            'commit': _commit(),
            'data_sha256': data_sha256(getattr(dataset, 'data_root', None) or 'nowhere'),
        }
        if None not in patients:
            self._record['training_patients'] = sorted(patients.union(self._seen_before))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the record."""
        checkpoint['meta']['cranium'] = self._record


def data_sha256(tree: str | Path) -> str | None:
    """Return the SHA-256 of a tree's ``dataset.json``, which holds those of its other files."""
    file = Path(tree) / 'dataset.json'
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _commit() -> str | None:
    root = Path(__file__).parents[2]
    if not (root / '.git').exists():  # nor ask a repository that an environment lies in
        return None
    try:
        describe = ['git', '-C', str(root), 'describe', '--always', '--dirty']
        return subprocess.check_output(describe, stderr=subprocess.DEVNULL, text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Stop a training as soon as a loss is nan or infinite; the checkpoints stay good ones.

    It looks at the losses of every iteration, for which ``RuntimeInfoHook`` has waited already. It
    looks at the weights as well before a validation and wherever a checkpoint is due, as a finite
    loss can have gradients that are not, and ``CheckpointHook`` deletes an old checkpoint before it
    writes the new one. ``CheckInvalidLossHook`` of mmdet looks at every fiftieth total only.

    Raises:
        FloatingPointError: In one line: the iteration, the loss, the checkpoint to go on from, and
            how. Where several processes train, one that raises it makes the launcher stop all.
    """

    priority = 'NORMAL'  # before LoggerHook and CheckpointHook

    def __init__(self) -> None:
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """Note that what follows is a training, not the validation of a given checkpoint."""
        self._training = True

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the losses, and at the weights if they are about to be saved."""
        outputs = outputs or {}
        # The total comes last: it is nan because one of the others is.
        for name in sorted(outputs, key=lambda name: name == 'loss'):
            if 'loss' in name and not math.isfinite(value := torch.as_tensor(outputs[name]).item()):
                _stop(runner, runner.iter + 1, f'{name} is {value}')
        if self._is_checkpoint_due(runner):
            _check_weights(runner, runner.iter + 1, runner.model.state_dict())

    def before_val(self, runner: Runner) -> None:
        """Look at the weights, since the best checkpoint is replaced right after a validation."""
        if self._training:
            _check_weights(runner, runner.iter, runner.model.state_dict())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Look at the weights, whoever saves them."""
        _check_weights(runner, runner.iter, checkpoint['state_dict'])

    def _is_checkpoint_due(self, runner: Runner) -> bool:
        return any(
            self.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and self.is_last_train_iter(runner))
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook)
        )


def _check_weights(runner: Runner, iteration: int, weights: dict[str, torch.Tensor]) -> None:
    finite = [tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point()]
    # One answer for all, so that a GPU is waited for once.
    if finite and not torch.stack(finite).all():
        _stop(runner, iteration, 'the weights hold nan or infinity')


def _stop(runner: Runner, iteration: int, what: str) -> NoReturn:
    rate = runner.optim_wrapper.optimizer.defaults['lr']
    lower = f'--cfg-options optim_wrapper.optimizer.lr={rate / 10:g}'
    if (Path(runner.work_dir) / 'last_checkpoint').is_file():
        last = find_latest_checkpoint(runner.work_dir)
        remedy = f'the last good checkpoint is {last}; go on from it by `--resume {lower}`'
    else:
        remedy = f'no checkpoint has been saved; begin again by `{lower}`'
    msg = f'Training stopped, for at iteration {iteration} {what}; {remedy} (a lower learning rate)'
    raise FloatingPointError(f'{msg}.')


@HOOKS.register_module()
class ResumeLearningRateHook(Hook):
    """Let a learning rate that was changed in the config take effect when a training is resumed.

    mmengine restores the learning rate and its schedule from the checkpoint. Where those of the
    config differ, the training goes on as if it had begun with them. Schedules in epochs stay as
    they are.

    Raises:
        CraniumError: If there is nothing to resume, but only weights.
    """

    def before_run(self, runner: Runner) -> None:
        """Note the learning rates that the config gives, before a checkpoint is loaded."""
        self._configured = None
        schedulers = runner.param_schedulers
        if isinstance(runner.optim_wrapper, OptimWrapper) and isinstance(schedulers, list):
            self._configured = (
                [_rates(group) for group in runner.optim_wrapper.param_groups],
                [copy.deepcopy(scheduler.state_dict()) for scheduler in schedulers],
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume what is no training, before mmengine misses its epoch."""
        if runner._resume and 'epoch' not in checkpoint.get('meta', {}):
            raise CraniumError(
                f'{runner._load_from}: holds weights, not a training to resume; leave out --resume '
                f'to start a new one from them: --cfg-options load_from={runner._load_from}'
            )

    def before_train(self, runner: Runner) -> None:
        """Return to the learning rates of the config, if the checkpoint brought others."""
        if self._configured is None or runner.iter == 0:
            return
        configured, states = self._configured
        groups = runner.optim_wrapper.param_groups
        pairs = [
            (scheduler, state)
            for scheduler, state in zip(runner.param_schedulers, states)
            if scheduler.param_name == 'lr'
        ]
        saved = [_rates(group)['initial_lr'] for group in groups]
        wanted = [rates['initial_lr'] for rates in configured]
        if saved == wanted or any(scheduler.by_epoch for scheduler, _ in pairs):
            return
        for group, rates in zip(groups, configured):
            group.update(rates)
        for scheduler, state in pairs:
            scheduler.load_state_dict(state)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that no step of the optimizer came between
            for _ in range(runner.iter):
                for scheduler, _ in pairs:
                    scheduler.step()
        runner.logger.info(
            f'The learning rate of the checkpoint began with {saved[0]:g}, that of the config '
            f'begins with {wanted[0]:g}: going on as if the training had begun with the latter.'
        )


def _rates(group: Mapping[str, Any]) -> dict[str, float]:
    return dict(lr=group['lr'], initial_lr=group.get('initial_lr', group['lr']))
