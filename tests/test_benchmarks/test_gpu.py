"""``benchmarks/gpu.sh``, rehearsed on the CPU: what it needs a GPU for is the time only."""

import os
import re
import signal
import subprocess
import sys
import tarfile

import pytest
from filelock import FileLock

from tests.conftest import ROOT, TINY_UNET, run_command

SCRIPT = ROOT / 'benchmarks/gpu.sh'


@pytest.fixture
def node(tmp_path):
    """The settings of a tiny rehearsal, in which this environment's packages are the image's."""
    runs = tmp_path / 'runs'
    (runs / 'site').mkdir(parents=True)  # already set up
    configs = [tmp_path / f'rate-{name}.py' for name in 'ab']
    for config in configs:
        config.write_text(
            f"_base_ = '{TINY_UNET}'\n"
            'model = dict(\n'
            '    backbone=dict(base_channels=2), decode_head=dict(in_channels=2, channels=2)\n'
            ')\n'
            'train_dataloader = dict(batch_size=2, num_workers=0)\n'
            'test_dataloader = dict(num_workers=0)\n'
        )
    return dict(
        RUNS=str(runs),
        PYTHON=sys.executable,
        DEVICE='cpu',
        SOURCE='data/sample',
        FCN=' '.join(map(str, configs)),
        FCN_OPTIONS='train_cfg.max_iters=40',
        BASE='configs/unet-cranium_small_1xb8-300i_cranium-sample-96x80.py',
        BASE_OPTIONS='train_cfg.max_iters=2 train_dataloader.batch_size=2',
        EVERY='2',
        STEPS='1',
    )


def test_usage():
    assert 'benchmarks/gpu.sh 1 ' in run_command(SCRIPT, status=2)


def test_a_node_without_a_gpu_is_refused_at_once(node):
    if '+cpu' in run_command('python', '-c', 'import torch; print(torch.__version__)'):
        assert 'no GPU' in run_command(SCRIPT, '2', env=node | {'DEVICE': 'cuda'}, status=1)


@pytest.mark.slow
def test_measurements_are_made_once_and_trainings_go_on(node, tmp_path):
    runs = tmp_path / 'runs'
    tables = runs / 'out/tables'
    tables.mkdir(parents=True)
    before = ('fcn-compile', 'base-step', 'base-loader')  # which would take minutes
    for name in before:
        (tables / f'{name}.md').write_text(f'{name} as measured before')
    output = run_command(SCRIPT, '1', env=node)
    assert {path.stem for path in tables.glob('*.md')} == {
        'environment',
        *('fcn-step', 'fcn-loader', 'fcn-one-process'),
        *before,
    }, output
    assert all(f'{name} as measured before' in output for name in before)
    assert ' s: finished, ' in output
    assert ' 1, gloo |' in (tables / 'fcn-one-process.md').read_text()

    # A batch system ends the job: first its processes get SIGTERM.
    job = subprocess.Popen(
        [SCRIPT, '2'],
        cwd=ROOT,
        env=os.environ | node,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # It says so before it writes, so the one before is there.
    assert any('Saving checkpoint at 4 it' in line for line in job.stdout)
    os.killpg(job.pid, signal.SIGTERM)
    job.communicate()
    with FileLock(runs / 'out/slice/rate-a/.lock', timeout=60):  # until the training has ended
        pass
    assert not (runs / 'out/slice/rate-a/test').exists()

    output = run_command(SCRIPT, '2', env=node)
    assert re.search(r'resumed epoch: 0, iter: [1-9]', output)
    assert 'slice/rate-b has reached iter_40' in output
    output = run_command(SCRIPT, '3', env=node)
    assert 'base/fold_1 has reached iter_2' in output
    with tarfile.open(runs / 'results.tar.gz') as archive:
        names = archive.getnames()
        results = archive.extractfile('out/results.md').read().decode()
    assert re.findall(r' (\w*UNet) ', results) == ['AdditiveUNet', 'UNet', 'UNet']
    assert not [name for name in names if name.endswith(('.pth', '.png'))]
    assert 'out/slice/rate-a/test/evaluation/summary.json' in names
