"""What happens around a training: stopping a lost one, and pictures of where it stands."""

import copy
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch
from mmengine.dist import all_gather_object, is_main_process, master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

if TYPE_CHECKING:
    from cranium.visualization.contact_sheet import Panel


class _TrainingHook(Hook):
    """A hook that knows a training from the validation of a given checkpoint."""

    def __init__(self) -> None:
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """Note that what follows is a training."""
        self._training = True


@HOOKS.register_module()
class StopOnInvalidLossHook(_TrainingHook):
    """Stop a training as soon as a loss is nan or infinite; the checkpoints stay good ones.

    It looks at the losses of every iteration. That costs no more on a GPU, since mmengine's
    ``RuntimeInfoHook`` has waited for them by then. It looks at the weights as well before a
    validation and wherever a checkpoint is due, as a finite loss can have gradients that are not,
    and ``CheckpointHook`` deletes an old checkpoint before it writes the new one.

    mmengine and mmseg have no such hook. ``CheckInvalidLossHook`` of mmdet looks at every fiftieth
    total: a training goes on for as long with weights of nan, which may be saved and deemed the
    last good ones, and its error names neither iteration nor loss nor remedy.

    Raises:
        FloatingPointError: In one line: the iteration, the loss, the checkpoint to go on from, and
            how. Where several processes train, one that raises it makes the launcher stop all.
    """

    priority = 'NORMAL'  # before LoggerHook and CheckpointHook

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Look at the losses, and at the weights if they are about to be saved."""
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

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
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

    mmengine restores the learning rate and its schedule from the checkpoint and says nothing of
    what the config has. Where these differ, the training goes on as if its schedule had begun with
    the learning rate of the config; where they do not, this hook does nothing. Schedules in epochs
    are left alone.
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


def _rates(group: dict) -> dict[str, float]:
    return dict(lr=group['lr'], initial_lr=group.get('initial_lr', group['lr']))


@HOOKS.register_module()
class CurvesHook(_TrainingHook):
    """Draw loss and Dice to ``<work_dir>/curves.png`` after each validation and at the end.

    The picture is that of ``tools/plot_curves.py``. If it can not be drawn there is a warning, and
    the training goes on.
    """

    priority = 'LOW'  # after LoggerHook has written the figures

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw what there is so far."""
        if self._training:
            self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Draw all."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        with _only_warn(runner, 'the curves'):
            from cranium.visualization.curves import plot_curves

            work_dir = Path(runner.work_dir)
            plot_curves(work_dir, work_dir / 'curves.png')


@HOOKS.register_module()
class DrawPredictionsHook(_TrainingHook):
    """Draw the same few slices after each validation: ``<work_dir>/validations/iter_<n>.png``.

    The slices are evenly spread over the validation slices with and without hemorrhage, and show
    the outlines of truth and prediction. TensorBoard gets the picture as well, where it is in use.
    If it can not be drawn there is a warning, and the training goes on.

    mmseg's ``SegVisualizationHook`` can not do that: it draws all slices of each n-th batch.

    Args:
        count (int): How many slices, half of them with hemorrhage where there are as many.
            Defaults to 4.
    """

    def __init__(self, count: int = 4) -> None:
        super().__init__()
        self.count = count
        self._chosen: list[str] | None = None  # paths of their images
        self._panels: dict[str, Panel] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the slices, at the first validation."""
        self._panels = {}
        if self._training and self._chosen is None:
            self._chosen = []
            with _only_warn(runner, 'predictions'):
                dataset = runner.val_dataloader.dataset
                chosen = choose_slices(dataset.has_hemorrhage(), self.count)
                self._chosen = [dataset.get_data_info(index)['img_path'] for index in chosen]

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Keep the chosen slices of a batch."""
        if self._training:
            for sample in outputs:
                if sample.img_path in self._chosen:
                    with _only_warn(runner, sample.img_path):
                        self._panels[sample.img_path] = _panel(sample)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the slices that all processes kept."""
        if not (self._training and self._chosen):
            return
        gathered = all_gather_object(self._panels)
        if is_main_process():
            with _only_warn(runner, 'predictions'):
                panels = {path: panel for part in gathered for path, panel in part.items()}
                self._draw(runner, [panels[path] for path in self._chosen if path in panels])

    def _draw(self, runner: Runner, panels: 'list[Panel]') -> None:
        from cranium.visualization.contact_sheet import contact_sheet

        sheet = contact_sheet(panels, title=f'Validation slices at iteration {runner.iter}')
        out = Path(runner.work_dir) / 'validations' / f'iter_{runner.iter}.png'
        out.parent.mkdir(exist_ok=True)
        sheet.save(out)
        if tensorboard := runner.visualizer.get_backend('TensorboardVisBackend'):
            tensorboard.add_image('predictions', np.asarray(sheet), step=runner.iter)


def choose_slices(has_hemorrhage: np.ndarray, count: int) -> list[int]:
    """Choose slices with and without hemorrhage, evenly spread over either.

    Args:
        has_hemorrhage (np.ndarray): Of bool, one for each slice.
        count (int): How many at most. If odd, one more is with hemorrhage.

    Returns:
        list[int]: Indices, first of those with hemorrhage. Where one kind is short, more are of the
        other.

    Examples:
        >>> choose_slices(np.array([0, 1, 0, 0, 1, 0, 0, 0], bool), 4)
        [1, 4, 2, 6]
    """
    kinds = [np.flatnonzero(has_hemorrhage), np.flatnonzero(~has_hemorrhage)]
    with_it = min(max(math.ceil(count / 2), count - len(kinds[1])), len(kinds[0]))
    chosen = []
    for kind, number in zip(kinds, (with_it, count - with_it)):
        number = min(number, len(kind))
        # The middles of equal parts, for the ends of a scan show little.
        chosen += kind[
            ((np.arange(number) + 0.5) * len(kind) / max(number, 1)).astype(int)
        ].tolist()
    return chosen


def _panel(sample: SegDataSample) -> 'Panel':
    from PIL import Image

    from cranium.visualization.contact_sheet import Panel, brain_window

    truth, prediction = (
        field.data.squeeze(0).cpu().numpy() == 1
        for field in (sample.gt_sem_seg, sample.pred_sem_seg)
    )
    path = Path(sample.img_path)
    image = np.asarray(brain_window(Image.open(path)))
    return Panel(image, truth, prediction, path.stem)


@contextmanager
def _only_warn(runner: Runner, what: str) -> Iterator[None]:
    """Let nothing that goes wrong with a picture stop a training."""
    try:
        yield
    except Exception as error:
        runner.logger.warning(f'Could not draw {what}: {type(error).__name__}: {error}')
