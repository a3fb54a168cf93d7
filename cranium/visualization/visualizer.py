"""The pictures that mmseg draws: `mim test --show-dir`, ``MMSegInferencer``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS, VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from numpy.typing import NDArray
from PIL import Image

from cranium.visualization.contact_sheet import Panel, contact_sheet, dice_in_words
from cranium.visualization.overlay import PREDICTION, TRUTH, read_gray
from cranium.windows import BRAIN, decode_hu

SIDE = 512  # pixels, at least, for what is written beside the slice


@VISUALIZERS.register_module()
class CraniumVisualizer(SegLocalVisualizer):
    """mmseg's visualizer, which draws a slice as all pictures of Cranium do.

    Truth and prediction lie over one picture, in the brain window. mmseg's own puts them side by
    side, colours the background, and shows 16 bits as their upper eight.

    ``--cfg-options visualizer.tensorboard=True`` adds TensorBoard: mim cannot add to the list of
    backends.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        vis_backends: Sequence[dict[str, Any]] | None = None,
        tensorboard: bool = False,
        **kwargs: Any,
    ) -> None:
        added = [dict(type='TensorboardVisBackend')] if tensorboard else []
        super().__init__(name, vis_backends=[*(vis_backends or []), *added] or None, **kwargs)

    @master_only
    def add_datasample(
        self,
        name: str,
        image: NDArray[Any],
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        with_labels: bool | None = True,
    ) -> None:
        """Draw a slice and show or save it, as ``SegLocalVisualizer`` does.

        Args:
            name (str): What the picture is called.
            image (ndarray): HU or gray values, (H, W) or (H, W, C); of a sample that comes from a
                file, the file is read instead.
            data_sample (SegDataSample, optional): With ``gt_sem_seg``, ``pred_sem_seg`` or both.
            draw_gt (bool): Whether to draw the truth. Defaults to True.
            draw_pred (bool): Whether to draw the prediction. Defaults to True.
            show (bool): Whether to show the picture in a window. Defaults to False.
            wait_time (float): For so many seconds; 0 is for ever. Defaults to 0.
            out_file (str, optional): File to save it to. Defaults to None: to the backends.
            step (int): For the backends. Defaults to 0.
            with_labels (bool): Of no effect; the legend is always there. Defaults to True.
        """
        fields = {}
        if draw_gt:
            fields[TRUTH] = 'gt_sem_seg'
        if draw_pred:
            fields[PREDICTION] = 'pred_sem_seg'
        masks = {
            kind: data_sample.get(field).data.squeeze(0).cpu().numpy() == 1
            for kind, field in fields.items()
            if data_sample is not None and field in data_sample
        }
        path = data_sample.metainfo.get('img_path') if data_sample is not None else None
        gray = read_gray(path) if path else _gray(image)
        panel = Panel(gray, _caption(masks), masks)
        sheet = contact_sheet([panel], title=Path(name).stem, side=max(SIDE, *gray.shape))
        picture = np.asarray(sheet)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, picture, step)
        else:
            mmcv.imwrite(mmcv.rgb2bgr(picture), out_file)


@HOOKS.register_module()
class DrawSlicesHook(SegVisualizationHook):
    """mmseg's hook for ``mim test --show-dir``, which draws every slice.

    mmseg's own asks for the number of the iteration, for which mmengine builds the training: a test
    would want the training's data.

    Args:
        interval (int): Of batches that are drawn. Defaults to 1.
        **kwargs: As ``SegVisualizationHook``.
    """

    def __init__(self, interval: int = 1, **kwargs: Any) -> None:
        super().__init__(interval=interval, **kwargs)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any],
        outputs: Sequence[SegDataSample],
        mode: str = 'val',
    ) -> None:
        if not self.draw or not self.every_n_inner_iters(batch_idx, self.interval):
            return
        for sample in outputs:
            self._visualizer.add_datasample(
                Path(sample.img_path).stem,
                np.dstack([read_gray(sample.img_path)] * 3),
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                step=0 if mode == 'test' else runner.iter,
            )


def _gray(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An array as mmseg's inference is given it: gray values or colours of 8 bits, else HU."""
    if image.ndim == 3:
        if image.dtype == np.uint8 and image.shape[2] == 3:
            return np.asarray(Image.fromarray(image).convert('L'))
        image = image[..., 0]
    if image.dtype == np.uint16:
        image = decode_hu(image)
    return np.asarray(image) if image.dtype == np.uint8 else BRAIN.to_gray(image)


def _caption(masks: dict[str, NDArray[np.bool_]]) -> str:
    if len(masks) == 2:
        return dice_in_words(*masks.values())
    return '; '.join(
        f'{kind}: {np.count_nonzero(mask) or "no"} pixels of hemorrhage'
        for kind, mask in masks.items()
    )
