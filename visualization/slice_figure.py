"""A slice in a page: the image, with truth and prediction as outlines that can be switched off."""

import base64
import io
import math
from html import escape
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image

from cranium.evaluation.records import SliceRecord


def slice_figure(record: SliceRecord, side: int = 256) -> str:
    """Draw a slice as an HTML ``<figure>``.

    The outlines are vectors at the resolution of the masks, over an image of reduced size.

    Args:
        record (SliceRecord): The slice, whose files are read.
        side (int): Longest side of the image in pixels. Defaults to 256.

    Returns:
        str: The element; without a picture where the image is not known.

    Raises:
        OSError: If a file that the record names cannot be read.
    """
    caption = describe(record)
    picture = '<p class="missing">no image</p>'
    if record.image_file:
        with _open(record.image_file) as image:
            width, height = image.size
            uri = _data_uri(image, side)
        masks = {
            'truth': record.truth_file if record.tp + record.fn else '',
            'prediction': record.prediction_file if record.tp + record.fp else '',
        }
        outlines = ''.join(
            f'<path class="{kind}" d="{outline(_read(file))}"/>'
            for kind, file in masks.items()
            if file  # most masks are empty, and reading takes longer than all the rest
        )
        picture = (
            f'<img loading="lazy" decoding="async" src="{uri}" width="{width}" height="{height}" '
            f'alt="{escape(alternative_text(record))}">'
            f'<svg class="outlines" viewBox="0 0 {2 * width} {2 * height}" aria-hidden="true">'
            f'{outlines}</svg>'
        )
    return (
        f'<figure class="slice" data-slice="{record.name}"><div>{picture}</div>'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def describe(record: SliceRecord) -> str:
    """The line below a slice, such as ``049, slice 21: Dice 0.83, epidural``."""
    if record.hemorrhage:
        parts = [f'Dice {record.dice:.2f}']
    elif record.fp:
        parts = [f'{record.fp} px false']
    else:
        parts = ['none, none predicted']
    parts += [kind.lower() for kind in record.types or ()]
    if not math.isnan(record.score):
        parts.append(f'score {record.score:.2f}')
    return f'{record.patient}, slice {record.slice}: ' + ', '.join(parts)


def alternative_text(record: SliceRecord) -> str:
    """What is to be seen on a slice, in words."""
    true, predicted = record.tp + record.fn, record.tp + record.fp
    truth = f'{true} pixels of hemorrhage' if true else 'no hemorrhage'
    prediction = f'{predicted} were predicted' if predicted else 'none was predicted'
    return (
        f'Head CT of patient {record.patient}, slice {record.slice}: {truth}; {prediction}, '
        f'{record.tp} in common.'
    )


def outline(mask: NDArray[np.bool_]) -> str:
    """Outlines of a mask as an SVG path.

    Args:
        mask (ndarray): bool of shape (H, W).

    Returns:
        str: Path data in half pixels, so that all coordinates are whole numbers, (0, 0) being the
        upper left corner of the image. Empty for an empty mask.
    """
    padded = np.pad(mask, 1).astype(float)
    path = []
    for line in contour_generator(z=padded).lines(0.5):
        # A pixel's centre lies at 2 i + 1 half pixels; the padding shifts by one pixel.
        points = np.rint(2 * line - 1).astype(int)
        steps = ' '.join(f'{dx} {dy}' for dx, dy in np.diff(points[:-1], axis=0))
        path.append(f'M{points[0, 0]} {points[0, 1]}l{steps}z')
    return ''.join(path)


def _open(file: str | Path) -> Image.Image:
    try:
        return Image.open(file)
    except FileNotFoundError:
        raise FileNotFoundError(
            f'{file}: not there; write the report in the folder in which the test ran, and before '
            'the data are moved'
        ) from None


def _read(file: str | Path) -> NDArray[np.bool_]:
    with _open(file) as image:
        return np.asarray(image) == 1


def _data_uri(image: Image.Image, side: int) -> str:
    image = image.convert('L')
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=70, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode('ascii')
