"""Every config builds, says how it is run, and makes two steps of training and one validation."""

import re

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tests.conftest import ROOT, call_cranium, write_hu

CONFIGS = sorted(path for path in (ROOT / 'configs').glob('*.py'))
PREDECESSORS = {
    f'fcn-unet-s5-d16_unet_1xb16-{lr}-20k_cranium-512x512': lr for lr in (0.01, 0.001, 0.0001)
}
# Each backbone with few channels, and without its ImageNet weights, which would be downloaded.
TINY = {
    'UNet': {'backbone.base_channels': 2, 'decode_head.in_channels': 2},
    'AdditiveUNet': {
        'backbone.base_channels': 2,
        'decode_head.in_channels': 2,
        'auxiliary_head.in_channels': 16,
    },
    'MixVisionTransformer': {
        'backbone.init_cfg': None,
        'backbone.embed_dims': 4,
        'backbone.num_layers': [1, 1, 1, 1],
        'decode_head.in_channels': [4, 8, 20, 32],
    },
    'SwinTransformer': {
        'backbone.init_cfg': None,
        'backbone.embed_dims': 12,
        'backbone.depths': [1, 1, 1, 1],
        'decode_head.in_channels': [12, 24, 48, 96],
        'auxiliary_head.in_channels': 48,
        'auxiliary_head.channels': 2,
    },
}


def shrink(config: Config, tree, work_dir) -> None:
    """Make a config's network and steps tiny, and nothing else."""
    tiny = {f'model.{key}': value for key, value in TINY[config.model.backbone.type].items()}
    config.merge_from_dict(
        tiny
        | {
            'work_dir': str(work_dir),
            'model.decode_head.channels': 2,
            'train_cfg.max_iters': 2,
            'train_cfg.val_interval': 2,
            'default_hooks.checkpoint.interval': 2,
        }
    )
    for part in ('train', 'val', 'test'):
        loader = config[f'{part}_dataloader']
        loader.dataset.data_root = str(tree)
        loader.batch_size, loader.num_workers, loader.persistent_workers = 2, 0, False
        for step in [*loader.dataset.get('load', []), *loader.dataset.pipeline]:
            if step.type == 'Resize':
                step.scale = (64, 64)
            if step.type == 'AlignHead':
                step.size, step.pixel_mm = (64, 64), 0.36
            if step.type == 'LoadScan':
                step.shrink = 1
    if config.optim_wrapper.type == 'AmpOptimWrapper':  # mmengine has it for GPUs alone
        config.optim_wrapper = dict(type='OptimWrapper', optimizer=config.optim_wrapper.optimizer)
    if config.model.data_preprocessor.get('size'):
        config.model.data_preprocessor.size = (64, 64)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_two_iterations_and_a_validation(path, tree, tmp_path):
    config = Config.fromfile(path)
    if 'load' in config.train_dataloader.dataset:
        write_hu(tree)
    shrink(config, tree, tmp_path)
    config.experiment_name = path.stem
    Runner.from_cfg(config).train()
    assert (tmp_path / 'iter_2.pth').exists()
    assert len(list(tmp_path.glob('best_patient_authors_dice_iter_2.pth'))) == 1


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_workers_do_not_persist(path):
    """PyTorch refuses that beside `num_workers=0`, which users try."""
    config = Config.fromfile(path)
    for part in ('train', 'val', 'test'):
        assert not config[f'{part}_dataloader'].get('persistent_workers')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_opening_comment_names_the_file_in_its_commands(path):
    comment = re.match(r'(#.*\n)+', path.read_text())[0]
    name = f'configs/{path.name}'
    assert re.search(rf'# Train: +mim train mmseg {re.escape(name)}', comment)
    assert re.search(rf'# Test: +mim test mmseg {re.escape(name)} --checkpoint \S+\.pth', comment)


ABLATION = """
_base_ = '{base}'
steps = [step for step in _base_.train_pipeline if step.type != 'PasteHemorrhage']
steps = [dict(step, blur_prob=0) if step.type == 'DistortHU' else step for step in steps]
train_dataloader = dict(dataset=dict(pipeline=steps))
default_hooks = dict(ema=dict(momentum=0.999))
"""


def test_an_ablation_names_steps_by_their_type(tmp_path):
    """Not by their place, which is another one as soon as a step is added."""
    base = ROOT / 'configs/unet-cranium_small_1xb8-1k_cranium-aligned-96x80.py'
    (tmp_path / 'no_paste.py').write_text(ABLATION.format(base=base))
    config = Config.fromfile(tmp_path / 'no_paste.py')
    before = Config.fromfile(base).train_dataloader.dataset.pipeline
    after = config.train_dataloader.dataset.pipeline
    assert [step.type for step in before if step.type != 'PasteHemorrhage'] == [
        step.type for step in after
    ]
    assert [step.blur_prob for step in after if step.type == 'DistortHU'] == [0]
    assert config.default_hooks.ema.momentum == 0.999


def test_the_average_of_the_weights_stands_once():
    files = (ROOT / 'configs').rglob('*.py')
    assert sum(path.read_text().count('EMAHook') for path in files) == 1


@pytest.mark.parametrize('name, lr', PREDECESSORS.items())
def test_predecessors_experiments(name, lr):
    """What mmseg's table was made with, by its description in words."""
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=lr, momentum=0.9, weight_decay=0.0005
    )
    assert config.train_dataloader.batch_size == 16
    assert config.train_cfg.max_iters == 20000
    assert config.model.backbone.base_channels == 64
    assert config.model.decode_head.num_classes == 2
    assert config.model.auxiliary_head is None
    assert config.model.test_cfg == dict(mode='whole')
    assert config.model.data_preprocessor.size == (512, 512)
    assert [step.type for step in config.train_dataloader.dataset.pipeline] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'Resize',
        'RandomFlip',
        'PhotoMetricDistortion',
        'PackSegInputs',
    ]


@pytest.mark.parametrize(
    'options',
    [
        ['--split', 'authors', '--fold', '2'],
        ['--split', 'slice'],
        ['--window', 'bone'],
    ],
    ids=' '.join,
)
def test_every_protocol_and_window_trains(options, tmp_path):
    tree = tmp_path / 'data'
    call_cranium('prepare', '--source', ROOT / 'data/sample', '--out', tree, *options)
    config = Config.fromfile(ROOT / f'configs/{next(iter(PREDECESSORS))}.py')
    shrink(config, tree, tmp_path / 'work')
    config.experiment_name = ' '.join(options)
    Runner.from_cfg(config).train()
    assert (tmp_path / 'work/iter_2.pth').exists()
