import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import TINY_UNET, run_command

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='this is for machines without CUDA'
)

# Off is what lets two processes of 4 slices differ from one of 8 for another reason than gradients:
# statistics of a batch, dropout, a loss that is not a mean over slices, and an optimizer that blows
# up rounding. Random augmentation stays, for each draw is augmented the same in any process.
EQUAL = f"""
_base_ = {str(TINY_UNET)!r}
pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(48, 48)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(sampler=dict(hemorrhage_share=0.5), dataset=dict(pipeline=pipeline))
model = dict(
    backbone=dict(norm_eval=True),
    decode_head=dict(
        num_convs=0,
        dropout_ratio=0.0,
        loss_decode=dict(_delete_=True, type='CrossEntropyLoss'),
    ),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1, momentum=0.9))
train_cfg = dict(max_iters=3, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=3, save_best=None))
"""


def train(config, work_dir, tree, batch_size, *launcher):
    data = [f'{part}_dataloader.dataset.data_root={tree}' for part in ('train', 'val', 'test')]
    options = ['--cfg-options', *data, f'train_dataloader.batch_size={batch_size}']
    run_command('mim', 'train', 'mmseg', config, *launcher, '--work-dir', work_dir, *options)
    return torch.load(work_dir / 'iter_3.pth', weights_only=False)['state_dict']


@pytest.mark.slow
def test_two_processes_of_4_equal_one_of_8(tree, tmp_path):
    config = tmp_path / 'equal.py'
    config.write_text(EQUAL)
    one = train(config, tmp_path / 'one', tree, 8)
    two = train(config, tmp_path / 'two', tree, 4, '--launcher', 'pytorch', '--gpus', '2')
    half = train(config, tmp_path / 'half', tree, 4)
    assert one.keys() == two.keys()
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=0, atol=1e-6, msg=name)
    # The same samples and steps matter: half of them do not give the same weights.
    assert any((half[name] - one[name]).abs().max() > 1e-4 for name in one)
    # Either draws all three slices of the validation, whichever process predicted them.
    pictures = [
        np.array(Image.open(tmp_path / run / 'validations/iter_3.png')) for run in ('one', 'two')
    ]
    np.testing.assert_array_equal(*pictures)
    assert (tmp_path / 'two/curves.png').exists()


def test_an_import_joins_no_process_group():
    """It would wait for the second process, which never comes."""
    launched = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='2', MASTER_ADDR='localhost')
    code = 'import cranium.engine, torch; assert not torch.distributed.is_initialized()'
    run_command('python', '-c', code, env=launched | {'MASTER_PORT': '29875'})


def test_the_gap_is_still_there():
    """Once this fails, engine/cpu_distributed.py can be deleted."""
    launched = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='localhost')
    code = "import mmengine.dist; mmengine.dist.init_dist('pytorch', backend='gloo')"
    output = run_command('python', '-c', code, env=launched | {'MASTER_PORT': '29876'}, status=1)
    assert 'cuda' in output.lower()
