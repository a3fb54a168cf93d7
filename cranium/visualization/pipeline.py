"""What each step of a training pipeline makes of a slice, as panels of a contact sheet."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cranium.visualization.contact_sheet import Panel
from cranium.visualization.overlay import TRUTH


class Stage(NamedTuple):
    """What a slice is after a step: its image (H, W, C) of any number type, and its mask.

    The mask holds labels on a grid of any size over the same field; None before there is one.
    """

    step: str
    image: NDArray[Any]
    mask: Any

    def looks_like(self, other: 'Stage') -> bool:
        """Whether image and mask are the same."""
        return all(map(np.array_equal, self[1:], other[1:]))


def run_steps(sample: Any, steps: Sequence[Callable[[Any], Any]]) -> list[Stage]:
    """Send a sample of a data set through transforms; list what it is after each, once it is read.

    Transforms that no longer give arrays, such as ``PackSegInputs``, are to be left out.
    """
    stages = []
    for step in steps:
        sample = step(sample)
        if sample.get('img') is not None:
            mask = sample.get('gt_seg_map')
            image = np.atleast_3d(sample['img']).copy()  # steps may write in place
            stages.append(Stage(type(step).__name__, image, None if mask is None else mask.copy()))
    return stages


def stage_panels(rows: Sequence[tuple[str, Sequence[Stage]]]) -> tuple[list[Panel], int]:
    """Lay out slices below each other and their stages beside each other.

    Of an image with several channels the middle one of those that the first stage has is shown
    (the slice itself, between its neighbours), and of the last stage every channel. Steps that
    change the look of none of the slices are left out.

    Args:
        rows (sequence): Name and stages of each slice.

    Returns:
        tuple[list[Panel], int]: The panels, and how many make a row.
    """
    shown = [
        step
        for step in range(len(rows[0][1]))
        if step == 0 or not all(stages[step].looks_like(stages[step - 1]) for _, stages in rows)
    ]
    panels = []
    for name, stages in rows:
        middle = (stages[0].image.shape[2] - 1) // 2
        for step, image, mask in (stages[number] for number in shown):
            masks = {} if mask is None else {TRUTH: mask == 1}
            panels.append(Panel(_gray(image[..., middle]), f'{name}  {step}', masks))
        for channel, image in enumerate(np.moveaxis(stages[-1].image, -1, 0)):
            if channel != middle:
                panels.append(Panel(_gray(image), f'{name}  channel {channel}'))
    return panels, len(panels) // len(rows)


def _gray(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Black to white over an image; air, of HU, would leave no contrast to the rest."""
    image = image.astype(np.float32).clip(min=-100)
    image -= image.min()
    gray: NDArray[np.uint8] = np.rint(image * (255 / max(image.max(), 1e-9))).astype(np.uint8)
    return gray
