"""A slice of a report: its picture, the outlines over it, and what is to be seen, in words."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cranium.errors import CraniumError
from cranium.evaluation.masks import read_mask
from cranium.visualization.overlay import (
    PREDICTION,
    TRUTH,
    data_uri,
    layer_uri,
    outline_layer,
    read_gray,
    resize,
)

LAYER_SIDE = 256
"""Longest side of a layer, at least: it takes few bytes, and over a small picture stays fine."""


def slice_picture(row: Mapping[Any, Any], side: int) -> dict[str, Any]:
    """Draw a row of ``slices.csv``, with ``name``, ``hemorrhage`` and ``log_odds``, for a page.

    Returns:
        dict: ``name``; ``image``, an address of a picture whose longest side has so many pixels,
        empty where no image is known; ``outlines``, addresses by kind; ``words``, what is to be
        seen; ``caption``, which also says what could not be drawn.

    Raises:
        CraniumError: A file that the row names is not there.
    """
    where = f'{row["patient"]}, slice {row["slice"]}'
    areas = {TRUTH: row['tp'] + row['fn'], PREDICTION: row['tp'] + row['fp']}
    notes = [f'{where}: {_describe(row)}']
    uri, outlines = '', {}
    if row['image_file']:
        pixels = read_gray(_there(row['image_file']))
        image = resize(pixels, side)
        uri = data_uri(image, 'WEBP', quality=60)
        # Most masks are empty, and reading takes longer than all the rest.
        for kind in (kind for kind, area in areas.items() if area):
            file = row[f'{kind}_file']
            labels = read_mask(_there(file)).labels if file else None
            if labels is None:
                notes.append(f'{kind} not drawn, as no mask file of this slice is known')
            elif labels.shape != pixels.shape:
                notes.append(f'{kind} not drawn, as the mask has another size than the image')
            else:
                size = resize(pixels, max(side, LAYER_SIDE)).size
                outlines[kind] = layer_uri(outline_layer(np.asarray(labels == 1), kind, size))
    return {
        'name': row['name'],
        'image': uri,
        'outlines': outlines,
        'words': (
            f'Head CT of patient {where}: {areas[TRUTH] or "no"} pixels of hemorrhage; '
            f'{areas[PREDICTION] or "none"} predicted, {row["tp"]} in common.'
        ),
        'caption': '; '.join(notes),
    }


def _there(file: str) -> str:
    if not Path(file).is_file():
        msg = f'{file}: not there; write the report in the folder in which the test ran, and before'
        raise CraniumError(f'{msg} the data are moved')
    return file


def _describe(row: Mapping[Any, Any]) -> str:
    if row['hemorrhage']:
        parts = [f'Dice {row["dice"]:.2f}']
    else:
        parts = [f'{row["fp"]} px false' if row['fp'] else 'none, none predicted']
    if row['types'] not in ('', 'unknown'):
        parts.append(row['types'].replace('+', ', ').lower())
    if not math.isnan(row['log_odds']):
        parts.append(f'score {row["log_odds"]:.2f}')
    return ', '.join(parts)
