"""A contact sheet: slices side by side below a title and a legend."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cranium.errors import CraniumError
from cranium.manifest import IMAGES, MASKS
from cranium.visualization import overlay
from cranium.visualization.overlay import COLOURS, PREDICTION, TRUTH, Mask

PANEL, CAPTION, GAP, HEADER = 256, 20, 4, 48  # pixels
_TEXT, _GROUND = (235, 235, 235), (24, 24, 24)
_SWATCH = np.full((16, 30), 110, np.uint8)  # of the legend, as brain
_SWATCHED = np.pad(np.ones((10, 24), bool), 3)


class Panel(NamedTuple):
    """A slice to draw: gray values (H, W), the line below it, and the masks to outline, by kind."""

    image: NDArray[np.uint8]
    caption: str = ''
    masks: Mapping[str, Mask] = {}


def contact_sheet(
    panels: Sequence[Panel], columns: int = 4, title: str = '', side: int = PANEL
) -> Image.Image:
    """Put slices side by side, below a title and a legend of the masks that occur.

    Args:
        panels (sequence): The slices.
        columns (int): How many make a row. Defaults to 4.
        title (str): A line above them. Defaults to none.
        side (int): Side of a panel in pixels. Defaults to 256.

    Raises:
        CraniumError: If there is no slice.
    """
    if not panels:
        raise CraniumError('There is no slice to draw; choose others.')
    columns = min(columns, len(panels))
    rows = ceil(len(panels) / columns)
    size = (columns * (side + GAP) + GAP, HEADER + rows * (side + CAPTION + GAP) + GAP)
    sheet = Image.new('RGB', size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    _write(draw, (GAP + 4, 6), title, size[0] - 16)
    _write_legend(sheet, {kind for panel in panels for kind in panel.masks})
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        x, y = GAP + column * (side + GAP), HEADER + row * (side + CAPTION + GAP)
        picture = overlay.overlay(panel.image, panel.masks, side)
        draw.rectangle((x, y, x + side - 1, y + side + CAPTION - 1), fill=(0, 0, 0))
        sheet.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
        _write(draw, (x + 4, y + side + 3), panel.caption, side - 8, size=12)
    return sheet


def _write_legend(sheet: Image.Image, kinds: set[str]) -> None:
    draw, x = ImageDraw.Draw(sheet), GAP + 4
    for kind in (TRUTH, PREDICTION):
        if kind in kinds:
            swatch = overlay.overlay(_SWATCH, {kind: _SWATCHED}, _SWATCH.shape[1])
            sheet.paste(swatch, (x, 27))
            x += swatch.width + 8
            x += _write(draw, (x, 26), kind, sheet.width - x, fill=COLOURS[kind]) + 16
    _write(draw, (x, 26), overlay.CONVENTION, sheet.width - x - GAP, fill=(170, 170, 170))


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
    caption = f'{name}  {dice_in_words(truth, prediction)}'
    return Panel(image, caption, {TRUTH: truth, PREDICTION: prediction})


def dice_in_words(truth: Mask, prediction: Mask) -> str:
    """Say how far two masks agree, as in ``Dice 0.74``."""
    pixels = int(truth.sum() + prediction.sum())
    return f'Dice {2 * (truth & prediction).sum() / pixels:.2f}' if pixels else 'no hemorrhage'


def read_panels(predictions: Path, tree: Path, count: int) -> list[Panel]:
    """Read 0/1 masks, as by ``mim test --out``, with their slices and true masks in a tree.

    At most ``count`` of them, evenly spread over all that were predicted.

    Raises:
        CraniumError: There is no prediction, or the slice or mask of one is missing or of another
            size.
    """
    files = sorted(predictions.glob('*.png'))
    if not files:
        msg = f'{predictions} holds no .png; expected the masks that `mim test --out` writes'
        raise CraniumError(msg)
    panels = []
    for index in np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int):
        file = files[index]
        image, truth = (_read(tree / kind, file.name) for kind in (IMAGES, MASKS))
        prediction = overlay.read_gray(file)
        if not image.shape == truth.shape == prediction.shape:
            raise CraniumError(
                f'{file}: its shape is {prediction.shape}, that of the slice {image.shape} and '
                f'of the true mask {truth.shape}; predict at the size of the slice'
            )
        panels.append(prediction_panel(file.stem, image, truth == 1, prediction == 1))
    return panels


def _read(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read a slice of any split."""
    file = next(folder.glob(f'*/{name}'), None)
    if file is None:
        msg = f'{folder} has no {name}; give the --data that the predictions were made on'
        raise CraniumError(msg)
    return overlay.read_gray(file)
