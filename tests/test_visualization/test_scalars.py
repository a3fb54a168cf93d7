"""Scalars that mmengine logged."""

import json

import pytest

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


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    log(tmp_path, '1', {'step': 10, 'loss': 3})
    with open(tmp_path / '1/vis_data/scalars.json', 'a') as file:
        file.write('{"step": 20, "lo')
    assert read_scalars(tmp_path) == [{'step': 10, 'loss': 3}]


@pytest.mark.parametrize('bad', ['{"step": 20, "lo', '7'])
def test_another_bad_line_is_named(tmp_path, bad):
    log(tmp_path, '1', {'step': 10, 'loss': 3})
    with open(tmp_path / '1/vis_data/scalars.json', 'a') as file:
        file.write(bad + '\n{"step": 30, "loss": 1}\n')
    with pytest.raises(ValueError, match=r'scalars\.json: line 2 is not an entry'):
        read_scalars(tmp_path)
