"""What happens around a training: its origin is recorded, a lost one stops, a resumed one obeys."""

import hashlib
import math
import os
import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.hooks import Hook
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
class ChannelsLastHook(Hook):
    """Let the weights, and with them all that is computed, lie in memory with channels last.

    It is the same arithmetic. A step of UNet-FCN with 16 channels at 256x256 takes a third less
    time for it on a CPU, in bfloat16 (``python -m benchmarks train``).
    """

    def before_train(self, runner: Runner) -> None:
        """Move the weights, once they were drawn or loaded.

        Convolutions give their output the layout of their weights.
        """
        runner.model.to(memory_format=torch.channels_last)


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
            'data_sha256': data_sha256(getattr(dataset, 'data_root', None)),
        }
        if None not in patients:
            self._record['training_patients'] = sorted(patients.union(self._seen_before))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the record."""
        checkpoint['meta']['cranium'] = self._record


def data_sha256(tree: str | Path | None) -> str | None:
    """Return the SHA-256 of a tree's ``dataset.json``, which holds those of its other files."""
    file = Path(tree) / 'dataset.json' if tree else None
    return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else None


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
    """Stop a training as soon as a loss or a weight is nan or infinite: no checkpoint holds it.

    A finite loss can have gradients that are not, and ``CheckpointHook`` deletes an old checkpoint
    before it writes the new one. ``CheckInvalidLossHook`` of mmdet looks at every fiftieth total
    only.

    Raises:
        FloatingPointError: In one line: the iteration, the loss, the checkpoint to go on from, and
            how. Where several processes train, one that raises it makes the launcher stop all.
    """

    priority = 'NORMAL'  # before LoggerHook and CheckpointHook

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Look at the losses and at the weights."""
        outputs = outputs or {}
        # The total comes last: it is nan because one of the others is.
        for name in sorted(outputs, key=lambda name: name == 'loss'):
            if 'loss' in name and not math.isfinite(value := torch.as_tensor(outputs[name]).item()):
                _stop(runner, f'{name} is {value}')
        weights = runner.model.state_dict().values()
        # One that is not finite makes its sum so. One answer for all: a GPU is waited for once.
        sums = [tensor.sum() for tensor in weights if tensor.is_floating_point()]
        if not torch.stack(sums).isfinite().all():
            _stop(runner, 'the weights hold nan or infinity')


def _stop(runner: Runner, what: str) -> NoReturn:
    rate = runner.optim_wrapper.optimizer.defaults['lr']
    lower = f'--cfg-options optim_wrapper.optimizer.lr={rate / 10:g}'
    if (Path(runner.work_dir) / 'last_checkpoint').is_file():
        last = find_latest_checkpoint(runner.work_dir)
        remedy = f'the last good checkpoint is {last}; go on from it by `--resume {lower}`'
    else:
        remedy = f'no checkpoint has been saved; begin again by `{lower}`'
    raise FloatingPointError(
        f'Training stopped, for at iteration {runner.iter + 1} {what}; {remedy} '
        '(a lower learning rate).'
    )


@HOOKS.register_module()
class ResumeLearningRateHook(Hook):
    """Let a learning rate that was changed in the config take effect when a training is resumed.

    mmengine restores the learning rate and its schedule from the checkpoint. Where those of the
    config differ, the training goes on as if it had begun with them. Schedules in epochs stay as
    they are.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the learning rates of the config into the checkpoint that is resumed from.

        Raises:
            CraniumError: If there is nothing to resume, but only weights.
        """
        if not runner._resume:
            return
        if 'epoch' not in checkpoint.get('meta', {}):
            raise CraniumError(
                f'{runner._load_from}: holds weights, not a training to resume; leave out --resume '
                f'to start a new one from them: --cfg-options load_from={runner._load_from}'
            )
        schedulers = runner.param_schedulers
        if not isinstance(schedulers, list) or not {'optimizer', 'param_schedulers'} <= {
            *checkpoint
        }:
            return  # several optimizers, or nothing to restore from
        groups = runner.optim_wrapper.optimizer.param_groups
        saved = checkpoint['optimizer']['param_groups']
        of_rates = [scheduler for scheduler in schedulers if scheduler.param_name == 'lr']
        before, now = ([_initial(group) for group in some] for some in (saved, groups))
        if before == now or any(scheduler.by_epoch for scheduler in of_rates):
            return
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that no step of the optimizer came between
            for _ in range(checkpoint['meta']['iter']):
                for scheduler in of_rates:
                    scheduler.step()
        for group, configured in zip(saved, groups):
            group.update(lr=configured['lr'], initial_lr=_initial(configured))
        for index, scheduler in enumerate(schedulers):
            if scheduler.param_name == 'lr':
                checkpoint['param_schedulers'][index] = scheduler.state_dict()
        runner.logger.info(
            f'The learning rate of the checkpoint began with {before[0]:g}, that of the config '
            f'begins with {now[0]:g}: going on as if the training had begun with the latter.'
        )


def _initial(group: Mapping[str, Any]) -> float:
    rate: float = group.get('initial_lr', group['lr'])
    return rate
