"""The manifest of a prepared tree: one row per slice of the download, in ``manifest.csv``.

==================== ===============================================================================
column               content
==================== ===============================================================================
patient              name of the patient, ``049``
slice                number of the slice within the scan, from the skull base upward
split                ``train``, ``val`` or ``test``; empty where the slice was left out
label                ``mask``, ``background`` or ``unlabelled``
image                path in the tree, ``images/train/049_001.png``; empty where left out. The mask
                     has the same path below ``masks``
types                hemorrhage types by the diagnosis, joined by ``+``
hemorrhage_pixels    mask pixels of hemorrhage
age                  of the patient, in years; nan where not given
sex                  of the patient; empty where not given
head_x, head_y       centre of the head in pixels of the image; nan where no head is seen
head_angle           degrees by which the head is turned, the same for the whole scan
pixel_mm             side of a pixel in mm, assumed for ct-ich; nan if unknown
slice_mm             thickness of the layer that the slice stands for, half-way to its neighbours;
                     nan if unknown, as in ct-ich, where ``pixel_mm`` is assumed
sources              members of the download that the slice was made from, joined by ``;``
source_sha256        SHA-256 of their contents, joined by ``;``
image_sha256         SHA-256 of the image file
mask_sha256          SHA-256 of the mask file
notes                whatever is unusual, joined by ``;``
==================== ===============================================================================
"""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cranium.errors import CraniumError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = 'manifest.csv'
IMAGES = 'images'
MASKS = 'masks'

_TYPES = {
    'patient': str,
    'slice': int,
    'split': str,
    'label': str,
    'image': str,
    'types': str,
    'hemorrhage_pixels': int,
    'age': float,
    'sex': str,
    'head_x': float,
    'head_y': float,
    'head_angle': float,
    'pixel_mm': float,
    'slice_mm': float,
    'sources': str,
    'source_sha256': str,
    'image_sha256': str,
    'mask_sha256': str,
    'notes': str,
}
COLUMNS = tuple(_TYPES)
EMPTY_ROW = {name: math.nan if kind is float else kind() for name, kind in _TYPES.items()}
"""What a row holds where nothing is known."""

_IMAGE_PATH = re.compile(rf'({IMAGES}/(train|val|test)/[A-Za-z0-9-]+_\d+\.png)?', re.ASCII)

_REMEDY = 'move it away, then run cranium prepare'


def mask_path(image: str) -> str:
    """Return the path of the mask that belongs to an image of the tree."""
    return image.replace(IMAGES, MASKS, 1)


def read_manifest(tree: str | Path) -> 'pd.DataFrame':
    """Read the manifest of a prepared tree.

    Args:
        tree (str | Path): The folder that holds ``images`` and ``masks``.

    Returns:
        DataFrame: With ``COLUMNS``, in the order of the file.

    Raises:
        CraniumError: No manifest, or one that this version of Cranium did not write.
    """
    import pandas as pd  # half a second

    rows = _read_text(tree)
    path = Path(tree) / MANIFEST
    if 'slice_mm' not in rows and 'pixel_mm' in rows:  # in trees of ct-ich, it was left out
        rows.insert(COLUMNS.index('slice_mm'), 'slice_mm', '')
    if tuple(rows.columns) != COLUMNS:
        msg = f'{path}: has the columns of another version; run cranium prepare --overwrite'
        raise CraniumError(msg)
    try:
        for name, kind in _TYPES.items():
            if kind is not str:
                rows[name] = pd.to_numeric(rows[name]).astype(kind)
    except (ValueError, TypeError) as error:
        raise CraniumError(f'{path}: not a manifest of Cranium ({error}); {_REMEDY}') from error
    return rows


def listed_images(tree: str | Path) -> list[str]:
    """Name the images that a manifest lists, of whatever version of Cranium it is.

    Raises:
        CraniumError: No manifest, or one that Cranium did not write.
    """
    return [image for image in _read_text(tree)['image'] if image]


def _read_text(tree: str | Path) -> 'pd.DataFrame':
    """Read all cells as text."""
    import pandas as pd

    path = Path(tree) / MANIFEST
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        # These paths are read and removed: none may lead out of the tree.
        bad = rows.loc[~rows['image'].str.fullmatch(_IMAGE_PATH), 'image']
        if len(bad):
            raise ValueError(f'image {bad.iloc[0]!r}')
    except OSError as error:
        raise CraniumError(f'{path}: cannot be read ({error.strerror}); {_REMEDY}') from error
    except (ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise CraniumError(f'{path}: not a manifest of Cranium ({error}); {_REMEDY}') from error
    return rows


def write_manifest(rows: 'pd.DataFrame', tree: str | Path) -> None:
    """Write the manifest of a tree; the same rows give the same bytes.

    Args:
        rows (DataFrame): With ``COLUMNS``.
        tree (str | Path): The folder that holds ``images`` and ``masks``.

    Raises:
        OSError: It cannot be written.
    """
    rows.to_csv(Path(tree) / MANIFEST, columns=list(COLUMNS), index=False, lineterminator='\n')
