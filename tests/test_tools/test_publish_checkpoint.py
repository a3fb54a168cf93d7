import hashlib

import torch

from .commands import call


def test_it_tells_the_checksum_and_keeps_what_is_there(tmp_path):
    checkpoint, out = tmp_path / 'iter_1.pth', tmp_path / 'weights.pth'
    torch.save({'state_dict': {'a': torch.ones(3)}, 'meta': {'iter': 1}}, checkpoint)
    done = call('publish_checkpoint', checkpoint, '--out', out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert done.stdout.splitlines() == [f'{out}: 3 weights, 0.0 MB', f'SHA-256 {digest}']
    again = call('publish_checkpoint', checkpoint, '--out', out)
    assert again.returncode == 1
    assert 'is there already; remove it, or choose another name' in again.stderr


def test_a_checkpoint_that_is_not_there(tmp_path):
    done = call('publish_checkpoint', tmp_path / 'a.pth', '--out', tmp_path / 'b.pth')
    assert done.returncode == 1
    assert str(tmp_path / 'a.pth') in done.stderr
    assert 'Traceback' not in done.stderr
