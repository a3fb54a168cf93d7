"""A contact sheet: slices side by side, prediction and truth as outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cranium.evaluation import measures
from cranium.preparation.sheets import outline

TRUTH, PREDICTION = (64, 220, 90), (255, 80, 60)
PANEL = 256  # pixels, the width and height of a slice on the sheet
CAPTION = 20
GAP = 4


@dataclass
class Panel:
    """A slice to draw.

    Attributes:
        image (np.ndarray): Gray slice, uint8, shape (H, W).
        truth (np.ndarray): True hemorrhage, bool, shape (H, W).
        prediction (np.ndarray): Predicted hemorrhage, bool, shape (H, W).
        name (str): Of the slice.
    """

    image: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    name: str

    @property
    def caption(self) -> str:
        """The slice and its Dice, the line below it."""
        truth, prediction = self.truth, self.prediction
        overlap, false, missed = truth & prediction, prediction & ~truth, truth & ~prediction
        dice = measures.dice(overlap.sum(), false.sum(), missed.sum())
        return f'{self.name}  ' + ('no hemorrhage' if np.isnan(dice) else f'Dice {dice:.2f}')


def draw_panel(panel: Panel) -> Image.Image:
    """Draw a slice with its two outlines, truth first, so that the prediction lies on top.

    Args:
        panel (Panel): What to draw.

    Returns:
        Image.Image: RGB, ``PANEL`` x (``PANEL`` + ``CAPTION``) pixels.

    Raises:
        ValueError: If the masks differ from the image in size.
    """
    size = (PANEL, PANEL)
    pixels = np.array(Image.fromarray(panel.image).resize(size, Image.Resampling.BILINEAR))
    pixels = np.repeat(pixels[..., None], 3, axis=2)
    for mask, colour in ((panel.truth, TRUTH), (panel.prediction, PREDICTION)):
        if mask.shape != panel.image.shape:
            msg = f'{panel.name}: the image is {panel.image.shape}, a mask {mask.shape}.'
            raise ValueError(msg)
        # Outlined after scaling, or else the line would be lost or broken.
        scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize(
            size, Image.Resampling.BILINEAR
        )
        pixels[outline(np.array(scaled) > 127)] = colour
    canvas = Image.new('RGB', (PANEL, PANEL + CAPTION))
    canvas.paste(Image.fromarray(pixels), (0, 0))
    ImageDraw.Draw(canvas).text(
        (4, PANEL + 3), panel.caption, fill=(235, 235, 235), font=ImageFont.load_default(12)
    )
    return canvas


def contact_sheet(panels: Sequence[Panel], columns: int = 4, title: str = '') -> Image.Image:
    """Put slices side by side, below a title and a legend.

    Args:
        panels (Sequence[Panel]): The slices, in reading order.
        columns (int): Slices a row. Defaults to 4.
        title (str): A line above. Defaults to ''.

    Returns:
        Image.Image: RGB.

    Raises:
        ValueError: If there is no slice.
    """
    if not panels:
        msg = 'There is no slice to draw.'
        raise ValueError(msg)
    columns = min(columns, len(panels))
    header = 48
    width = columns * (PANEL + GAP) + GAP
    height = header + ceil(len(panels) / columns) * (PANEL + CAPTION + GAP) + GAP
    sheet = Image.new('RGB', (width, height), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    draw.text((GAP + 4, 6), title, fill=(235, 235, 235), font=font)
    x = GAP + 4
    for text, colour in (
        ('truth', TRUTH),
        ('prediction', PREDICTION),
        ("radiological view: the patient's right is on the left", (170, 170, 170)),
    ):
        draw.text((x, 26), text, fill=colour, font=font)
        x += int(draw.textlength(text, font=font)) + 16
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        position = (GAP + column * (PANEL + GAP), header + row * (PANEL + CAPTION + GAP))
        sheet.paste(draw_panel(panel), position)
    return sheet


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
        FileNotFoundError: If there is no prediction, or a slice or mask of one is missing.
    """
    files = sorted(predictions.glob('*.png'))
    if not files:
        msg = f'{predictions} holds no .png; expected the masks that `mim test --out` writes.'
        raise FileNotFoundError(msg)
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int)
    return [_read_panel(files[index], images, masks) for index in chosen]


def _read_panel(prediction: Path, images: Path, masks: Path) -> Panel:
    predicted = _read_gray(prediction) == 1
    true = _read_gray(masks / prediction.name) == 1
    return Panel(_read_gray(images / prediction.name), true, predicted, prediction.stem)


def brain_window(image: Image.Image) -> Image.Image:
    """Give the brain window of a prepared slice.

    Args:
        image (Image.Image): Gray, or RGB with the channels brain, bone, brain.

    Returns:
        Image.Image: Gray; a mean of the windows would show neither.
    """
    return image.getchannel('R') if image.mode == 'RGB' else image.convert('L')


def _read_gray(path: Path) -> np.ndarray:
    if not path.is_file():
        msg = f'{path} is not there; give the --data and --split that the predictions were made on.'
        raise FileNotFoundError(msg)
    return np.asarray(brain_window(Image.open(path)))
