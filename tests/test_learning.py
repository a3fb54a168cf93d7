"""The quickstart's network can learn: measured on the very patients that it is trained on."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, run_command

pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs/unet-cranium_small_1xb8-300i_cranium-sample-96x80.py'


def train(tree, work_dir) -> float:
    """Train as ``make quickstart`` does; return the Dice of hemorrhage on the training slices."""
    options = [f'{part}_dataloader.dataset.data_root={tree}' for part in ('train', 'val', 'test')]
    for folder in ('img_path=images', 'seg_map_path=masks'):
        options += [
            f'{part}_dataloader.dataset.data_prefix.{folder}/train' for part in ('val', 'test')
        ]
    options += ['train_cfg.val_interval=300']
    command = ['mim', 'train', 'mmseg', CONFIG, '--work-dir', work_dir]
    run_command(*command, '--cfg-options', *options)
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return json.loads(scalars.read_text().splitlines()[-1])['pixel/dice_hemorrhage']


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """HU of data/sample, prepared."""
    tree = tmp_path_factory.mktemp('sample')
    prepare = ['python', 'tools/prepare_dataset.py', '--source', 'data/sample', '--out', tree]
    run_command(*prepare, '--window', 'hu')
    return tree


def test_dice_on_training_patients_exceeds_a_half(tree, tmp_path):
    assert train(tree, tmp_path / 'work') > 0.5


def test_dice_stays_low_where_labels_are_shuffled(tree, tmp_path):
    """So it is the images that the model learns from, and the figure that tells."""
    masks = sorted((tree / 'masks/train').glob('*.png'))
    shuffled = np.random.default_rng(0).permutation(len(masks))
    for folder in ('images', 'masks'):
        (tmp_path / folder / 'train').mkdir(parents=True)
    for mask, other in zip(masks, shuffled):
        Image.open(masks[other]).save(tmp_path / 'masks/train' / mask.name)
        image = tmp_path / 'images/train' / mask.name
        image.symlink_to(tree / 'images/train' / mask.name)
    assert train(tmp_path, tmp_path / 'work') < 0.25
