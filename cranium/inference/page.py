"""The page of a run: a report of predictions where no truth is known."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cranium.inference.segmentation import Segmentation
from cranium.inference.writers import slice_names, slice_panel, spread
from cranium.version import __version__

FOLDER = '.cranium/pages'
"""Where the pictures of each scan wait for the page."""

# A page well under 10 MB, unless there are very many scans: a slice takes some 2.2 kB and 0.09
# bytes per pixel.
_PAGE_BYTES, _LEAST_BYTES = 8e6, 20_000
_SLICE_BYTES, _PIXEL_BYTES = 2200, 0.09
_SIDE, _LEAST_SIDE, _LAYER_SIDE = 320, 96, 256
_MOST = 60


def save_pictures(found: Segmentation, scans: int) -> dict[str, bytes]:
    """Draw the slices of a scan for the page.

    Args:
        found (Segmentation): What was found.
        scans (int): How many scans share the page.

    Returns:
        dict: Content of a file of ``FOLDER``, by its name.
    """
    share = max(_LEAST_BYTES, _PAGE_BYTES / max(1, scans))
    least = _SLICE_BYTES + _PIXEL_BYTES * _LEAST_SIDE**2
    indices = spread(found, int(min(_MOST, max(1, share // least))))
    side = math.sqrt(max(0.0, share / len(indices) - _SLICE_BYTES) / _PIXEL_BYTES)
    side = int(min(_SIDE, max(_LEAST_SIDE, side)))
    names = slice_names(found)
    pictures = [_picture(found, index, names[index], side) for index in indices]
    return {f'{found.scan.name}.json': json.dumps(pictures).encode()}


def _picture(found: Segmentation, index: int, name: str, side: int) -> dict[str, Any]:
    """What the page's template needs of a slice; see ``visualization.slice_picture``."""
    from cranium.visualization.overlay import data_uri, layer_uri, outline_layer, resize

    panel = slice_panel(found, index)
    outlines = {
        kind: layer_uri(outline_layer(mask, kind, resize(panel.image, max(side, _LAYER_SIDE)).size))
        for kind, mask in panel.masks.items()
        if mask.any()
    }
    pixels = found.slices[index].pixels
    return {
        'name': name,
        'image': data_uri(resize(panel.image, side), 'WEBP', quality=60),
        'outlines': outlines,
        'words': f'Head CT, slice {index + 1}: {pixels or "no"} pixels of hemorrhage predicted.',
        'caption': panel.caption,
    }


def build_page(records: Sequence[dict[str, Any]], folder: Path, weights: str) -> str:
    """Make the page of all scans of a folder; it loads nothing.

    Args:
        records (sequence): Of the scans, see :class:`~cranium.inference.output.Output`.
        folder (Path): The folder.
        weights (str): Name of the weights.
    """
    from cranium.visualization.overlay import CONVENTION, CSS
    from cranium.visualization.page import render

    scans = [
        {**record, 'pictures': _pictures(record, folder), 'size': _size(record)}
        for record in records
    ]
    done = [scan for scan in scans if scan['status'] == 'done']
    return render(
        'predictions.html.jinja',
        scans=scans,
        called=sum(scan['hemorrhage'] == 'yes' for scan in done),
        done=len(done),
        failed=sum(scan['status'] == 'failed' for scan in scans),
        weights=weights,
        version=__version__,
        colours=CSS,
        convention=CONVENTION,
    )


def _pictures(record: dict[str, Any], folder: Path) -> Any:
    file = folder / FOLDER / f'{record["name"]}.json'
    if record['status'] != 'done' or not file.is_file():
        return []
    return json.loads(file.read_text(encoding='utf-8'))


def _size(record: dict[str, Any]) -> str:
    if record['status'] != 'done':
        return ''
    if record['volume_ml'] is not None:
        return f'{record["volume_ml"]:.1f} ml'
    return f'{sum(part["pixels"] for part in record["slices"])} px'
