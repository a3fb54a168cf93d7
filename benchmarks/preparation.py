"""How fast preparation is, against the way of the project that this one succeeds."""

import dataclasses
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain, groupby
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from cranium.diagnosis import DIAGNOSIS
from cranium.errors import CraniumError
from cranium.manifest import mask_path, read_manifest
from cranium.preparation.plan import Options, Plan, make_plan
from cranium.preparation.prepare import write_plan
from cranium.preparation.raw import RawDataset, RawSlice, read_raw
from cranium.preparation.source import PATIENTS, FolderSource, find_source
from cranium.slices import slice_name


def compare_with_predecessor(source: Path, slices: int, rounds: int) -> dict[str, float]:
    """Time both ways on the same real slices, in turn, in this process.

    Args:
        source (Path): An unpacked download.
        slices (int): How many slices a round takes, about; in whole scans, evenly drawn from all.
        rounds (int): How often; the medians over them count.

    Returns:
        dict[str, float]: Milliseconds per slice of CPU and of wall time, and their ratios. CPU
        time is that of one process; wall time that of two warm workers against the
        predecessor's one. ``hu`` is the tree of ``--window hu``, whose CPU time and size stand
        beside those of the default.

    Raises:
        CraniumError: A pixel of an image or a mask differs from Pillow's decode.
    """
    from joblib import parallel_config

    raw = _spread(source, slices)
    cpu, wall = [], []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with parallel_config(backend='loky', n_jobs=2):  # starts the workers
            plan = _prepare(raw, out / 'warm', errata='ignore')
        _assert_pixels(plan, out / 'warm')
        for number in range(rounds):
            new = out / f'{number}'
            with parallel_config(n_jobs=1):
                one = _timed(lambda new=new: _prepare(raw, new / 'brain'))
                hu = _timed(lambda new=new: _prepare(raw, new / 'hu', window='hu'))
            with parallel_config(backend='loky', n_jobs=2):
                two = _timed(lambda new=new: _prepare(raw, new / '2'))
            before = _timed(lambda: _predecessor(plan, out / 'predecessor'))
            cpu.append((before[0], one[0], hu[0]))
            wall.append((before[1], two[1]))
            size, size_hu = (_kilobytes(new / name / 'images') for name in ('brain', 'hu'))
            shutil.rmtree(new)
    per_slice = 1000 / len(plan.slices)
    return {
        'slices': len(plan.slices),
        'predecessor, CPU ms': median(old for old, _, _ in cpu) * per_slice,
        'Cranium, CPU ms': median(new for _, new, _ in cpu) * per_slice,
        'CPU ratio': median(old / new for old, new, _ in cpu),
        'predecessor, wall ms': median(old for old, _ in wall) * per_slice,
        'Cranium with 2 workers, wall ms': median(new for _, new in wall) * per_slice,
        'wall ratio': median(old / new for old, new in wall),
        'hu, CPU ms': median(hu for _, _, hu in cpu) * per_slice,
        'hu, CPU against the default': median(hu / new for _, new, hu in cpu),
        'image, kB': size / len(plan.slices),
        'hu, image, kB': size_hu / len(plan.slices),
    }


def _spread(source: Path, slices: int) -> RawDataset:
    """Take whole scans of patients evenly drawn from all, as a scan is what is prepared at once."""
    raw = read_raw(find_source(source))
    scans = [list(scan) for _, scan in groupby(raw.slices, key=lambda item: item.patient)]
    step = max(1, len(raw.slices) // slices)
    return dataclasses.replace(raw, slices=list(chain.from_iterable(scans[::step])))


def _prepare(raw: RawDataset, out: Path, **options: str) -> Plan:
    plan = make_plan(raw, Options(split='slice', **options))
    write_plan(plan, out)
    return plan


def _kilobytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob('*.png')) / 1000


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of CPU and of wall time."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _predecessor(plan: Plan, out: Path) -> None:
    """Do what the predecessor did: Pillow with its defaults, RGB images, a mask for each slice."""
    root = plan.raw.source.root
    for kind in ('images', 'masks'):
        (out / kind).mkdir(parents=True, exist_ok=True)
    for item in plan.slices:
        pixels = np.asarray(Image.open(root / item.brain))
        Image.fromarray(pixels).convert('RGB').save(out / f'images/{item.name}.png')
        mask = np.zeros_like(pixels)
        if item.mask:
            mask[np.asarray(Image.open(root / item.mask)) == 255] = 1
        Image.fromarray(mask).save(out / f'masks/{item.name}.png')


def _assert_pixels(plan: Plan, out: Path) -> None:
    root = plan.raw.source.root
    by_name: dict[str, RawSlice] = {item.name: item for item in plan.slices}
    for row in read_manifest(out).itertuples():
        item = by_name[slice_name(row.patient, row.slice)]
        image = np.asarray(Image.open(root / item.brain))
        mask = np.zeros_like(image)
        if item.mask:
            mask[np.asarray(Image.open(root / item.mask)) > plan.options.mask_threshold] = 1
        for path, expected in ((row.image, image), (mask_path(row.image), mask)):
            if not np.array_equal(np.asarray(Image.open(out / path)), expected):
                raise CraniumError(f'{out / path}: other pixels than Pillow decodes; report it')


def scale(source: Path, sizes: Sequence[int], command: Sequence[str]) -> list[dict[str, float]]:
    """Time the whole command on more and more slices: the real ones under other patient numbers.

    Args:
        source (Path): An unpacked download.
        sizes (Sequence[int]): Numbers of slices.
        command (Sequence[str]): The command, without its ``--source`` and ``--out``.

    Returns:
        list[dict[str, float]]: For each size milliseconds per slice, and the peak memory in MiB
        of the largest process.
    """
    measured = []
    for size in sizes:
        # Beside the source, hard links cost no space; elsewhere one copy is made first.
        with tempfile.TemporaryDirectory() as folder:
            raw = multiply(FolderSource(source), Path(folder) / 'raw', size)
            full = [*command, '--source', str(raw), '--out', str(Path(folder) / 'out')]
            measured.append({'slices': size, **_run(full, size)})
    return measured


def _run(command: Sequence[str], size: int) -> dict[str, float]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise CraniumError(f'{command[1]}: failed; see above')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    kibibytes = usage.ru_maxrss / (1024 if sys.platform == 'darwin' else 1)
    return {
        'CPU ms': 1000 * cpu / size,
        'wall ms': 1000 * wall / size,
        'peak MiB': kibibytes / 1024,
    }


def multiply(source: FolderSource, out: Path, slices: int) -> Path:
    """Make a download of any size: the slices of ``source`` again and again, as other patients.

    Args:
        source (FolderSource): An unpacked download.
        out (Path): Where to; must not exist.
        slices (int): How many.

    Returns:
        Path: ``out``.
    """
    original = read_raw(source).slices
    header, *body = source.read(DIAGNOSIS).decode('utf-8-sig').splitlines()
    rows = {tuple(map(int, line.split(',')[:2])): line.split(',', 2)[2] for line in body}
    lines = [header]
    for index in range(slices):
        copy, which = divmod(index, len(original))
        item = original[which]
        patient = int(item.patient) + 1000 * copy
        for member in filter(None, (item.brain, item.bone, item.mask)):
            target = (
                out / PATIENTS / f'{patient:03d}' / Path(member).parent.name / Path(member).name
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            first = out / member
            if copy == 0:
                shutil.copyfile(source.root / member, target)
            else:
                os.link(first, target)
        lines.append(f'{patient},{item.number},{rows[int(item.patient), item.number]}')
    (out / DIAGNOSIS).write_text('\n'.join(lines) + '\n')
    return out
