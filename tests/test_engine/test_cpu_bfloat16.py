import pytest
import torch
from mmengine.runner import Runner

from cranium.engine import cpu_bfloat16
from cranium.engine.cpu_bfloat16 import CPUBfloat16OptimWrapper, computes_bfloat16

from .training import tiny_config


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
    monkeypatch.setattr(cpu_bfloat16, 'computes_bfloat16', lambda: able)
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
    monkeypatch.setattr(cpu_bfloat16, 'computes_bfloat16', lambda: True)
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
