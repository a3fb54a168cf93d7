"""What each step of a training pipeline makes of a slice, as panels of a contact sheet."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cranium.visualization.contact_sheet import Panel
from cranium.visualization.overlay import TRUTH


class Stage(NamedTuple):
    """What a slice is after a step.

    Attributes:
        name (str): The step.
        image (ndarray): (H, W, C), any number type.
        mask (ndarray): (h, w), labels on a grid of any size over the same field; (0, 0) before
            there is one.
    """

    name: str
    image: NDArray[Any]
    mask: NDArray[Any]


def run_steps(sample: Any, steps: Sequence[Callable[[Any], Any]]) -> list[Stage]:
    """Send a slice through a pipeline and keep what it is after each step.

    Args:
        sample (dict): What a data set hands to its pipeline.
        steps (sequence): mmcv transforms; those after the last that deals with arrays, such as
            ``PackSegInputs``, are to be left out.

    Returns:
        list[Stage]: After each step from the one that loads the image.
    """
    stages = []
    for step in steps:
        sample = step(sample)
        if sample.get('img') is not None:
            mask = sample.get('gt_seg_map', np.zeros((0, 0), np.uint8))
            stages.append(
                Stage(type(step).__name__, np.atleast_3d(sample['img']).copy(), mask.copy())
            )
    return stages


def stage_panels(rows: Sequence[tuple[str, Sequence[Stage]]]) -> tuple[list[Panel], int]:
    """Lay out slices below each other and their stages beside each other.

    Of an image with several channels the middle one of those that the first stage has is shown
    (the slice itself, between its neighbours), and of the last stage every channel. Steps that
    change the look of none of the slices are left out.

    Args:
        rows (sequence): For each slice its name and its stages, the same steps for all.

    Returns:
        tuple[list[Panel], int]: The panels, and how many make a row.
    """
    slices = [stages for _, stages in rows]
    shown = [
        step
        for step in range(len(slices[0]))
        if step == 0
        or not all(map(_same, (s[step - 1] for s in slices), (s[step] for s in slices)))
    ]
    panels = []
    for name, stages in rows:
        middle = (stages[0].image.shape[2] - 1) // 2
        for stage in (stages[step] for step in shown):
            panels.append(_panel(f'{name}  {stage.name}', stage.image[..., middle], stage.mask))
        last = np.moveaxis(stages[-1].image, -1, 0)
        for channel, image in enumerate(last):
            if channel != middle:
                panels.append(_panel(f'{name}  channel {channel}', image))
    return panels, len(panels) // len(rows)


def _panel(caption: str, image: NDArray[Any], mask: NDArray[Any] | None = None) -> Panel:
    image = np.maximum(image, -100)  # air, of HU, would leave no contrast to the rest
    low, high = float(image.min()), float(image.max())
    gray = np.rint((image - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    return Panel(gray, caption, {TRUTH: mask == 1} if mask is not None and mask.size else {})


def _same(one: Stage, other: Stage) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.mask, other.mask)
