"""A contact sheet: slices side by side below a title and a legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cranium.errors import CraniumError
from cranium.visualization.overlay import (
    COLOURS,
    CONVENTION,
    PREDICTION,
    TRUTH,
    Mask,
    overlay,
    read_gray,
)

PANEL, CAPTION, GAP, HEADER = 256, 20, 4, 48  # pixels
_TEXT, _GROUND = (235, 235, 235), (24, 24, 24)


@dataclass
class Panel:
    """A slice to draw.

    Attributes:
        image (ndarray): Gray values, uint8, shape (H, W).
        caption (str): The line below it.
        masks (dict): What to outline; see :func:`cranium.visualization.overlay.overlay`.
    """

    image: NDArray[np.uint8]
    caption: str = ''
    masks: Mapping[str, Mask] = field(default_factory=dict)


def contact_sheet(panels: Sequence[Panel], columns: int = 4, title: str = '') -> Image.Image:
    """Put slices side by side, below a title and a legend of the outlines that occur.

    Args:
        panels (sequence): The slices, in reading order.
        columns (int): Slices per row. Defaults to 4.
        title (str): A line above. Defaults to ''.

    Returns:
        Image: RGB.

    Raises:
        CraniumError: If there is no slice.
    """
    if not panels:
        raise CraniumError('There is no slice to draw; choose others.')
    columns = min(columns, len(panels))
    rows = ceil(len(panels) / columns)
    size = (columns * (PANEL + GAP) + GAP, HEADER + rows * (PANEL + CAPTION + GAP) + GAP)
    sheet = Image.new('RGB', size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (GAP + 4, 6), title, size[0] - 16)
    _write_legend(draw, {kind for panel in panels for kind in panel.masks}, size[0])
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        x, y = GAP + column * (PANEL + GAP), HEADER + row * (PANEL + CAPTION + GAP)
        picture = overlay(panel.image, panel.masks, PANEL)
        draw.rectangle((x, y, x + PANEL - 1, y + PANEL + CAPTION - 1), fill=(0, 0, 0))
        sheet.paste(picture, (x + (PANEL - picture.width) // 2, y + (PANEL - picture.height) // 2))
        _write(draw, (x + 4, y + PANEL + 3), panel.caption, PANEL - 8, size=12)
    return sheet


def _write_legend(draw: ImageDraw.ImageDraw, kinds: set[str], width: int) -> None:
    x = GAP + 4
    for kind in (TRUTH, PREDICTION):
        if kind in kinds:
            for start in (0, 9, 18):  # a line, or three dashes
                end = start + (5 if kind == PREDICTION else 9)
                draw.line((x + start, 35, x + end, 35), fill=COLOURS[kind], width=2)
            x += 32 + _write(draw, (x + 32, 26), kind, width - x, fill=COLOURS[kind]) + 16
    _write(draw, (x, 26), CONVENTION, width - x - GAP, fill=(170, 170, 170))


def _write(
    draw: ImageDraw.ImageDraw,
    where: tuple[int, int],
    text: str,
    width: int,
    size: int = 14,
    fill: tuple[int, int, int] = _TEXT,
) -> int:
    """Write a line, in smaller letters where it is too long; return its length in pixels."""
    font = ImageFont.load_default(size)
    if size > 7 and draw.textlength(text, font=font) > width:
        return _write(draw, where, text, width, size - 1, fill)
    draw.text(where, text, fill=fill, font=font)
    return int(draw.textlength(text, font=font))


def prediction_panel(name: str, image: NDArray[np.uint8], truth: Mask, prediction: Mask) -> Panel:
    """Make the panel of a predicted slice, its Dice in the caption."""
    pixels = int(truth.sum() + prediction.sum())
    dice = 2 * int((truth & prediction).sum()) / pixels if pixels else None
    caption = f'{name}  ' + ('no hemorrhage' if dice is None else f'Dice {dice:.2f}')
    return Panel(image, caption, {TRUTH: truth, PREDICTION: prediction})


def read_panels(predictions: Path, images: Path, masks: Path, count: int) -> list[Panel]:
    """Read predicted masks with their slices, evenly spread over all that were predicted.

    Args:
        predictions (Path): Folder of predicted 0/1 masks, as by ``mim test --out``.
        images (Path): Folder of the slices, under the same names.
        masks (Path): Folder of the true masks, under the same names.
        count (int): How many slices at most.

    Returns:
        list[Panel]: In order of name.

    Raises:
        CraniumError: There is no prediction, or the slice or mask of one is missing or of another
            size.
    """
    files = sorted(predictions.glob('*.png'))
    if not files:
        msg = f'{predictions} holds no .png; expected the masks that `mim test --out` writes'
        raise CraniumError(msg)
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [_read_panel(files[index], images, masks) for index in chosen]


def _read_panel(prediction: Path, images: Path, masks: Path) -> Panel:
    image, truth, predicted = (
        _read(file) for file in (images / prediction.name, masks / prediction.name, prediction)
    )
    if not image.shape == truth.shape == predicted.shape:
        msg = (
            f'{prediction}: its shape is {predicted.shape}, that of the slice {image.shape} and '
            f'of the true mask {truth.shape}; predict at the size of the slice'
        )
        raise CraniumError(msg)
    return prediction_panel(prediction.stem, image, truth == 1, predicted == 1)


def _read(file: Path) -> NDArray[np.uint8]:
    if not file.is_file():
        msg = f'{file} is not there; give the --data and --split that the predictions were made on'
        raise CraniumError(msg)
    return read_gray(file)
