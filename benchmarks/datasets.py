"""How fast slices are loaded and augmented, beside the project that this one succeeds."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from cranium.datasets.sampler import Draw
from cranium.windows import BRAIN, decode_hu

PREFIX = dict(img_path='images/train', seg_map_path='masks/train')
# Samples a second are told by both.
CLOCKS = {'CPU time': time.process_time, 'wall time': time.perf_counter}


def compare_loaders(
    config: str | Path,
    predecessor: str | Path,
    source: str | Path | None = None,
    slices: int = 64,
    rounds: int = 5,
) -> list[dict[str, str]]:
    """Time the training pipelines of two configs on the same slices, one after the other.

    Both read, decode and augment in this process with one thread, as a worker of a data loader
    does; handing the samples to the training process is not in it. Each slice is loaded by the one
    and then by the other, in turn before and after. Ours reads the prepared tree; the predecessor
    reads what its own preparation wrote, RGB as Pillow saves it by default, made here for the
    occasion. A first round, in which files and caches become warm, does not count. A training with
    ``ProgressiveResizing`` is timed twice, as at its begin and as at its end.

    Args:
        config (str | Path): A config of ours.
        predecessor (str | Path): The config whose training pipeline is the predecessor's.
        source (str | Path, optional): The prepared tree. Defaults to None: the config's own.
        slices (int): How many a round loads, spread over all. Defaults to 64.
        rounds (int): How often; medians count. Defaults to 5.

    Returns:
        list[dict[str, str]]: A table, by the shape of a sample of ours: samples a second of each,
        by CPU time and by wall time, and the ratio as median and range over the rounds.

    Raises:
        FileNotFoundError: If the config or the tree is not there.
    """
    with _one_thread(), tempfile.TemporaryDirectory() as folder:
        ours = _build(config, source)
        chosen = np.unique(np.linspace(0, len(ours) - 1, slices).astype(int)).tolist()
        for index in chosen:
            _write_as_predecessor(ours.get_data_info(index), Path(folder))
        theirs = _build(predecessor, folder, data_prefix=PREFIX)
        # By name, as each data set has an order of its own.
        order = np.argsort([Path(ours.get_data_info(i)['img_path']).name for i in chosen])
        pairs = [(theirs, ours, rank, chosen[index]) for rank, index in enumerate(order)]
        rows = []
        shapes = {
            'x'.join(map(str, ours[Draw(0, 0, 0, progress)]['inputs'].shape)): progress
            for progress in (0.0, 1.0)
        }
        for shape, progress in shapes.items():
            _round(pairs, progress, turned=False)
            seconds = np.array(
                [_round(pairs, progress, turned=bool(turn % 2)) for turn in range(rounds)]
            )
            rows += [
                _row(f'{shape}, {name}', len(pairs), seconds[..., clock])
                for clock, name in enumerate(CLOCKS)
            ]
    return rows


def _build(config: str | Path, source: str | Path | None, **kwargs: dict) -> BaseDataset:
    dataset = Config.fromfile(config).train_dataloader.dataset
    init_default_scope('mmseg')
    root = {} if source is None else {'data_root': str(source)}
    return DATASETS.build({**dataset, **root, **kwargs})


def _write_as_predecessor(record: dict, folder: Path) -> None:
    for key, kind in (('img_path', 'images'), ('seg_map_path', 'masks')):
        pixels = np.asarray(Image.open(record[key]))
        if pixels.dtype == np.uint16:
            pixels = BRAIN.to_gray(decode_hu(pixels))
        image = Image.fromarray(pixels)
        target = folder / kind / 'train' / Path(record[key]).name
        target.parent.mkdir(parents=True, exist_ok=True)
        (image.convert('RGB') if kind == 'images' else image).save(target)


@contextmanager
def _one_thread() -> Iterator[None]:
    """What mmengine and torch set in a worker."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _round(
    pairs: Sequence[tuple[BaseDataset, BaseDataset, int, int]], progress: float, turned: bool
) -> list[list[float]]:
    """Return the seconds of (predecessor, ours) on each clock."""
    total = np.zeros((2, len(CLOCKS)))
    for theirs, ours, *indices in pairs:
        sides = list(enumerate(zip((theirs, ours), indices)))
        for side, (dataset, index) in reversed(sides) if turned else sides:
            before = [clock() for clock in CLOCKS.values()]
            # Seeded by the slice, or else all would be augmented alike.
            dataset[Draw(index, index, 0, progress)]
            total[side] += [clock() - start for clock, start in zip(CLOCKS.values(), before)]
    return total.tolist()


def _row(name: str, slices: int, seconds: np.ndarray) -> dict[str, str]:
    rates = (f'{slices / median:.4g} samples/s' for median in np.median(seconds, axis=0))
    ratio = seconds[:, 0] / seconds[:, 1]
    return _cells(name, *rates, f'{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})')


def _cells(name: str, theirs: str, ours: str, ratio: str) -> dict[str, str]:
    return {'a sample of ours': name, 'predecessor': theirs, 'Cranium': ours, 'ratio': ratio}
