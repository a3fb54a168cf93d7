"""Writing the tree that mmseg trains on: a scan at a time, then its records."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cranium.errors import CraniumError
from cranium.head import head_angle, head_center, shrink, spread_for_angle
from cranium.manifest import (
    EMPTY_ROW,
    IMAGES,
    MANIFEST,
    MASKS,
    mask_path,
    read_manifest,
    write_manifest,
)
from cranium.preparation.hounsfield import combine
from cranium.preparation.images import encode_png, uniform_png
from cranium.preparation.parallel import each_scan
from cranium.preparation.plan import Options, Plan
from cranium.preparation.raw import NO_BONE, RawSlice
from cranium.preparation.source import Source
from cranium.preparation.tree import (
    DATASET,
    compare_files,
    dataset_digest,
    locked,
    read_dataset_json,
    refuse_foreign,
    sha256,
    staging,
    write_file,
)
from cranium.preparation.volumes import Volumes
from cranium.scans.pictures import decode_jpeg, jpeg_size
from cranium.slices import IGNORE_INDEX, PIXEL_MM, SLICE_MM, UNLABELLED, slice_name
from cranium.splits import SPLITS
from cranium.windows import BONE, BRAIN, HU_OFFSET, encode_hu

if TYPE_CHECKING:
    import pandas as pd

_CT_ICH_SHAPE = (650, 650)
_SOFT_HU = (round(BRAIN.low), round(BRAIN.high))
_SHRINK = 2  # The head is found as well in a slice of half the size, in a quarter of the time.


def write_plan(
    plan: Plan,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Write the tree: ``images``, ``masks``, ``splits.json``, ``manifest.csv``, ``dataset.json``.

    Where the work is done is ``joblib.parallel_config``'s to say: in this process, in others, or
    on a Dask or Ray cluster that sees the same files (docs/preparation.md).

    Args:
        plan (Plan): From :func:`make_plan`.
        out (Path): The folder to write to, made if need be.
        overwrite (bool): Whether what Cranium wrote there with other options, or what was changed
            since, may be lost. Defaults to False.
        progress (Callable): Called with the number of slices done since the last call.

    Returns:
        int: The number of slices written.

    Raises:
        CraniumError: A bad source file, a file in ``out`` that is not Cranium's, a full disk.
    """
    import pandas as pd

    out = Path(out)
    with locked(out):
        refuse_loss(plan, out, overwrite)
        with staging(out) as new:
            for split in {item.split for item in plan.slices if item.split}:
                for kind in (IMAGES, MASKS):
                    (new / kind / split).mkdir(parents=True)
            rows: list[dict[str, Any]] = []
            people = plan.raw.people
            source = plan.raw.volumes or plan.raw.source
            work = partial(_write_scan, source, plan.options, new, people)
            for scan in each_scan(work, plan.slices):
                rows += scan
                progress(len(scan))
            manifest = pd.DataFrame(rows)
            write_manifest(manifest, new)
            cases = [item.case for item in plan.slices]
            write_file(new / SPLITS, plan.splits.to_json(cases).encode())
            write_file(new / DATASET, _dataset_json(plan, manifest, new).encode())
            refuse_foreign(out)
    return int((manifest['image'] != '').sum())


def refuse_loss(plan: Plan, out: Path, overwrite: bool) -> None:
    """Refuse what would lose files of the user's, or that this run could not write again.

    Raises:
        CraniumError: The tree in ``out`` may not be replaced; see :func:`write_plan`.
    """
    refuse_foreign(out)
    if overwrite or not (out / MANIFEST).exists():
        return
    recorded = read_dataset_json(out)
    remedy = 'add --overwrite to replace it, or use another --out'
    for name, value in plan.options.recipe.items():
        before = recorded['options'].get(name)
        if before != value:
            raise CraniumError(f'{out}: prepared with {name} {before}, not {value}; {remedy}')
    rows = read_manifest(out)
    written = rows[rows['image'] != '']
    lost = set(map(slice_name, written['patient'], written['slice']))
    lost -= {item.name for item in plan.slices if item.split}
    if lost:
        msg = f'{out}: has {len(lost)} slices that {plan.raw.source} lacks, {min(lost)} first'
        raise CraniumError(f'{msg}; {remedy}')
    splits_file = plan.options.splits_file
    for name, what in compare_files(out, rows, recorded):
        path = out / name
        if what == 'missing' or (splits_file and path.samefile(splits_file)):
            continue
        msg = f'{path}: changed since it was written; copy it elsewhere and add --overwrite'
        raise CraniumError(f'{msg}, or --splits {path} to use it' if name == SPLITS else msg)
    if recorded['options'].get('splits_file') and splits_file is None:
        msg = f'{out}: its folds came from a file, and would be drawn anew'
        raise CraniumError(f'{msg}; add --splits {out / SPLITS} to keep them, or --overwrite')


