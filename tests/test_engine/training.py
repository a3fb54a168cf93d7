"""Trainings that take seconds."""

import itertools
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.conftest import TINY_UNET

NUMBER = itertools.count()
AUGMENT = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(0.8, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(48, 48)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]


def tiny_config(tree: Path, work_dir: Path, **options) -> Config:
    """The quickstart with 2 channels, dropout and random augmentation; 6 iterations."""
    config = Config.fromfile(TINY_UNET)
    parts = ('train', 'val', 'test')
    config.merge_from_dict(
        {
            'work_dir': str(work_dir),
            'model.backbone.base_channels': 2,
            'model.decode_head.in_channels': 2,
            'model.decode_head.channels': 2,
            'model.decode_head.dropout_ratio': 0.5,
            'model.data_preprocessor.size': (48, 48),
            'model.data_preprocessor.size_divisor': None,
            'model.data_preprocessor.test_cfg': dict(size_divisor=8),
            'train_dataloader.dataset.pipeline': AUGMENT,
            'train_cfg.max_iters': 6,
            'train_cfg.val_interval': 6,
            'default_hooks.checkpoint.interval': 3,
            'default_hooks.logger.interval': 1,
        }
        | {f'{part}_dataloader.dataset.data_root': str(tree) for part in parts}
        | {f'{part}_dataloader.num_workers': 0 for part in parts}
        | {f'{part}_dataloader.batch_size': 2 for part in parts}
        | options
    )
    # mmengine keeps one message hub, one log and one visualizer for each name in a process.
    config.experiment_name = config.visualizer.name = f'{work_dir}-{next(NUMBER)}'
    return config


class Watch(Hook):
    """Note the losses of each iteration; fail before one, as a kill would end the training."""

    priority = 'HIGHEST'

    def __init__(self, die_before: int | None = None) -> None:
        self.losses: dict[int, dict[str, float]] = {}
        self.die_before = die_before

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.die_before:
            raise KeyboardInterrupt

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses[runner.iter + 1] = {name: float(value) for name, value in outputs.items()}


def train(config: Config, *hooks: Hook) -> Runner:
    """Train by a config, with more hooks."""
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner
