import hashlib

import torch
from click.testing import CliRunner

from cranium.cli.publish import command
from cranium.errors import CraniumError


def publish(*arguments):
    return CliRunner().invoke(command, [*map(str, arguments)])


def test_it_tells_the_checksum_and_keeps_what_is_there(tmp_path):
    checkpoint, out = tmp_path / 'iter_1.pth', tmp_path / 'weights.pth'
    torch.save({'state_dict': {'a': torch.ones(3)}, 'meta': {'iter': 1}}, checkpoint)
    done = publish(checkpoint, '--out', out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert done.stdout.splitlines() == [f'{out}: 3 weights, 0.0 MB', f'SHA-256 {digest}']
    again = publish(checkpoint, '--out', out)
    assert isinstance(again.exception, CraniumError)
    assert 'is there already; remove it, or choose another name' in str(again.exception)


def test_a_checkpoint_that_is_not_there(tmp_path):
    done = publish(tmp_path / 'a.pth', '--out', tmp_path / 'b.pth')
    assert isinstance(done.exception, OSError) and str(tmp_path / 'a.pth') in str(done.exception)
