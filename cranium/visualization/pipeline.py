"""What each step of a training pipeline makes of a slice, as a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_CELL = 2.2  # inches
_ORANGE = '#ff6b35'


@dataclass(frozen=True)
class Stage:
    """What a slice is after a step.

    Attributes:
        name (str): The step.
        image (ndarray): (H, W, C), any number type.
        mask (ndarray, optional): (h, w), labels on a grid of any size over the same field.
    """

    name: str
    image: NDArray
    mask: NDArray | None


def run_steps(record: dict, steps: Sequence[Callable[[dict], dict]]) -> list[Stage]:
    """Send a slice through a pipeline and keep what it is after each step.

    Args:
        record (dict): What a data set hands to its pipeline.
        steps (sequence): mmcv transforms; those after the last that deals with arrays, such as
            ``PackSegInputs``, are to be left out.

    Returns:
        list[Stage]: After each step from the one that loads the image.
    """
    stages, results = [], record
    for step in steps:
        results = step(results)
        if results.get('img') is None:
            continue
        image = np.atleast_3d(results['img']).copy()
        mask = results.get('gt_seg_map')
        stages.append(Stage(type(step).__name__, image, None if mask is None else mask.copy()))
    return stages


def draw_stages(rows: Sequence[tuple[str, Sequence[Stage]]], file: str | Path) -> None:
    """Draw slices below each other, their stages beside each other, the truth as an outline.

    Of an image with several channels the middle one of those that the first stage has is drawn
    (the slice itself, between its neighbours), and of the last stage every channel. Steps that
    change the look of none of the slices are left out.

    Args:
        rows (sequence): For each slice its name and its stages, the same steps for all.
        file (str | Path): Picture to write.
    """
    from matplotlib.figure import Figure

    slices = [stages for _, stages in rows]
    shown = [
        step
        for step in range(len(slices[0]))
        if step == 0 or not all(_same(stages[step - 1], stages[step]) for stages in slices)
    ]
    cells = [_cells([stages[step] for step in shown]) for stages in slices]
    width = max(map(len, cells))
    figure = Figure(figsize=(_CELL * width, _CELL * 1.25 * len(rows)), layout='constrained')
    axes = figure.subplots(len(rows), width, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for (name, _), line, row in zip(rows, axes, cells):
        for axis, (title, image, mask) in zip(line, row):
            axis.imshow(image, cmap='gray', interpolation='nearest')
            if mask is not None and (mask == 1).any():
                # The mask's pixels cover the same field as the image's, in whatever number.
                height, width = image.shape
                extent = (-0.5, width - 0.5, -0.5, height - 0.5)
                axis.contour(mask == 1, [0.5], colors=_ORANGE, linewidths=0.8, extent=extent)
            axis.set_title(title, fontsize=7)
        line[0].text(0.02, 0.02, name, color='white', fontsize=7, transform=line[0].transAxes)
    figure.savefig(file, dpi=110)


def _cells(stages: Sequence[Stage]) -> list[tuple[str, NDArray, NDArray | None]]:
    middle = (stages[0].image.shape[2] - 1) // 2
    cells = [(stage.name, stage.image[..., middle], stage.mask) for stage in stages]
    last = stages[-1].image
    others = [i for i in range(last.shape[2]) if i != middle]
    return cells + [(f'channel {i}', last[..., i], None) for i in others]


def _same(one: Stage, other: Stage) -> bool:
    masks = (one.mask, other.mask)
    if (masks[0] is None) != (masks[1] is None):
        return False
    return np.array_equal(one.image, other.image) and (masks[0] is None or np.array_equal(*masks))
