"""The evaluation is as fast as it is said to be."""

import re

import numpy as np
import pytest
from PIL import Image

from benchmarks import evaluation as benchmark
from cranium.errors import CraniumError
from tests.test_evaluation.masks import blobs


def test_faster_than_iou_metric(tmp_path):
    (tmp_path / 'masks/val').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        mask = blobs(rng, (512, 512), share=0.01, smoothness=12) * (number % 2)
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f'masks/val/049_00{number}.png')
    text = benchmark.run(tmp_path, num_slices=2)
    ratios = [float(ratio) for ratio in re.findall(r'([\d.]+)x$', text, re.MULTILINE)]
    assert len(ratios) == 3 and ratios[0] >= 5, text
    every = re.search(r'an interval of a mean: ([\d.]+) s', text)
    assert float(every[1]) < 1, text
    assert int(re.search(r'(\d+) bytes', text)[1]) < 2000


def test_no_masks(tmp_path):
    with pytest.raises(CraniumError, match='cranium prepare'):
        benchmark.run(tmp_path)
