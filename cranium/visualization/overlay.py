"""The one look of every picture of a slice: the brain window in gray, masks as outlines over it.

The truth is a solid line in sky blue, the prediction a dashed one in orange. The two differ for
every kind of colour vision (M. Okabe, K. Ito, "Color universal design", 2008), and where they
coincide the truth shows through the gaps of the prediction.
"""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cranium.windows import BRAIN, decode_hu

TRUTH, PREDICTION = 'truth', 'prediction'
COLOURS = {TRUTH: (86, 180, 233), PREDICTION: (240, 165, 0)}

# The files carry no orientation; anatomy and the published figures agree with this.
CONVENTION = "Radiological convention: the patient's right is on the left."

Mask = NDArray[np.bool_]


def overlay(image: NDArray[np.uint8], masks: Mapping[str, Mask], side: int) -> Image.Image:
    """Draw a slice with the outlines of its masks.

    Args:
        image (ndarray): Gray values, uint8, shape (H, W).
        masks (mapping): By kind, ``TRUTH`` or ``PREDICTION``, bool of any shape over the same
            field. The last one lies on top.
        side (int): Longest side of the picture in pixels.
    """
    picture = resize(image, side).convert('RGB')
    for kind, mask in masks.items():
        line = outline_layer(mask, kind, picture.size)
        picture.paste(line, mask=line.getchannel('A'))
    return picture


def outline_layer(mask: Mask, kind: str, size: tuple[int, int]) -> Image.Image:
    """Draw the outline of a mask on a transparent ground, to lie over a picture of that size."""
    # Outlined after scaling, so that the line is one pixel wide, and around every pixel that the
    # mask touches, so that the smallest lesion keeps its outline.
    shares = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
    line = outline(np.asarray(shares) > 0.03)
    if kind == PREDICTION:
        y, x = np.indices(line.shape)
        line &= (x + 2 * y) // 5 % 2 == 0
    layer = np.zeros((*line.shape, 4), np.uint8)
    layer[line] = (*COLOURS[kind], 255)
    return Image.fromarray(layer)


def outline(mask: Mask) -> Mask:
    """Find the pixels around a region, none of its own: nothing of it is hidden."""
    around: Mask = ndimage.binary_dilation(mask, np.ones((3, 3))) & ~mask
    return around


def resize(image: NDArray[np.uint8], side: int) -> Image.Image:
    """Scale a gray slice so that its longest side has so many pixels."""
    height, width = image.shape
    scale = side / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def read_gray(file: str | Path) -> NDArray[np.uint8]:
    """Read a prepared image as gray values, one in HU as the brain window."""
    with Image.open(file) as image:
        if image.mode.startswith('I'):  # 16 bits
            return BRAIN.to_gray(decode_hu(np.asarray(image, np.uint16)))
        return np.asarray(image.convert('L'))


def data_uri(image: Image.Image, format: str = 'PNG', **options: Any) -> str:
    """Write a picture as an address that holds it, for pages that load nothing."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    content = base64.b64encode(buffer.getvalue()).decode('ascii')
    return f'data:image/{format.lower()};base64,{content}'
