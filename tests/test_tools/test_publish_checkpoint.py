"""``cranium publish``."""

import hashlib

import torch

from cranium.cli.publish import command

from .commands import invoke


def test_it_tells_the_checksum(tmp_path):
    checkpoint, out = tmp_path / 'iter_1.pth', tmp_path / 'weights.pth'
    torch.save({'state_dict': {'a': torch.ones(3)}, 'meta': {'iter': 1}}, checkpoint)
    printed = invoke(command, checkpoint, '--out', out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert printed.splitlines() == [f'{out}: 3 weights, 0.0 MB', f'SHA-256 {digest}']
