import re

import numpy as np
import pytest
from PIL import Image

from benchmarks import datasets as benchmark
from cranium.windows import BRAIN, encode_hu
from tests.conftest import ROOT, TINY_UNET, run_command, write_hu, write_slice

PREDECESSOR = ROOT / 'configs/_base_/datasets/cranium_512x512.py'


def test_table(tree):
    rows = benchmark.compare_loaders(TINY_UNET, PREDECESSOR, tree, slices=3, rounds=2)
    names = [row['a sample of ours'] for row in rows]
    assert names == ['1x96x96, CPU time', '1x96x96, wall time']
    for row in rows:
        theirs, ours = (float(row[side].split()[0]) for side in ('predecessor', 'Cranium'))
        ratio, low, high = map(float, re.findall(r'[\d.]+', row['ratio']))
        assert theirs > 0 and ours > 0 and low <= ratio <= high


def test_coarse_draws_are_timed_by_themselves(tree, tmp_path):
    write_hu(tree)
    config = tmp_path / 'config.py'
    steps = [
        dict(type='ProgressiveResizing'),
        dict(type='LoadScan', shrink=1),
        dict(type='AlignHead', size=(64, 32), pixel_mm=0.36),
        dict(type='PackSegInputs'),
    ]
    config.write_text(f"_base_ = ['{TINY_UNET}']\ntrain_pipeline = {steps}\n")
    with config.open('a') as file:
        file.write('train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n')
    rows = benchmark.compare_loaders(config, PREDECESSOR, tree, slices=2, rounds=1)
    shapes = [row['a sample of ours'].partition(',')[0] for row in rows]
    assert shapes == ['4x32x16'] * 2 + ['4x64x32'] * 2


def test_both_load_the_same_slices_as_often(tree, monkeypatch):
    built, loaded = [], []
    build = benchmark._build

    class Recorder:
        def __init__(self, *args, **kwargs):
            self.dataset = build(*args, **kwargs)
            self.get_data_info = self.dataset.get_data_info
            self.pipeline = self.dataset.pipeline
            built.append(self)

        def __len__(self):
            return len(self.dataset)

        def __getitem__(self, index):
            record = self.get_data_info(int(index))
            loaded.append((built.index(self), record['patient'], record['slice']))
            return self.dataset[index]

    monkeypatch.setattr(benchmark, '_build', Recorder)
    benchmark.compare_loaders(TINY_UNET, PREDECESSOR, tree, slices=3, rounds=2)
    counted = loaded[-12:]
    # Ours is built first. It goes second, and in the next round first.
    assert [side for side, *_ in counted] == [1, 0] * 3 + [0, 1] * 3
    assert [name for _, *name in counted] == 2 * [['049', n] for n in (1, 1, 4, 4, 8, 8)]


@pytest.mark.parametrize('window', ['brain', 'hu'])
def test_files_of_the_predecessor(tmp_path, window):
    rng = np.random.default_rng(0)
    brain = 17 * rng.integers(0, 16, (20, 30), dtype=np.uint8)  # 8 HU each
    mask = rng.integers(0, 2, (20, 30), dtype=np.uint8)
    image = brain if window == 'brain' else encode_hu(BRAIN.to_hu(brain))
    write_slice(tmp_path / 'data', 'train', '049_001', image, mask)
    record = {
        key: str(tmp_path / f'data/{kind}/train/049_001.png')
        for key, kind in (('img_path', 'images'), ('seg_map_path', 'masks'))
    }
    benchmark._write_as_predecessor(record, tmp_path)
    written = np.asarray(Image.open(tmp_path / 'images/train/049_001.png'))
    assert (written == brain[..., None]).all() and written.shape == (20, 30, 3)
    assert (np.asarray(Image.open(tmp_path / 'masks/train/049_001.png')) == mask).all()


def test_command(tree):
    command = ['python', '-m', 'benchmarks', 'loader', '--slices', '2', '--rounds', '1']
    output = run_command(*command, '--config', TINY_UNET, '--source', tree)
    assert re.search(r'^\| 1x96x96, CPU time +\| +[\d.e+]+ samples/s \|', output, re.MULTILINE)


def test_no_tree(tmp_path):
    command = ['python', '-m', 'benchmarks', 'loader', '--source', tmp_path]
    assert 'is not a folder' in run_command(*command, status=1)
