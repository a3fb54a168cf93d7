import re

import pytest
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import init_default_scope

from benchmarks import engine as benchmark
from tests.conftest import TINY_UNET, run_command


@pytest.fixture
def config(tmp_path):
    """The quickstart with two channels, as a file."""
    path = tmp_path / 'tiny.py'
    path.write_text(
        f"_base_ = ['{TINY_UNET}']\n"
        'model = dict(\n'
        '    backbone=dict(base_channels=2), decode_head=dict(in_channels=2, channels=2)\n'
        ')\n'
        'train_dataloader = dict(batch_size=2, num_workers=0)\n'
    )
    return path


def test_table(config, tree):
    variants = ['bf16', 'channels_last+bf16']
    rows = benchmark.compare_steps(config, 2, tree, variants=variants)
    assert [row[f'step on {get_device()}'] for row in rows] == ['default', *variants]
    assert rows[0]['times as fast as the default'] == '1.00 (1.00 to 1.00)'
    for row in rows:
        ratio, low, high = map(float, re.findall(r'[\d.]+', row['times as fast as the default']))
        assert low <= ratio <= high and float(row['seconds']) > 0
        assert re.fullmatch(r'\d+ MiB', row['memory'])


def step_of(config, **options) -> benchmark.Step:
    cfg = Config.fromfile(config)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return benchmark.Step(cfg, benchmark._noise(cfg, (32, 32)), **options)


@pytest.mark.parametrize('options', [{}, *benchmark.PARTS.values()], ids=str)
def test_variants_are_what_they_are_called(config, options, monkeypatch):
    compiled, outputs = [], []
    # Without a GPU the loss is then not scaled, but the rest is the same.
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(torch, 'compile', lambda forward: compiled.append(forward) or forward)
    step = step_of(config, **options)
    first = step.model.backbone.encoder[0][0].convs[0].conv
    first.register_forward_hook(lambda module, inputs, output: outputs.append((*inputs, output)))
    before = first.weight.detach().clone()
    reference, loss = step_of(config)(), step()
    if options.get('dtype') != 'float16':  # sums of the cross entropy overflow on a CPU
        assert loss == pytest.approx(reference, rel=0.05)
    ((image, output),) = outputs
    assert image.shape == (2, 1, 32, 32)
    assert output.dtype == getattr(torch, options.get('dtype', 'float32'))
    scaled = isinstance(step.optim_wrapper, AmpOptimWrapper)
    assert scaled == (output.dtype == torch.float16)
    last = output.is_contiguous(memory_format=torch.channels_last)
    assert last == options.get('channels_last', False)
    assert len(compiled) == options.get('compile', False)
    # The whole step: weights changed, and again.
    assert not torch.equal(before, first.weight)
    assert step() != step()


def test_steps_learn_their_batch(config):
    step = step_of(config)
    losses = [step() for _ in range(40)]
    assert losses[-1] < losses[0]


def test_variant_that_does_not_run_is_skipped(config, tree, monkeypatch):
    def no_compiler(forward):
        raise RuntimeError('No working C++ compiler found\nand more')

    monkeypatch.setattr(torch, 'compile', no_compiler)
    rows = benchmark.compare_steps(config, 1, tree, variants=['compile', 'channels_last'])
    assert [next(iter(row.values())) for row in rows] == ['default', 'channels_last', 'compile']
    assert rows[2]['seconds'] == 'skipped: RuntimeError: No working C++ compiler found'


@pytest.mark.skipif(get_device() != 'cpu', reason='where there is no GPU')
def test_float16_needs_a_gpu(config, tree):
    rows = benchmark.compare_steps(config, 1, tree, variants=['channels_last+fp16'])
    assert rows[1]['seconds'].startswith('skipped: AssertionError')


def test_unknown_variant(config):
    with pytest.raises(ValueError, match=r'no variant fp8; there are channels_last, bf16, '):
        benchmark.compare_steps(config, variants=['bf16+fp8'])


@pytest.mark.skipif(
    get_device() != 'cpu' or not benchmark.CLEAR.exists(), reason='of a process on Linux'
)
def test_peak_memory(tmp_path, monkeypatch):
    # 40 MiB, which are freed again.
    peaks = [benchmark._peak_memory(lambda: torch.ones(10 * 2**20).sum()) for _ in range(2)]
    assert peaks == pytest.approx([40, 40], abs=4)
    monkeypatch.setattr(benchmark, 'CLEAR', tmp_path / 'not/there')
    assert benchmark._peak_memory(lambda: None) is None


def test_waiting(config, tree):
    row = benchmark.waiting(config, 5, tree)
    total, data = float(row['s per iteration']), float(row['s waiting for data'])
    assert 0 < data < total
    assert float(row['share waiting'].split()[0]) == pytest.approx(100 * data / total, rel=0.01)
    assert (row['workers'], row['device']) == ('0', get_device())
    assert row['processes'] == '1, no launcher'


def test_command(config, tree):
    command = ['python', '-m', 'benchmarks', 'train', '--config', config, '--steps', '1']
    output = run_command(*command, '--size', '32', '48', '--variants', 'channels_last')
    assert re.search(r'^\| channels_last +\|', output, re.MULTILINE)
    command = ['-m', *command[2:-1], '3', '--source', tree, '--waiting']
    launcher = ['python', '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    output = run_command(*launcher, *command)
    (row,) = re.findall(r'^\|.* %.*', output, re.MULTILINE)  # of the first process
    assert re.search(r'\| +2, (gloo|nccl) \|', row)
