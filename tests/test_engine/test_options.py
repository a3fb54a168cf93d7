"""Options of mim: TensorBoard, bfloat16 on a CPU, and --tta."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from cranium.engine import options
from cranium.engine.options import CPUBfloat16OptimWrapper, computes_bfloat16
from cranium.errors import CraniumError
from tests.test_engine.training import tiny_config, train


class Writer:
    """In place of TensorBoard's: keeps what it is given."""

    def __init__(self, save_dir):
        self.save_dir, self.scalars, self.images = save_dir, {}, {}
        Writer.last = self

    def add_scalar(self, name, value, step):
        self.scalars[name, step] = value

    def add_image(self, name, image, step, dataformats):
        assert dataformats == 'HWC'
        self.images[name, step] = image

    def add_text(self, *args):
        pass

    def close(self):
        pass


@pytest.fixture
def tensorboard(monkeypatch):
    """Pretend that TensorBoard is installed."""
    module = ModuleType('torch.utils.tensorboard')
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', module)


def test_one_switch_gives_tensorboard_the_figures_and_predictions(tree, tmp_path, tensorboard):
    train(tiny_config(tree, tmp_path, **{'visualizer.tensorboard': True}))
    (folder,) = tmp_path.glob('*/vis_data')
    assert Writer.last.save_dir == str(folder)
    assert {('loss', step) for step in range(1, 7)} <= Writer.last.scalars.keys()
    assert ('pixel/dice_hemorrhage', 6) in Writer.last.scalars
    ((name, step), image), *more = Writer.last.images.items()
    assert (name, step, image.dtype, image.shape[2], more) == ('predictions', 6, np.uint8, 3, [])
    # As without it: what plot_curves reads.
    assert (folder / 'scalars.json').exists()


@pytest.mark.parametrize(
    'capabilities, expected',
    [
        ({}, False),
        ({'avx2': True, 'avx512_f': True, 'avx512_bf16': False}, False),
        ({'avx512_bf16': True}, True),
        ({'amx_bf16': True}, True),
    ],
)
def test_what_the_cpu_can_do(capabilities, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)
    assert computes_bfloat16() is expected


def test_a_pytorch_that_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    assert not computes_bfloat16()


@pytest.mark.parametrize('able, dtype', [(True, torch.bfloat16), (False, torch.float32)])
def test_casts_where_the_cpu_can(able, dtype, monkeypatch):
    monkeypatch.setattr(options, 'computes_bfloat16', lambda: able)
    model = torch.nn.Conv2d(1, 2, 3)
    wrapper = CPUBfloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(1, 1, 4, 4))
    assert output.dtype == dtype
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
    assert model(torch.ones(1, 1, 4, 4)).dtype == torch.float32  # outside of the context


def test_a_training_by_the_switch(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(options, 'computes_bfloat16', lambda: True)
    seen = set()
    config = tiny_config(tree, tmp_path, **{'optim_wrapper.type': 'CPUBfloat16OptimWrapper'})
    runner = Runner.from_cfg(config)
    hook = runner.model.decode_head.conv_seg.register_forward_hook(
        lambda module, inputs, output: seen.add((module.training, output.dtype))
    )
    runner.train()
    hook.remove()
    # In training only: a validation measures the weights as they are.
    assert seen == {(True, torch.bfloat16), (False, torch.float32)}
    assert all(value.dtype != torch.bfloat16 for value in runner.model.state_dict().values())


def test_tta(tree, tmp_path):
    config = tiny_config(tree, tmp_path)
    # As mmseg's tools/test.py has it.
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model
    with pytest.raises(CraniumError, match='--tta: not for configs of Cranium; leave it out'):
        Runner.from_cfg(config)
