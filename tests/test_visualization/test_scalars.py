"""Scalars that mmengine logged."""

import json

from cranium.visualization.scalars import read_scalars


def log(work_dir, stamp, *entries):
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(entry) for entry in entries]
    (folder / 'scalars.json').write_text('\n'.join(lines) + '\n')


def test_a_resumed_run_is_one_curve(tmp_path):
    log(tmp_path, '1', {'step': 10, 'loss': 3}, {'step': 20, 'loss': 2}, {'step': 20, 'mIoU': 50})
    log(tmp_path, '2', {'step': 20, 'loss': 1}, {'step': 30, 'loss': 0.5})
    assert read_scalars(tmp_path) == [
        {'step': 10, 'loss': 3},
        {'step': 20, 'mIoU': 50},
        {'step': 20, 'loss': 1},
        {'step': 30, 'loss': 0.5},
    ]


def test_a_test_that_logged_no_step_is_no_part_of_the_curve(tmp_path):
    log(tmp_path, '1', {'mIoU': 50})
    assert read_scalars(tmp_path) == []


def test_nothing_logged(tmp_path):
    assert read_scalars(tmp_path) == []
