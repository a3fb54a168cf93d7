import subprocess
import sys

import pytest
import torch

from cranium.engine.publishing import publish_checkpoint
from cranium.errors import CraniumError


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'iter_2.pth'
    weights = {'a': torch.arange(6.0).reshape(2, 3).T, 'b': torch.tensor(3)}
    torch.save(
        {
            'state_dict': weights,
            'ema_state_dict': weights,
            'optimizer': {'state': {0: torch.ones(1000)}},
            'meta': {
                'dataset_meta': {'classes': ('background', 'hemorrhage'), 'palette': [[0, 0, 0]]},
                'iter': 2,
                'cfg': 'work_dir = "/home/someone"',
                'seed': None,
                'cranium': {'training_patients': ['049'], 'commit': None},
            },
        },
        path,
    )
    return path


def test_weights_and_meta_are_there_and_nothing_else(checkpoint, tmp_path):
    out = tmp_path / 'folder/weights.pth'
    assert publish_checkpoint(checkpoint, out) == 7
    found = torch.load(out, weights_only=True)
    assert found.keys() == {'state_dict', 'meta'}
    assert found['state_dict']['a'].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found['meta'] == {
        'dataset_meta': {'classes': ['background', 'hemorrhage'], 'palette': [[0, 0, 0]]},
        'iter': 2,
        'seed': None,
        'cranium': {'training_patients': ['049'], 'commit': None},
    }
    assert b'someone' not in out.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ['weights.pth']


def test_operating_points_are_added_to_what_is_known_of_the_training(checkpoint, tmp_path):
    points = {'slice': {'threshold': 1.5}}
    publish_checkpoint(checkpoint, tmp_path / 'w.pth', points)
    meta = torch.load(tmp_path / 'w.pth', weights_only=True)['meta']
    assert meta['cranium'] == {
        'training_patients': ['049'],
        'commit': None,
        'operating_points': points,
    }


def test_same_weights_same_bytes(checkpoint, tmp_path):
    for name in ('a', 'b'):
        publish_checkpoint(checkpoint, tmp_path / f'{name}.pth')
    assert (tmp_path / 'a.pth').read_bytes() == (tmp_path / 'b.pth').read_bytes()


def test_loads_with_plain_pytorch_that_allows_nothing(checkpoint, tmp_path):
    publish_checkpoint(checkpoint, tmp_path / 'weights.pth')
    code = f'import torch; torch.load({str(tmp_path / "weights.pth")!r}, weights_only=True)'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_nothing_is_overwritten(checkpoint, tmp_path):
    out = tmp_path / 'weights.pth'
    out.write_text('precious')
    with pytest.raises(CraniumError, match='is there already'):
        publish_checkpoint(checkpoint, out)
    assert out.read_text() == 'precious'


def test_a_file_without_weights(tmp_path):
    torch.save({'a': 1}, tmp_path / 'a.pth')
    with pytest.raises(CraniumError, match='has no state_dict'):
        publish_checkpoint(tmp_path / 'a.pth', tmp_path / 'b.pth')
