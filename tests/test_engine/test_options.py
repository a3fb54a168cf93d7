"""Options of mim that users try."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from cranium.engine.publishing import publish_checkpoint
from cranium.errors import CraniumError
from tests.conftest import ROOT
from tests.test_engine.training import tiny_config, train


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda path: path.stem
)
def test_num_workers_0(path):
    """PyTorch refuses it beside persistent_workers."""
    config = Config.fromfile(path)
    for part in ('train', 'val', 'test'):
        assert not config[f'{part}_dataloader'].get('persistent_workers')


def test_tta(tree, tmp_path):
    config = tiny_config(tree, tmp_path)
    # As mmseg's tools/test.py has it.
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model
    with pytest.raises(CraniumError, match='--tta: not for configs of Cranium; leave it out'):
        Runner.from_cfg(config)


def test_resume_from_weights_alone(tree, tmp_path):
    options = {'train_cfg.max_iters': 1, 'default_hooks.checkpoint.interval': 1}
    train(tiny_config(tree, tmp_path / 'first', **options))
    weights = tmp_path / 'weights.pth'
    publish_checkpoint(tmp_path / 'first/iter_1.pth', weights)
    options['load_from'] = str(weights)
    with pytest.raises(CraniumError, match=r'leave out --resume .* load_from=.*weights\.pth'):
        train(tiny_config(tree, tmp_path / 'second', **options, resume=True))
    train(tiny_config(tree, tmp_path / 'second', **options))
