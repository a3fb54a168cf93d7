import json

import pytest
from cranium.visualization.curves import read_scalars

from tests.conftest import run_command


def write_scalars(work_dir, part, records):
    path = work_dir / part / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))


def test_parts_of_a_resumed_run_are_joined_and_the_later_counts(tmp_path):
    dice = 'pixel/dice_hemorrhage'
    first = [dict(step=10, loss=3.0), {'step': 10, dice: 5.0}, dict(step=20, loss=2.0)]
    write_scalars(tmp_path, '20260101_000000', first)
    write_scalars(tmp_path, '20260102_000000', [dict(step=20, loss=1.0), dict(step=30, loss=0.5)])
    losses = [(r['step'], r['loss']) for r in read_scalars(tmp_path) if 'loss' in r]
    assert losses == [(10, 3.0), (20, 1.0), (30, 0.5)]
    assert [r[dice] for r in read_scalars(tmp_path) if dice in r] == [5.0]


def test_folder_without_scalars(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'scalars\.json.*LocalVisBackend'):
        read_scalars(tmp_path)


def test_command(tmp_path):
    write_scalars(tmp_path, 'run', [dict(step=1, loss=3.0), dict(step=2, loss=2.0)])
    run_command('python', 'tools/plot_curves.py', tmp_path)
    assert (tmp_path / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert 'error: ' in run_command('python', 'tools/plot_curves.py', tmp_path / 'run', status=1)