@dataclass(frozen=True, eq=False)
class _Made:
    """A slice as it is written.

    Args:
        image (ndarray): (H, W), uint8 or uint16.
        mask (ndarray, optional): (H, W), uint8; None where there is none to draw.
        views (sequence): Gray views, shrunk, in which the head can be seen.
        sources (sequence): What it was made from.
        digests (sequence): SHA-256 of each.
        pixel_mm (float): Side of a pixel; nan if unknown.
        slice_mm (float): Thickness; nan if unknown.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    mask: NDArray[np.uint8] | None
    views: Sequence[NDArray[np.uint8]]
    sources: Sequence[str]
    digests: Sequence[str]
    pixel_mm: float
    slice_mm: float = np.nan


def _write_scan(
    source: Source | Volumes,
    options: Options,
    new: Path,
    people: Mapping[str, tuple[float, str]],
    scan: Sequence[RawSlice],
) -> list[dict[str, Any]]:
    """Write one patient's slices to a new tree; return their rows of the manifest."""
    cv2.setNumThreads(1)  # as it is scans that are worked on in parallel
    rows, views = [], []
    age, sex = people.get(scan[0].patient, (np.nan, ''))
    slices = _make_slices(source, options, [item for item in scan if not item.left_out])
    for item in scan:
        row = {
            **EMPTY_ROW,
            'patient': item.patient,
            'slice': item.number,
            'split': item.split,
            'label': item.label,
            'types': item.types,
            'age': age,
            'sex': sex,
        }
        notes = list(item.notes)
        if item.left_out:
            notes.append(f'left out: {item.left_out}')
        else:
            made = next(slices)
            row |= _write_slice(new, item, made)
            mean = cv2.addWeighted(made.views[0], 0.5, made.views[-1], 0.5, 0)
            views.append(np.asarray(mean, np.uint8))
            if item.bone is None and (options.window == 'hu' or not _as_usual(item)):
                low, high = item.brain_window.low, item.brain_window.high
                notes[notes.index(NO_BONE)] += f': saturated at {low:g} and {high:g} HU'
            if item.mask and not row['hemorrhage_pixels']:
                notes.append('mask without a pixel above the threshold')
        rows.append({**row, 'notes': ';'.join(notes)})
    angle = head_angle([views[i] for i in spread_for_angle(len(views))]) if views else np.nan
    return [{**row, 'head_angle': angle if row['image'] else np.nan} for row in rows]


def _make_slices(
    source: Source | Volumes, options: Options, scan: Sequence[RawSlice]
) -> Iterator[_Made]:
    """Read slices of one patient and make what is written of each."""
    if isinstance(source, Volumes):
        for found in source.slices(scan):
            image, views = _render(found.hu, options.window)
            yield _Made(
                image,
                found.mask,
                views,
                found.sources,
                found.digests,
                found.pixel_mm,
                found.slice_mm,
            )
        return
    shape = None
    for item in scan:
        made = _make_slice(source, options, item)
        shape = shape or made.image.shape
        if made.image.shape != shape:
            raise _other_size(source, scan, item)
        yield made


def _other_size(source: Source, scan: Sequence[RawSlice], item: RawSlice) -> CraniumError:
    """Name a slice that is larger or smaller than the first of its scan."""
    sizes = []
    for member in (item.brain, scan[0].brain):
        name = source.describe(member)
        height, width = jpeg_size(source.read(member), name)
        sizes.append(f'{name} has {width} x {height} pixels')
    return CraniumError(f'{", but ".join(sizes)}; a scan needs one size: replace the slice')


def _make_slice(source: Source, options: Options, item: RawSlice) -> _Made:
    """Decode a slice of ct-ich and its mask."""
    members = [*_sources(item, options.window), *([item.mask] if item.mask else [])]
    contents = [source.read(member) for member in members]
    pixels = [decode_jpeg(data, source.describe(name)) for name, data in zip(members, contents)]
    for member, other in zip(members, pixels):
        if other.shape != pixels[0].shape:
            msg = f'{source.describe(member)}: another size than {members[0]}; replace it'
            raise CraniumError(msg)
    mask = (pixels.pop() > options.mask_threshold).view(np.uint8) if item.mask else None
    image: NDArray[np.uint8] | NDArray[np.uint16]
    if options.window != 'hu' and _as_usual(item):
        image, views = pixels[0], [shrink(pixels[0], _SHRINK)]
    else:
        brain, bone = pixels[0], pixels[1] if item.bone else None
        hu = combine(brain, bone, item.brain_window, item.bone_window)
        image, views = _render(hu, options.window, bool(item.bone))
    pixel_mm = PIXEL_MM if image.shape == _CT_ICH_SHAPE else np.nan
    return _Made(image, mask, views, members, list(map(sha256, contents)), pixel_mm)


