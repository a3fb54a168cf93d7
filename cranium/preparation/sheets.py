"""Choosing slices of a data set to look at, and reading them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.preparation.collection import Collection, read_image, read_mask
from cranium.slices import BACKGROUND, MASKED, UNLABELLED, split_types


class View(NamedTuple):
    """A slice to be shown: gray values in the brain window, or in a tree's only one, and in bone.

    All arrays are uint8 of shape (H, W); the mask holds 0, 1 and ``IGNORE_INDEX``.
    """

    caption: str
    image: NDArray[np.uint8]
    bone: NDArray[np.uint8] | None
    mask: NDArray[np.uint8]


def choose(
    collection: Collection,
    *,
    number: int,
    seed: int = 0,
    patients: Sequence[str] = (),
    kind: str | None = None,
    pixels: tuple[int, int | None] = (0, None),
    clean: bool = False,
) -> pd.DataFrame:
    """Draw at most ``number`` rows of a collection's slices; the same seed draws the same.

    They have hemorrhage, of at least and at most so many ``pixels`` and of this ``kind`` where
    given, or are ``clean``.

    Raises:
        CraniumError: No slice is like this.
    """
    slices = collection.slices
    known = slices['patient'].unique()
    for patient in patients:
        if patient not in known:
            msg = f'{collection.source}: no patient {patient}; it has {min(known)} to {max(known)}'
            raise CraniumError(msg)
    fitting = slices[slices['label'] == (BACKGROUND if clean else MASKED)]
    if patients:
        fitting = fitting[fitting['patient'].isin(patients)]
    if kind:
        fitting = fitting[[kind in split_types(types) for types in fitting['types']]]
    if pixels != (0, None):
        masks = [read_mask(collection, mask, MASKED, ()) for mask in fitting['mask']]
        sizes = np.array([np.count_nonzero(mask == 1) for mask in masks])
        least, most = pixels
        fitting = fitting[(sizes >= least) & (sizes <= (np.inf if most is None else most))]
    if fitting.empty:
        raise CraniumError(f'{collection.source}: no slice is like this; ask for less')
    return fitting.sample(min(number, len(fitting)), random_state=seed).sort_index()


def load(collection: Collection, slices: pd.DataFrame) -> list[View]:
    """Read the pixels of slices."""
    views = []
    for row in slices.itertuples():
        image = read_image(collection.source, str(row.image))
        bone = image[..., 1] if image.shape[2] == 3 else None
        if row.bone:
            bone = read_image(collection.source, str(row.bone))[..., 0]
        label = str(row.label)
        mask = read_mask(collection, str(row.mask), label, image.shape[:2])
        types = str(row.types).replace('+', ' + ')
        what = {MASKED: types or 'hemorrhage', UNLABELLED: label}.get(label, 'no hemorrhage')
        views.append(View(f'{row.patient} / {row.slice}  {what}', image[..., 0], bone, mask))
    return views
