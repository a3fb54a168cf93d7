import csv

import numpy as np
import pytest
from PIL import Image

from benchmarks import preparation as benchmark
from benchmarks.preparation import compare_with_predecessor, multiply
from cranium.errors import CraniumError
from cranium.preparation.raw import read_raw
from cranium.preparation.source import find_source


def test_a_download_of_any_size(raw_tree, tmp_path):
    big = multiply(find_source(raw_tree.root), tmp_path / 'big', 37)
    slices = read_raw(find_source(big)).slices
    assert len(slices) == 37
    assert slices[-1].name == '2051_001'
    assert sum(item.label == 'mask' for item in slices) == 8
    assert not any(item.notes for item in slices)
    assert (big / slices[30].brain).samefile(big / slices[0].brain)
    with (big / 'hemorrhage_diagnosis.csv').open(newline='') as file:
        assert len(list(csv.DictReader(file))) == 37


def test_figures(raw_tree):
    figures = compare_with_predecessor(raw_tree.root, slices=4, rounds=1)
    assert figures['slices'] == 6  # of two patients
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize('name', ['images/*/*.png', 'masks/*/*_001.png', 'masks/*/*_002.png'])
def test_other_pixels_are_found(raw_tree, tmp_path, name):
    plan = benchmark._prepare(benchmark._spread(raw_tree.root, 15), tmp_path)
    benchmark._assert_pixels(plan, tmp_path)
    path = next(tmp_path.glob(name))
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    with pytest.raises(CraniumError, match=f'{path}: other pixels than Pillow decodes'):
        benchmark._assert_pixels(plan, tmp_path)
