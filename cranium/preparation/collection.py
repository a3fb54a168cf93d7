"""A data set to look at, raw or prepared: its slices and how to read their pixels."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cranium.errors import CraniumError
from cranium.manifest import MANIFEST, mask_path, read_manifest
from cranium.preparation.images import MASK_THRESHOLD, decode_gray
from cranium.preparation.raw import read_raw
from cranium.preparation.source import PATIENTS, FolderSource, Source, find_source
from cranium.preparation.splits import make_splits
from cranium.preparation.tree import read_dataset_json
from cranium.slices import IGNORE_INDEX, MASKED, UNLABELLED, slice_name, split_types
from cranium.splits import SPLITS, Case, read_splits


@dataclass(frozen=True, slots=True)
class Item:
    """A slice.

    Args:
        patient (str): The patient's number.
        name (str): The slice's name.
        split (str): ``train``, ``val`` or ``test``; ``all`` in a raw tree.
        label (str): ``mask``, ``background`` or ``unlabelled``.
        types (tuple[str, ...]): Types of hemorrhage.
        image (str): Where its image is: a member of the source.
        mask (str, optional): Where its mask is.
        bone (str, optional): Where its bone window is, apart from the image.
    """

    patient: str
    name: str
    split: str
    label: str
    types: tuple[str, ...]
    image: str
    mask: str | None
    bone: str | None = None

    @property
    def case(self) -> Case:
        """What a split needs to know of it."""
        return Case(self.patient, self.name, self.label == MASKED)


@dataclass(frozen=True)
class Collection:
    """A data set, raw or prepared.

    Args:
        source (Source): Where the items are read from.
        items (list[Item]): The slices.
        people (dict[str, tuple[float, str]]): Age (nan if unknown) and sex by patient.
        folds (list[dict]): What each fold holds.
        protocol (str): Whose folds these are.
        mask_threshold (int): Mask pixels above it are hemorrhage.
        prepared (bool): Whether it is a prepared tree.
    """

    source: Source
    items: list[Item]
    people: dict[str, tuple[float, str]]
    folds: list[dict]
    protocol: str
    mask_threshold: int
    prepared: bool


def open_collection(path: Path, mask_threshold: int = MASK_THRESHOLD) -> Collection:
    """Open a prepared tree, or find a raw download.

    Args:
        path (Path): The tree. One that holds both counts as prepared.
        mask_threshold (int): Mask pixels above it are hemorrhage. Defaults to 127.

    Raises:
        CraniumError: Neither, or a tree that was prepared with another threshold.
    """
    path = Path(path)
    return (_open_prepared if (path / MANIFEST).exists() else _open_raw)(path, mask_threshold)


def _open_prepared(path: Path, mask_threshold: int) -> Collection:
    options = read_dataset_json(path)['options']
    if options['mask_threshold'] != mask_threshold:
        msg = f'{path}: prepared with mask threshold {options["mask_threshold"]}'
        raise CraniumError(f'{msg}, not {mask_threshold}; use --source {_raw_download(path)}')
    rows = read_manifest(path)
    rows = rows[rows['image'] != '']
    items = [
        Item(
            patient=row.patient,
            name=slice_name(row.patient, row.slice),
            split=row.split,
            label=row.label,
            types=split_types(row.types),
            image=row.image,
            mask=mask_path(row.image),
        )
        for row in rows.itertuples()
    ]
    people = {row.patient: (row.age, row.sex) for row in rows.itertuples()}
    splits = read_splits(path / SPLITS)
    folds = splits.describe([item.case for item in items])
    return Collection(
        FolderSource(path), items, people, folds, splits.protocol, mask_threshold, True
    )


def _raw_download(path: Path) -> str:
    """Name the download in a prepared tree so that it is not taken for that tree."""
    try:
        source = find_source(path)
    except CraniumError:
        return 'with the raw download: its zip, or its folder Patients_CT'
    return str(source.root / PATIENTS if isinstance(source, FolderSource) else source)


def _open_raw(path: Path, mask_threshold: int) -> Collection:
    raw = read_raw(find_source(path))
    items = [
        Item(
            patient=item.patient,
            name=item.name,
            split='all',
            label=item.label,
            types=split_types(item.types),
            image=item.brain,
            mask=item.mask,
            bone=item.bone,
        )
        for item in raw.slices
    ]
    cases = [item.case for item in raw.slices]
    try:
        folds = make_splits(cases, 'authors').describe(cases)
    except CraniumError:  # other patients than the authors'
        folds = []
    return Collection(raw.source, items, raw.people, folds, 'authors', mask_threshold, False)


def read_image(source: Source, member: str) -> np.ndarray:
    """Read an image, from a JPEG of the download or from a PNG of ours.

    Returns:
        np.ndarray: (height, width, channels), uint8.

    Raises:
        CraniumError: It cannot be read.
    """
    content = source.read(member)
    if member.lower().endswith('.png'):
        pixels = _decode_png(content, source.describe(member))
    else:
        pixels = decode_gray(content, source.describe(member))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def read_mask(source: Source, item: Item, threshold: int, shape: tuple[int, int]) -> np.ndarray:
    """Read what each pixel of an item is.

    Args:
        source (Source): Where from.
        item (Item): The slice.
        threshold (int): Pixels of a raw mask above it are hemorrhage.
        shape (tuple[int, int]): (height, width), where there is no mask to read.

    Returns:
        np.ndarray: (height, width), uint8: 0, 1 or ``IGNORE_INDEX``.

    Raises:
        CraniumError: It cannot be read.
    """
    if item.label == UNLABELLED:
        return np.full(shape, IGNORE_INDEX, np.uint8)
    if item.mask is None:
        return np.zeros(shape, np.uint8)
    name, content = source.describe(item.mask), source.read(item.mask)
    if item.mask.lower().endswith('.png'):
        return _decode_png(content, name)
    return (decode_gray(content, name) > threshold).view(np.uint8)


def _decode_png(content: bytes, name: str) -> np.ndarray:
    try:
        return np.asarray(Image.open(io.BytesIO(content)))
    except (OSError, SyntaxError, ValueError) as error:
        msg = f'{name}: not a readable PNG; run cranium prepare --overwrite'
        raise CraniumError(msg) from error
