"""Writing the tree that mmseg trains on."""

import dataclasses
import hashlib
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from cranium.preparation.errors import DataError
from cranium.preparation.images import (
    IGNORE,
    decode_gray,
    encode_png,
    uniform_png,
)
from cranium.preparation.plan import Options, Plan, Planned, as_case
from cranium.preparation.raw import MASKED, UNLABELLED, Demographics, RawSlice
from cranium.preparation.source import Source
from cranium.preparation.tree import (
    DATASET,
    IMAGES,
    MANIFEST,
    MASKS,
    SPLITS,
    Row,
    dataset_digest,
    link_file,
    locked,
    manifest_writer,
    read_dataset_json,
    read_manifest,
    refuse_foreign,
    sha256_file,
    staging,
    write_file,
)

# What became of a slice.
WRITTEN, LINKED, LEFT_OUT = 'written', 'linked', 'left out'

# Slices that a worker takes at a time: enough that handing them over costs nothing.
_BATCH = 32

_KNOWN_BY_WRITING = ('hemorrhage_pixels', 'image_sha256', 'mask_sha256')


def write_plan(
    plan: Plan,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Counter:
    """Write the tree: ``images``, ``masks``, ``splits.json``, ``manifest.csv``, ``dataset.json``.

    Files of an existing tree whose source, options and content are unchanged are linked into the
    new one, so that another fold costs no decoding. Where the work is done is
    ``joblib.parallel_config``'s to say: in this process, in others, or on a Dask or Ray cluster
    that sees the same files (docs/preparation.md).

    Args:
        plan (Plan): From :func:`make_plan`.
        out (Path): The folder to write to, made if need be.
        overwrite (bool): Whether what Cranium wrote there with other options, or what was changed
            since, may be lost. Defaults to False.
        progress (Callable): Called with the number of slices done since the last call.

    Returns:
        Counter: How many slices were ``written``, ``linked`` and ``left out``.

    Raises:
        DataError: A bad source file, a file in ``out`` that is not Cranium's, a full disk.
    """
    out = Path(out)
    with locked(out):
        old = rows_to_reuse(plan, out, overwrite)
        with staging(out) as new:
            for split in {item.split for item in plan.slices if item.split}:
                for kind in (IMAGES, MASKS):
                    (new / kind / split).mkdir(parents=True)
            writer = _Writer(plan.raw.source, plan.options, out.absolute(), new, overwrite)
            tally = _Tally()
            with manifest_writer(new) as add:
                for results in _run(writer, plan, old):
                    for row, outcome in results:
                        add(row)
                        tally.add(row, outcome)
                    progress(len(results))
            cases = [as_case(item.slice) for item in plan.slices]
            write_file(new / SPLITS, plan.splits.to_json(cases).encode())
            write_file(new / DATASET, _dataset_json(plan, tally, new).encode())
            refuse_foreign(out)
    return tally.outcomes


def rows_to_reuse(plan: Plan, out: Path, overwrite: bool) -> dict[str, Row]:
    """Look at the tree that is there; changes nothing.

    Returns:
        dict[str, Row]: By slice name, what was written with the same options.

    Raises:
        DataError: The tree may not be replaced; see :func:`write_plan`.
    """
    refuse_foreign(out)
    if not (out / MANIFEST).exists():
        return {}
    rows = {row.name: row for row in read_manifest(out) if row.image}
    try:
        recorded = read_dataset_json(out)
    except DataError:
        if overwrite:
            return {}
        raise
    recipe = {name: recorded['options'].get(name) for name in plan.options.recipe}
    if not overwrite:
        _refuse_loss(plan, out, rows, recorded, recipe)
    return rows if recipe == plan.options.recipe else {}


def _refuse_loss(plan: Plan, out: Path, rows: dict[str, Row], recorded: dict, recipe: dict) -> None:
    """Refuse what would lose files that this run could not write again."""
    remedy = 'add --overwrite to replace it, or use another --out'
    for name, value in plan.options.recipe.items():
        if recipe[name] != value:
            raise DataError(f'{out}: prepared with {name} {recipe[name]}, not {value}; {remedy}')
    lost = rows.keys() - {item.slice.name for item in plan.slices if item.split}
    if lost:
        msg = f'{out}: has {len(lost)} slices that {plan.raw.source} lacks, {min(lost)} first'
        raise DataError(f'{msg}; {remedy}')
    for name, sha256 in recorded['files'].items():
        path = out / name
        if not path.exists() or sha256_file(path) == sha256:
            continue
        if plan.options.splits_file is None or not path.samefile(plan.options.splits_file):
            msg = f'{path}: changed since it was written; add --overwrite to replace it'
            raise DataError(f'{msg}, or --splits {path} to use it' if name == SPLITS else msg)
    if recorded['options'].get('splits_file') and plan.options.splits_file is None:
        msg = f'{out}: its folds came from a file, and would be drawn anew'
        raise DataError(f'{msg}; add --splits {out / SPLITS} to keep them, or --overwrite')


def _batches(
    plan: Plan, old: dict[str, Row]
) -> Iterator[list[tuple[Planned, Demographics, Row | None]]]:
    everyone = plan.raw.demographics
    work = (
        (item, everyone.get(item.slice.patient, Demographics()), old.get(item.slice.name))
        for item in plan.slices
    )
    while batch := list(islice(work, _BATCH)):
        yield batch


def _run(writer: '_Writer', plan: Plan, old: dict[str, Row]) -> Iterator[list[tuple[Row, str]]]:
    from joblib import Parallel, delayed  # slow to import

    with _interrupts_ignored():
        # In order and as they come, so that nothing heaps up however many slices there are.
        results = Parallel(batch_size=1, return_as='generator')(
            delayed(writer)(batch) for batch in _batches(plan, old)
        )
    try:
        yield from results
    except BrokenExecutor as error:
        msg = 'a worker process died, perhaps for lack of memory; run again with fewer --jobs'
        raise DataError(msg) from error


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes start that ignore Ctrl-C: it is for this one, which then ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what becomes of a signal
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class _Writer:
    """Writes slices to a new tree; runs in the workers, so it holds nothing but what it needs.

    Args:
        source (Source): The download.
        options (Options): How.
        old (Path): The existing tree.
        new (Path): The new tree; its folders exist.
        overwrite (bool): Whether a file that was changed in the old tree is written anew.
    """

    source: Source
    options: Options
    old: Path
    new: Path
    overwrite: bool

    def __call__(
        self, batch: Sequence[tuple[Planned, Demographics, Row | None]]
    ) -> list[tuple[Row, str]]:
        """Write a batch; return each slice's row and whether it was written or linked."""
        return [self._handle(*work) for work in batch]

    def _handle(self, planned: Planned, person: Demographics, old: Row | None) -> tuple[Row, str]:
        item, row = planned.slice, _row(planned, person)
        if planned.left_out:
            return _with_note(row, f'left out: {planned.left_out}'), LEFT_OUT
        sources = self._sources(item)
        contents = [self.source.read(member) for member in sources]
        row = dataclasses.replace(
            row,
            image=f'{IMAGES}/{planned.split}/{item.name}.png',
            sources=';'.join(sources),
            source_sha256=';'.join(hashlib.sha256(content).hexdigest() for content in contents),
        )
        if old and self._link(row, old):
            known = {name: getattr(old, name) for name in _KNOWN_BY_WRITING}
            outcome = LINKED
        else:
            known = self._write(row, item, dict(zip(sources, contents)))
            outcome = WRITTEN
        row = dataclasses.replace(row, **known)
        if row.label == MASKED and not row.hemorrhage_pixels:
            row = _with_note(row, 'mask without a pixel above the threshold')
        return row, outcome

    def _sources(self, item: RawSlice) -> list[str]:
        windows = [getattr(item, window) for window in self.options.window.split('-')]
        return windows + ([item.mask] if item.label == MASKED else [])

    def _link(self, row: Row, old: Row) -> bool:
        """Link the old image and mask into the new tree, if they are what would be written."""
        same = (old.source_sha256, old.label) == (row.source_sha256, row.label)
        for path, sha256 in ((old.image, old.image_sha256), (old.mask, old.mask_sha256)):
            if not (self.old / path).exists():
                same = False
            elif sha256_file(self.old / path) != sha256:
                same = False
                if not self.overwrite:
                    msg = f'{self.old / path}: changed since it was written'
                    raise DataError(f'{msg}; move it away, or add --overwrite to write it anew')
        if not same:
            return False
        link_file(self.old / old.image, self.new / row.image)
        link_file(self.old / old.mask, self.new / row.mask)
        return True

    def _write(self, row: Row, item: RawSlice, contents: dict[str, bytes]) -> dict[str, int | str]:
        """Decode, encode and write; return the columns ``_KNOWN_BY_WRITING``."""
        pixels = {
            member: decode_gray(content, self.source.describe(member))
            for member, content in contents.items()
        }
        image = self._image(item, pixels)
        if item.label == MASKED:
            mask = pixels[item.mask] > self.options.mask_threshold
            if mask.shape != image.shape[:2]:
                name = self.source.describe(item.mask)
                raise DataError(f'{name}: another size than the image; replace it')
            hemorrhage_pixels = int(np.count_nonzero(mask))
            mask_png = encode_png(mask.view(np.uint8))
        else:
            hemorrhage_pixels = 0
            mask_png = uniform_png(*image.shape[:2], IGNORE if item.label == UNLABELLED else 0)
        image_png = encode_png(image)
        write_file(self.new / row.image, image_png)
        write_file(self.new / row.mask, mask_png)
        digests = (hashlib.sha256(png).hexdigest() for png in (image_png, mask_png))
        return dict(zip(_KNOWN_BY_WRITING, (hemorrhage_pixels, *digests)))

    def _image(self, item: RawSlice, pixels: dict[str, np.ndarray]) -> np.ndarray:
        if self.options.window != 'brain-bone':
            return pixels[getattr(item, self.options.window)]
        brain, bone = pixels[item.brain], pixels[item.bone]
        if brain.shape != bone.shape:
            name = self.source.describe(item.bone)
            raise DataError(f'{name}: another size than the brain window; replace it')
        return np.stack([brain, bone, brain], axis=-1)


def _row(planned: Planned, person: Demographics) -> Row:
    """Return what is known of a slice before its files are read."""
    item = planned.slice
    return Row(
        patient=item.patient,
        slice=item.number,
        split=planned.split,
        label=item.label,
        types='+'.join(item.diagnosis.types) if item.diagnosis else '',
        age='' if person.age is None else f'{person.age:g}',
        sex=person.sex or '',
        notes=';'.join(item.notes),
    )


def _with_note(row: Row, note: str) -> Row:
    return dataclasses.replace(row, notes=f'{row.notes};{note}' if row.notes else note)


class _Tally:
    """Counts over the rows as they come."""

    def __init__(self) -> None:
        self.outcomes: Counter = Counter()
        self.hemorrhage_pixels: Counter = Counter()
        self.notes: Counter = Counter()

    def add(self, row: Row, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self.hemorrhage_pixels[row.split] += row.hemorrhage_pixels
        self.notes.update(row.notes.split(';') if row.notes else ())


def _dataset_json(plan: Plan, tally: _Tally, new: Path) -> str:
    """Say what the tree was made from, and how; no times and no paths, so that runs compare."""
    options = plan.options
    splits_file = options.splits_file and options.splits_file.name
    content = {
        'dataset': 'ct-ich v1.0.0, CC BY 4.0, https://physionet.org/content/ct-ich/1.0.0/',
        'source': plan.raw.source.name,
        'options': {
            **options.recipe,
            'unlabelled': options.unlabelled,
            'split': plan.splits.protocol,
            'folds': len(plan.splits.folds),
            'fold': options.fold,
            'seed': plan.splits.seed,
            'splits_file': splits_file,
        },
        'splits': {
            split: {**numbers, 'hemorrhage_pixels': tally.hemorrhage_pixels[split]}
            for split, numbers in plan.counts().items()
        },
        'left_out': dict(sorted(plan.left_out.items())),
        'unusual': dict(sorted(tally.notes.items())),
        'diagnosis_rows_without_image': plan.raw.rows_without_image,
        'unknown_files': list(plan.raw.unknown_files),
        'files': {name: sha256_file(new / name) for name in (MANIFEST, SPLITS)},
    }
    return json.dumps({**content, 'sha256': dataset_digest(content)}, indent=1) + '\n'
