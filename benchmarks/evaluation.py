"""How fast the evaluation is, beside mmseg's IoUMetric on the same slices in the same process."""

import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image
from scipy import ndimage

from cranium.errors import CraniumError
from cranium.evaluation import measures, results, statistics
from cranium.evaluation.hemorrhage_metric import HemorrhageMetric

META = {'classes': ('background', 'hemorrhage')}
ROUNDS = 7


def run(source: str | Path, num_slices: int = 24) -> str:
    """Time IoUMetric and ours by turns, slice by slice, on real masks.

    The predictions are the masks, moved by a few pixels, with logits.

    Args:
        source (str | Path): Prepared tree, whose ``masks`` are used.
        num_slices (int): Slices with hemorrhage, and as many without. Defaults to 24.

    Returns:
        str: A table of the median times per slice and their ratio.

    Raises:
        CraniumError: If there are no masks of both kinds.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        healthy, positive = (_samples(masks) for masks in _masks(source, num_slices))
        rows = [
            ('pixel level, all slices', _pixel_level, healthy + positive),
            ('all levels, slices without hemorrhage', _all_levels, healthy),
            ('all levels, slices with hemorrhage', _all_levels, positive),
        ]
        lines = [f'{"":40}{"IoUMetric":>12}{"Cranium":>12}{"ratio":>8}']
        for name, ours, samples in rows:
            theirs_ms, ours_ms = _times(samples, _iou_metric, ours)
            lines.append(
                f'{name:40}{theirs_ms:9.2f} ms{ours_ms:9.2f} ms{theirs_ms / ours_ms:7.1f}x'
            )
        shape = 'x'.join(map(str, healthy[0]['gt_sem_seg']['data'].shape[1:]))
        lines.append(f'{num_slices} slices of each kind, {shape} pixels, one thread, median')
        return '\n'.join([*lines, *_statistics(positive)])
    finally:
        torch.set_num_threads(threads)


def _masks(source: str | Path, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    healthy, positive = [], []
    for file in sorted(Path(source).glob('masks/*/*.png')):
        mask = np.asarray(Image.open(file))
        chosen = positive if (mask == 1).any() else healthy
        if len(chosen) < count:
            chosen.append(mask)
    if not (healthy and positive):
        raise CraniumError(
            f'{source}: no masks/*/*.png with and without hemorrhage; make a prepared tree with '
            'cranium prepare'
        )
    return healthy, positive


def _samples(masks: Sequence[np.ndarray]) -> list[dict]:
    """What a segmentor hands to a metric: smooth logits, and the labels that follow."""
    made = []
    for index, mask in enumerate(masks):
        moved = np.roll(mask == 1, 4, axis=1).astype(np.float32)
        logit = 12 * ndimage.gaussian_filter(moved, 2.0) - 6
        logits = torch.from_numpy(np.stack([-logit, logit]))
        made.append(
            {
                'img_path': f'{index:03d}_001.png',
                'gt_sem_seg': {'data': torch.from_numpy(mask.astype(np.int64))[None]},
                'pred_sem_seg': {'data': logits.argmax(0, keepdim=True)},
                'seg_logits': {'data': logits},
            }
        )
    return made


def _iou_metric(sample: dict) -> None:
    labels = (sample[key]['data'].squeeze() for key in ('pred_sem_seg', 'gt_sem_seg'))
    IoUMetric.intersect_and_union(*labels, num_classes=2, ignore_index=255)


def _pixel_level(sample: dict) -> None:
    labels = [sample[key]['data'][0].to(torch.uint8) for key in ('gt_sem_seg', 'pred_sem_seg')]
    measures.count_pixels(*measures.binary_masks(*(label.numpy() for label in labels)))


def _all_levels(sample: dict) -> None:
    _METRIC.process({}, [sample])


def _times(samples: Sequence[dict], *functions: Callable[[dict], None]) -> list[float]:
    """Median milliseconds per slice of each function, called by turns."""
    taken: list[list[float]] = [[] for _ in functions]
    for turn in range(ROUNDS + 1):
        for sample in samples:
            for times, function in zip(taken, functions):
                start = time.perf_counter()
                function(sample)
                if turn:  # the first turn warms up
                    times.append(time.perf_counter() - start)
    return [1000 * float(np.median(times)) for times in taken]


def _statistics(samples: Sequence[dict]) -> list[str]:
    metric = HemorrhageMetric()
    metric.dataset_meta = META
    metric.process({}, samples)
    size = np.mean([len(pickle.dumps(record)) for record in metric.results])
    start = time.process_time()
    weights = statistics.patient_weights(82)
    values = np.linspace(0, 1, 82)
    statistics.interval(statistics.weighted_mean(weights, values, np.arange(82))[1:])
    one = time.process_time() - start
    start = time.process_time()
    results.evaluate(metric.results)
    every = time.process_time() - start
    return [
        f'10,000 draws of 82 patients, an interval of a mean: {one:.3f} s of CPU',
        f'10,000 draws of {len(samples)} patients, every figure: {every:.3f} s of CPU',
        f'kept of a slice with hemorrhage: {size:.0f} bytes',
    ]


_METRIC = HemorrhageMetric()
_METRIC.dataset_meta = META
