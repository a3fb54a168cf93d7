"""The commands of the README as a user types them, on small noise."""

import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cranium.cli.env import command as env
from tests.conftest import BIN, ROOT, TINY_UNET, run_command, write_tree

DEVICES = ('--launcher', 'pytorch', '--gpus', '2')


def data_options(tree):
    return [f'{part}_dataloader.dataset.data_root={tree}' for part in ('train', 'val', 'test')]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A tree and the work_dir of a training on it."""
    tree = write_tree(tmp_path_factory.mktemp('tree'))
    work_dir = tmp_path_factory.mktemp('work')
    options = [*data_options(tree), 'train_cfg.max_iters=4', 'train_cfg.val_interval=2']
    options += ['default_hooks.checkpoint.interval=1']
    output = run_command(
        *('mim', 'train', 'mmseg', TINY_UNET, '--work-dir', work_dir, '--cfg-options', *options)
    )
    assert 'Training finished successfully' in output
    return tree, work_dir


def metrics_of(work_dir):
    (file,) = work_dir.glob('2*/*.json')
    return json.loads(file.read_text())


def test_train_keeps_the_best_and_the_last_two(trained):
    _, work_dir = trained
    names = sorted(path.name for path in work_dir.glob('*.pth'))
    assert len(names) == 3
    assert names[0].startswith('best_patient_authors_dice_iter_')
    assert names[1:] == ['iter_3.pth', 'iter_4.pth']


def test_test_writes_metrics_masks_and_pictures(trained, tmp_path):
    tree, work_dir = trained
    test = ['mim', 'test', 'mmseg', TINY_UNET, '--checkpoint', work_dir / 'iter_4.pth']
    options = ['--cfg-options', *data_options(tree)]
    folders = ['--work-dir', tmp_path / 'one', '--out', tmp_path / 'masks']
    run_command(*test, *folders, '--show-dir', tmp_path / 'pictures', *options)
    masks = sorted((tmp_path / 'masks').glob('*.png'))
    assert [path.name for path in masks] == [f'071_{number:03d}.png' for number in (1, 2, 3)]
    assert all(set(np.unique(Image.open(path))) <= {0, 1} for path in masks)
    assert len(list((tmp_path / 'pictures').rglob('*.png'))) == len(masks)
    one = metrics_of(tmp_path / 'one')
    assert {'mIoU', 'mDice', 'pixel/dice_hemorrhage', 'patient/authors_dice'} <= one.keys()
    # The masks on disk give the figure that was reported.
    pairs = [
        (np.array(Image.open(path)), np.array(Image.open(tree / 'masks/val' / path.name)))
        for path in masks
    ]
    dice = 2 * sum((p & t).sum() for p, t in pairs) / sum(p.sum() + t.sum() for p, t in pairs)
    assert one['pixel/dice_hemorrhage'] == pytest.approx(dice, abs=1e-9)
    # Three slices do not divide among two processes: one is padding and must not count twice.
    run_command(*test, *DEVICES, '--work-dir', tmp_path / 'two', *options)
    two = metrics_of(tmp_path / 'two')
    timing = {'data_time', 'time'}
    assert {k: two[k] for k in two.keys() - timing} == {k: one[k] for k in one.keys() - timing}


def test_resume_after_a_kill(tree, tmp_path):
    work_dir = tmp_path / 'work'
    options = [*data_options(tree), 'train_cfg.val_interval=100000']
    options += ['default_hooks.checkpoint.interval=2']
    train = ['mim', 'train', 'mmseg', TINY_UNET, '--work-dir', work_dir]
    killed = subprocess.Popen(
        [*map(str, train), '--cfg-options', *options, 'train_cfg.max_iters=100000'],
        cwd=ROOT,
        env=os.environ | {'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not (work_dir / 'last_checkpoint').exists():
            assert time.monotonic() < deadline and killed.poll() is None
            time.sleep(0.2)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    last = int(re.search(r'iter_(\d+)', (work_dir / 'last_checkpoint').read_text())[1])
    options += [f'train_cfg.max_iters={last + 2}']
    output = run_command(*train, '--resume', '--cfg-options', *options)
    assert re.search(rf'resumed epoch: \d+, iter: {last}\b', output)
    assert (work_dir / f'iter_{last + 2}.pth').exists()


PREDECESSOR = """
_base_ = [
    'mmseg::_base_/models/fcn_unet_s5-d16.py',
    './data.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_20k.py',
]
custom_imports = dict(imports='datasets.cranium_dataset')
data_preprocessor = dict(size=(64, 64))
optim_wrapper = dict(optimizer=dict(lr=0.01))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(base_channels=4),
    decode_head=dict(num_classes=2, in_channels=4, channels=4),
    auxiliary_head=None,
    test_cfg=dict(mode='whole', _delete_=True),
)
visualizer = dict(vis_backends=None)
"""

PREDECESSOR_DATA = """
{name}_dataloader = dict(
    batch_size={batch_size},
    num_workers=1,
    sampler={sampler},
    dataset=dict(
        type='CraniumDataset',
        data_root='data/',
        data_prefix=dict(img_path='images/{name}/', seg_map_path='masks/{name}/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            {augment}
            dict(type='PackSegInputs'),
        ],
    ),
)
"""
TRAIN = dict(
    name='train',
    batch_size=2,
    sampler="dict(type='InfiniteSampler', shuffle=True)",
    augment="dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),",
)
VAL = dict(
    name='val', batch_size=1, sampler="dict(type='DefaultSampler', shuffle=False)", augment=''
)
PREDECESSOR_EVALUATION = """
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])
test_evaluator = val_evaluator
"""


@pytest.mark.slow
def test_predecessors_configs_train_and_test_unchanged(tree, tmp_path):
    """Its way: relative data/, PYTHONPATH, its custom_imports, IoUMetric, no visualizer backend."""
    (tmp_path / 'model.py').write_text(PREDECESSOR)
    loaders = ''.join(PREDECESSOR_DATA.format(**settings) for settings in (TRAIN, VAL))
    (tmp_path / 'data.py').write_text(loaders + PREDECESSOR_EVALUATION)
    pythonpath = {'PYTHONPATH': str(ROOT)}
    # `data` is the tree's folder below tmp_path.
    options = ['--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    options += ['default_hooks.checkpoint.interval=2', 'param_scheduler.0.end=2']
    run_command(
        *('mim', 'train', 'mmseg', 'model.py', '--work-dir', 'work', *options),
        cwd=tmp_path,
        env=pythonpath,
    )
    output = run_command(
        *('mim', 'test', 'mmseg', 'model.py', '--checkpoint', 'work/iter_2.pth'),
        cwd=tmp_path,
        env=pythonpath,
    )
    assert re.search(r'mIoU: [\d.]+ .*mDice: [\d.]+', output)


def test_env_names_what_a_bug_report_needs():
    output = CliRunner().invoke(env, []).output
    for name in ('Python', 'torch', 'mmengine', 'mmsegmentation', 'cranium', 'mmcv operators'):
        assert re.search(rf'^{name}: .', output, re.MULTILINE), name
