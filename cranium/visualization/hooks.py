"""Pictures of where a training stands."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from cranium.visualization.contact_sheet import Panel, contact_sheet, prediction_panel
from cranium.visualization.curves import plot_curves
from cranium.visualization.overlay import read_gray


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw loss and Dice to ``<work_dir>/curves.png`` after each validation and at the end."""

    priority = 'LOW'  # after LoggerHook has written the figures

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw what there is so far."""
        if runner.iter:  # else a given checkpoint is validated
            self.after_train(runner)

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw all."""
        with _only_warn(runner, 'the curves'):
            work_dir = Path(runner.work_dir)
            plot_curves(work_dir, work_dir / 'curves.png')


@HOOKS.register_module()
class DrawPredictionsHook(Hook):
    """Draw the same few slices after each validation: ``<work_dir>/validations/iter_<n>.png``.

    TensorBoard gets the picture as well, where it is in use. mmseg's ``SegVisualizationHook`` draws
    all slices of each n-th batch.

    Args:
        count (int): How many slices, half of them with hemorrhage where there are as many.
            Defaults to 4.
    """

    def __init__(self, count: int = 4) -> None:
        self.count = count
        self._chosen: list[str] = []  # paths of their images
        self._panels: dict[str, Panel] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose the slices, at the first validation of a training."""
        self._panels = {}
        if runner.iter and not self._chosen:
            with _only_warn(runner, 'predictions'):
                dataset = runner.val_dataloader.dataset
                chosen = choose_slices(dataset.has_hemorrhage(), self.count)
                self._chosen = [dataset.get_data_info(index)['img_path'] for index in chosen]

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Keep the chosen slices of a batch."""
        for sample in outputs or ():
            if sample.img_path in self._chosen:
                with _only_warn(runner, sample.img_path):
                    truth, prediction = (
                        field.data.squeeze(0).cpu().numpy() == 1
                        for field in (sample.gt_sem_seg, sample.pred_sem_seg)
                    )
                    path = Path(sample.img_path)
                    panel = prediction_panel(path.stem, read_gray(path), truth, prediction)
                    self._panels[sample.img_path] = panel

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the slices that all processes kept."""
        if not self._chosen:
            return
        gathered = all_gather_object(self._panels)
        if is_main_process():
            with _only_warn(runner, 'predictions'):
                panels = {path: panel for part in gathered for path, panel in part.items()}
                self._draw(runner, [panels[path] for path in self._chosen if path in panels])

    def _draw(self, runner: Runner, panels: list[Panel]) -> None:
        sheet = contact_sheet(panels, title=f'Validation slices at iteration {runner.iter}')
        out = Path(runner.work_dir) / 'validations' / f'iter_{runner.iter}.png'
        out.parent.mkdir(exist_ok=True)
        sheet.save(out)
        if tensorboard := runner.visualizer.get_backend('TensorboardVisBackend'):
            tensorboard.add_image('predictions', np.asarray(sheet), step=runner.iter)


def choose_slices(has_hemorrhage: NDArray[np.bool_], count: int) -> list[int]:
    """Choose so many slices, half of them with hemorrhage, evenly spread over either kind.

    If ``count`` is odd, one more is with hemorrhage; where one kind is short, more of the other.

    Returns:
        list[int]: Indices, first of those with hemorrhage.
    """
    kinds = [np.flatnonzero(has_hemorrhage), np.flatnonzero(~has_hemorrhage)]
    with_it = min(max(math.ceil(count / 2), count - len(kinds[1])), len(kinds[0]))
    chosen: list[int] = []
    for kind, wanted in zip(kinds, (with_it, count - with_it)):
        number = min(wanted, len(kind))
        # The middles of equal parts, for the ends of a scan show little.
        chosen += [int(kind[int((part + 0.5) * len(kind) / number)]) for part in range(number)]
    return chosen


@contextmanager
def _only_warn(runner: Runner, what: str) -> Iterator[None]:
    """Let nothing that goes wrong with a picture stop a training."""
    try:
        yield
    except Exception as error:
        runner.logger.warning(f'Could not draw {what}: {type(error).__name__}: {error}')
