"""A slice in a page: the image, with truth and prediction as outlines that can be switched off."""

import base64
import io
import math
from html import escape
from itertools import count
from pathlib import Path

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image

from cranium.evaluation import masks
from cranium.evaluation.records import SliceRecord
from cranium.visualization.contact_sheet import brain_window

# Corners of an outline: at most so many, and of a part that is left out first fewer than that; a
# single pixel has 4, a square of four 8.
MOST_POINTS, SPECK_POINTS = 2000, 9


def slice_figure(record: SliceRecord, side: int = 256, most_points: int = MOST_POINTS) -> str:
    """Draw a slice as an HTML ``<figure>``.

    The outlines are vectors at the resolution of the masks, over an image of reduced size. Where
    an outline cannot be drawn, or not as it is, the figure says so.

    Args:
        record (SliceRecord): The slice, whose files are read.
        side (int): Longest side of the image in pixels. Defaults to 256.
        most_points (int): Corners that an outline may have; see :func:`outline`.

    Returns:
        str: The element; without a picture where the image is not known.

    Raises:
        OSError: If a file that the record names cannot be read.
    """
    notes: list[str] = []
    picture = '<p class="missing">no image</p>'
    if record.image_file:
        with _open(record.image_file) as image:
            width, height = image.size
            uri = _data_uri(image, side)
        outlines = _outlines(record, (height, width), most_points, notes)
        picture = (
            f'<img loading="lazy" decoding="async" src="{uri}" width="{width}" height="{height}" '
            f'alt="{escape(alternative_text(record))}">'
            f'<svg class="outlines" viewBox="0 0 {2 * width} {2 * height}" aria-hidden="true">'
            f'{outlines}</svg>'
        )
    caption = '; '.join([describe(record), *notes])
    return (
        f'<figure class="slice" data-slice="{record.name}"><div>{picture}</div>'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def _outlines(
    record: SliceRecord, shape: tuple[int, int], most_points: int, notes: list[str]
) -> str:
    """Outlines of truth and prediction; what is to be said of them is added to the notes."""
    paths = []
    for kind, file, pixels in (
        ('truth', record.truth_file, record.tp + record.fn),
        ('prediction', record.prediction_file, record.tp + record.fp),
    ):
        if not pixels:
            continue  # most masks are empty, and reading takes longer than all the rest
        if not file:
            notes.append(f'{kind} not drawn, as no mask file of this slice is known')
            continue
        mask = _read(file)
        if mask.shape != shape:
            notes.append(f'{kind} not drawn, as the mask has another size than the image')
            continue
        path, whole = outline(mask, most_points)
        paths.append(f'<path class="{kind}" d="{path}"/>')
        if not whole:
            notes.append(f'{kind} outlined roughly and without its smallest parts')
    return ''.join(paths)


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


def outline(mask: NDArray[np.bool_], most_points: int = MOST_POINTS) -> tuple[str, bool]:
    """Outlines of a mask as an SVG path.

    Where a speckled mask would have too many corners, its smallest parts are left out, and of the
    others only every n-th corner is kept, n being as small as will do.

    Args:
        mask (ndarray): bool of shape (H, W).
        most_points (int): Corners that the path may have. Defaults to 2000.

    Returns:
        tuple[str, bool]: Path data in half pixels, so that all coordinates are whole numbers,
        (0, 0) being the upper left corner of the image, empty for an empty mask; and whether it
        is the whole outline.
    """
    padded = np.pad(mask, 1).astype(float)
    # A pixel's centre lies at 2 i + 1 half pixels; the padding shifts by one pixel. The last
    # corner of a contour is the first one again.
    lines = [np.rint(2 * e - 1).astype(int)[:-1] for e in contour_generator(z=padded).lines(0.5)]
    kept = lines
    for step in count(1):
        if sum(map(len, kept)) <= most_points:
            break
        least = max(SPECK_POINTS, 3 * step)
        kept = [line[::step] for line in lines if len(line) >= least]
    path = []
    for points in kept:
        steps = ' '.join(f'{dx} {dy}' for dx, dy in np.diff(points, axis=0))
        path.append(f'M{points[0, 0]} {points[0, 1]}l{steps}z')
    return ''.join(path), kept is lines


def _open(file: str | Path) -> Image.Image:
    try:
        return Image.open(file)
    except FileNotFoundError:
        raise _not_there(file) from None


def _read(file: str | Path) -> NDArray[np.bool_]:
    if not Path(file).is_file():
        raise _not_there(file)
    return masks.read_mask(file).labels == 1


def _not_there(file: str | Path) -> FileNotFoundError:
    return FileNotFoundError(
        f'{file}: not there; write the report in the folder in which the test ran, and before the '
        'data are moved'
    )


def _data_uri(image: Image.Image, side: int) -> str:
    image = brain_window(image)
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=70, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode('ascii')
