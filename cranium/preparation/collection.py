"""A data set to look at, raw or prepared: the table of its slices and how to read their pixels."""

from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.manifest import MANIFEST, mask_path, read_manifest
from cranium.preparation.images import MASK_THRESHOLD
from cranium.preparation.raw import read_raw
from cranium.preparation.source import PATIENTS, FolderSource, Source, find_source
from cranium.preparation.splits import make_splits
from cranium.preparation.tree import read_dataset_json
from cranium.scans.pictures import decode, to_hu
from cranium.slices import IGNORE_INDEX, MASKED, UNLABELLED, slice_name
from cranium.splits import SPLITS, Case, read_splits
from cranium.windows import BONE, BRAIN


@dataclass(frozen=True)
class Collection:
    """A data set, raw or prepared.

    Args:
        source (Source): Where its files are read from.
        slices (DataFrame): One row per slice, indexed by its name, with ``patient``, ``slice``,
            ``split`` (``all`` in a raw tree), ``label``, ``types``, ``age``, ``sex`` as in the
            manifest; and members of the source: ``image``, ``mask`` and ``bone``, empty where
            there is none.
        folds (list[dict]): What each fold holds, by the splits of a tree or by the authors'.
        protocol (str): Whose folds these are; empty where the authors do not know a patient.
        mask_threshold (int): Mask pixels above it are hemorrhage.
        prepared (bool): Whether it is a prepared tree.
    """

    source: Source
    slices: pd.DataFrame
    folds: list[dict[str, Any]]
    protocol: str
    mask_threshold: int
    prepared: bool


def open_collection(path: Path, mask_threshold: int | None = None) -> Collection:
    """Open a prepared tree, or find a raw download; a folder that holds both counts as prepared.

    Mask pixels above the threshold are hemorrhage; by default it is the tree's, or 127.

    Raises:
        CraniumError: Neither, or a tree that was prepared with another threshold.
    """
    prepared = (path / MANIFEST).exists()
    if prepared:
        used = read_dataset_json(path)['options']['mask_threshold']
        if mask_threshold not in (None, used):
            msg = f'{path}: prepared with mask threshold {used}, not {mask_threshold}'
            raise CraniumError(f'{msg}; use --source {_raw_download(path)}')
        mask_threshold = used
    source, slices = _prepared(path) if prepared else _raw(path)
    slices.index = pd.Index(map(slice_name, slices['patient'], slices['slice']))
    cases = cases_of(slices)
    folds, protocol = [], ''
    with nullcontext() if prepared else suppress(CraniumError):  # not the authors' patients
        splits = read_splits(path / SPLITS) if prepared else make_splits(cases, 'authors')
        folds, protocol = splits.describe(cases), splits.protocol
    threshold = MASK_THRESHOLD if mask_threshold is None else mask_threshold
    return Collection(source, slices, folds, protocol, threshold, prepared)


def cases_of(slices: pd.DataFrame) -> list[Case]:
    """What a split needs to know of slices."""
    return list(map(Case, slices['patient'], slices.index, slices['label'] == MASKED))


def _prepared(path: Path) -> tuple[Source, pd.DataFrame]:
    rows = read_manifest(path)
    rows = rows[rows['image'] != '']
    return FolderSource(path), rows.assign(mask=rows['image'].map(mask_path), bone='')


def _raw(path: Path) -> tuple[Source, pd.DataFrame]:
    raw = read_raw(find_source(path))
    rows = pd.DataFrame(raw.slices).rename(columns={'number': 'slice', 'brain': 'image'})
    people = [raw.people.get(patient, (np.nan, '')) for patient in rows['patient']]
    rows[['age', 'sex']] = pd.DataFrame(people)
    return raw.source, rows.fillna({'mask': '', 'bone': ''}).assign(split='all')


def _raw_download(path: Path) -> str:
    """Name the download in a prepared tree so that it is not taken for that tree."""
    try:
        source = find_source(path)
    except CraniumError:
        return 'with the raw download: its zip, or its folder Patients_CT'
    return str(source.root / PATIENTS if isinstance(source, FolderSource) else source)


def read_image(source: Source, member: str) -> NDArray[np.uint8]:
    """Read a JPEG of the download or a PNG of ours as (H, W, C).

    A tree in HU gives brain, bone and brain window.

    Raises:
        CraniumError: It cannot be read.
    """
    pixels = decode(source.read(member), source.describe(member))
    if pixels.dtype == np.uint16:
        hu = to_hu(pixels)
        brain, bone = BRAIN.to_gray(hu), BONE.to_gray(hu)
        return np.dstack([brain, bone, brain])
    return np.asarray(pixels, np.uint8)[..., None]


def read_mask(
    collection: Collection, member: str, label: str, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Read what each pixel of a slice with this label is: 0, 1 or ``IGNORE_INDEX``, (H, W).

    ``shape`` is for a slice without a mask, whose ``member`` is empty.

    Raises:
        CraniumError: It cannot be read.
    """
    if label == UNLABELLED:
        return np.full(shape, IGNORE_INDEX, np.uint8)
    if not member:
        return np.zeros(shape, np.uint8)
    mask = read_image(collection.source, member)[..., 0]
    return mask if collection.prepared else (mask > collection.mask_threshold).view(np.uint8)
