"""The one look of every picture of a slice: the brain window in gray, masks over it.

A mask is an outline and a translucent fill. The truth is sky blue, its outline broad and its fill
faint; the prediction is orange, its outline narrow and its fill stronger. The outlines lie around
the region and hide none of it, and where both coincide the broad one shows around the narrow one.
The two colours differ for every kind of colour vision (M. Okabe, K. Ito, "Color universal design",
2008); they are about as light as each other, so in a print without colours the width tells.
"""

import base64
import io
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cranium.scans.pictures import read_pixels, to_hu
from cranium.windows import BRAIN

TRUTH, PREDICTION = 'truth', 'prediction'
COLOURS = {TRUTH: (86, 180, 233), PREDICTION: (240, 165, 0)}
FILL = {TRUTH: 0.15, PREDICTION: 0.3}
"""Opacity within the outline."""
WIDTH = {TRUTH: 2, PREDICTION: 1}
"""Of the outline in pixels of a picture of up to 768; in larger ones it grows along."""

CSS = ':root {{ {} }}'.format(
    ' '.join(
        f'--{kind}: rgb{colour}; --{kind}-fill: rgb({", ".join(map(str, colour))}, {FILL[kind]});'
        for kind, colour in COLOURS.items()
    )
)
"""The colours for pages: ``var(--truth)``, ``var(--truth-fill)``, and so for the prediction."""

# The files carry no orientation; anatomy and the published figures agree with this.
CONVENTION = "Radiological convention: the patient's right is on the left."

Mask = NDArray[np.bool_]


def overlay(image: NDArray[np.uint8], masks: Mapping[str, Mask], side: int) -> Image.Image:
    """Draw a slice with its masks.

    Args:
        image (ndarray): Gray values, uint8, shape (H, W).
        masks (mapping): By kind, ``TRUTH`` or ``PREDICTION``, bool of any shape over the same
            field. The last one lies on top; the prediction should.
        side (int): Longest side of the picture in pixels.
    """
    picture = resize(image, side).convert('RGB')
    layers = [outline_layer(mask, kind, picture.size) for kind, mask in masks.items()]
    for line in (False, True):  # no fill over another's line
        for layer in layers:
            opacity = np.asarray(layer.getchannel('A'))
            part = opacity * ((opacity == 255) == line)
            picture.paste(layer, mask=Image.fromarray(part))
    return picture


def outline_layer(mask: Mask, kind: str, size: tuple[int, int]) -> Image.Image:
    """Draw outline and fill of a mask on a transparent ground, to lie over a picture of that size.

    Args:
        mask (ndarray): Bool, (H, W), over the same field as the picture.
        kind (str): ``TRUTH`` or ``PREDICTION``.
        size (tuple): Width and height.

    Returns:
        Image: RGBA.
    """
    # Outlined after scaling, so that the line has its width, and around every pixel that the mask
    # touches, so that the smallest lesion keeps its outline.
    shares = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
    region = np.asarray(shares) > 0.03
    layer = np.zeros((*region.shape, 4), np.uint8)
    layer[region] = (*COLOURS[kind], round(255 * FILL[kind]))
    layer[outline(region, WIDTH[kind] * ceil(max(size) / 768))] = (*COLOURS[kind], 255)
    return Image.fromarray(layer)


def outline(mask: Mask, width: int = 1) -> Mask:
    """Find the pixels around a region, none of its own: nothing of it is hidden."""
    grown = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=width)
    around: Mask = grown & ~mask
    return around


def resize(image: NDArray[np.uint8], side: int) -> Image.Image:
    """Scale a gray slice so that its longest side has so many pixels."""
    height, width = image.shape
    scale = side / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def read_gray(file: str | Path) -> NDArray[np.uint8]:
    """Read a prepared image as gray values, one in HU as the brain window."""
    pixels = read_pixels(file)
    return (
        BRAIN.to_gray(to_hu(pixels)) if pixels.dtype == np.uint16 else np.asarray(pixels, np.uint8)
    )


def layer_uri(layer: Image.Image) -> str:
    """Write a layer as an address; it has three colours, so a few hundred bytes do."""
    return data_uri(layer.quantize(4), optimize=True)


def data_uri(image: Image.Image, format: str = 'PNG', **options: Any) -> str:
    """Write a picture as an address that holds it, for pages that load nothing."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    content = base64.b64encode(buffer.getvalue()).decode('ascii')
    return f'data:image/{format.lower()};base64,{content}'