def _write_slice(new: Path, item: RawSlice, made: _Made) -> dict[str, Any]:
    """Encode and write a slice; return what the manifest holds of it."""
    if made.mask is not None and made.mask.any():
        hemorrhage_pixels, mask_png = int((made.mask == 1).sum()), encode_png(made.mask)
    else:
        value = IGNORE_INDEX if item.label == UNLABELLED else 0
        hemorrhage_pixels, mask_png = 0, uniform_png(*made.image.shape, value)
    image_png = encode_png(made.image)
    image = f'{IMAGES}/{item.split}/{item.name}.png'
    write_file(new / image, image_png)
    write_file(new / mask_path(image), mask_png)
    center = head_center(made.views[0]) or (np.nan, np.nan)
    head_x, head_y = (round(_SHRINK * length + (_SHRINK - 1) / 2, 2) for length in center)
    return {
        'image': image,
        'hemorrhage_pixels': hemorrhage_pixels,
        'head_x': head_x,
        'head_y': head_y,
        'pixel_mm': round(made.pixel_mm, 6),
        'slice_mm': round(made.slice_mm, 4),
        'sources': ';'.join(made.sources),
        'source_sha256': ';'.join(made.digests),
        'image_sha256': sha256(image_png),
        'mask_sha256': sha256(mask_png),
    }


def _sources(item: RawSlice, window: str) -> list[str]:
    """Name the members that an image is made from."""
    if window != 'hu' and _as_usual(item):
        return [getattr(item, window)]
    return [item.brain, item.bone] if item.bone else [item.brain]


def _as_usual(item: RawSlice) -> bool:
    return (item.brain_window, item.bone_window) == (BRAIN, BONE)


def _render(
    hu: NDArray[np.int16], window: str, air: bool = True
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], list[NDArray[np.uint8]]]:
    """Make the pixels that are stored, and gray views, shrunk, in which the head can be seen.

    ``air`` tells whether the slice shows HU of air, so that this is black in the bone window.
    """
    if window != 'hu':
        gray = (BRAIN if window == 'brain' else BONE).to_gray(hu)
        return gray, [shrink(gray, _SHRINK)]
    views = [BRAIN.to_gray(shrink(np.clip(hu, *_SOFT_HU), _SHRINK))]
    if air:
        views.append(BONE.to_gray(shrink(hu, _SHRINK)))
    return encode_hu(hu), views


def _ct(window: str, manifest: 'pd.DataFrame', measured: bool) -> dict[str, Any]:
    """Say what a pixel's value means and how large it is; None where that differs."""
    shown = BRAIN if window == 'brain' else BONE
    pixel_mm, slice_mm = (manifest[name].dropna().unique() for name in ('pixel_mm', 'slice_mm'))
    return {
        'unit': 'HU' if window == 'hu' else 'gray value, 0 to 255 over the window',
        'offset': HU_OFFSET if window == 'hu' else 0,
        'window': None if measured and window == 'hu' else [round(shown.low), round(shown.high)],
        'pixel_mm': float(pixel_mm[0]) if len(pixel_mm) == 1 else None,
        'pixel_mm_assumed': not measured,
        'slice_mm': (float(slice_mm[0]) if len(slice_mm) == 1 else None) if measured else SLICE_MM,
    }


def _dataset_json(plan: Plan, manifest: 'pd.DataFrame', new: Path) -> str:
    """Say what the tree was made from, and how; no times and no paths, so that runs compare."""
    options = plan.options
    pixels = manifest.groupby('split')['hemorrhage_pixels'].sum()
    notes = Counter(filter(None, ';'.join(manifest['notes']).split(';')))
    content = {
        'dataset': plan.raw.title,
        'source': plan.raw.source.name,
        'ct': _ct(options.window, manifest, plan.raw.volumes is not None),
        'options': {
            **options.recipe,
            'unlabelled': options.unlabelled,
            'split': plan.splits.protocol,
            'folds': len(plan.splits.folds),
            'fold': options.fold,
            'seed': plan.splits.seed,
            'splits_file': options.splits_file and options.splits_file.name,
        },
        'splits': {
            split: {**numbers, 'hemorrhage_pixels': int(pixels[split])}
            for split, numbers in plan.counts().items()
        },
        'scans': {
            check.patient: check.figures(options.apply_errata)
            for check in plan.scans
            if check.remark(options.apply_errata)
        },
        'left_out': dict(sorted(plan.left_out.items())),
        'unusual': dict(sorted(notes.items())),
        'diagnosis_rows_without_image': plan.raw.rows_without_image,
        'unknown_files': list(plan.raw.unknown_files),
        'files': {name: sha256((new / name).read_bytes()) for name in (MANIFEST, SPLITS)},
    }
    return json.dumps({**content, 'sha256': dataset_digest(content)}, indent=1) + '\n'
